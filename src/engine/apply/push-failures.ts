/** Owns telling what a push could not bring: each cause once, however many paths it took along. Pure. */

import { describeError, UserError } from "../../domain/errors.ts";
import type { Finding } from "../../domain/finding.ts";
import type { Job } from "../../domain/job.ts";
import { count } from "../../domain/size.ts";
import { baseName, type StorePath } from "../../domain/store-path.ts";

/** Causes told one by one; a cache that is down gives one, a damaged disk many. */
const TOLD = 5;

export function pushFindings(
  { onPushFailure }: Pick<Job, "onPushFailure">,
  failed: ReadonlyMap<StorePath, Error>,
): Finding[] {
  if (onPushFailure === "ignore") return [];
  const causes = new Map<
    string,
    { readonly path: StorePath; readonly error: Error; paths: number }
  >();
  let following = 0;
  for (const [path, error] of failed) {
    // It would have gone well but for the reference, which has a word of its own.
    if (error instanceof UserError && error.code === "NCP-305") {
      following++;
      continue;
    }
    const text = describeError(error)
      .replaceAll(path, "")
      .replaceAll(baseName(path), "")
      // Numbers of uploads, of tries, of bytes: the cause is the same.
      .replace(/[0-9a-f]*\d[0-9a-f]*/g, "#");
    const before = causes.get(text);
    if (before) before.paths++;
    else causes.set(text, { path, error, paths: 1 });
  }
  const level = onPushFailure === "error" ? "error" : "warning";
  const finding = (message: string, hint?: string): Finding => ({
    kind: "push",
    level,
    code: "NCP-305",
    message,
    hint: hint ?? "run it again: only what is still missing is uploaded",
  });
  const found = [...causes.values()].slice(0, TOLD).map(({ path, error, paths }) => {
    const more = paths > 1 ? ` and ${count(paths - 1, "more path")} were` : " was";
    const hint = error instanceof UserError ? error.hint : undefined;
    return finding(`${baseName(path)}${more} not pushed: ${describeError(error)}`, hint);
  });
  if (causes.size > TOLD) found.push(finding(`${causes.size - TOLD} more causes kept paths back`));
  if (following > 0) {
    const are = following === 1 ? "is" : "are";
    found.push(
      finding(`${count(following, "path")} ${are} not served, for want of a reference that failed`),
    );
  }
  return found;
}

/** What somebody else put there is evidence; only who is asked to (`force`) writes over it. */
export function poisonFindings(
  cache: string,
  poisoned: readonly (readonly [StorePath, string])[],
): Finding[] {
  const [first] = poisoned;
  if (!first) return [];
  const [path, why] = first;
  const more = poisoned.length > 1 ? ` and ${count(poisoned.length - 1, "more path")}` : "";
  return [
    {
      kind: "push",
      level: "warning",
      code: "NCP-452",
      message: `${cache} holds ${baseName(path)}${more} in a way that must not be believed: ${why}; nothing is pushed over it`,
      hint: "find out who wrote it; then force: true uploads it anew",
    },
  ];
}
