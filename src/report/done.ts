/** What a run did: a sentence where it went well, and folds with pins, times and disk space. Pure. */

import { cacheHost } from "../domain/location.ts";
import { count, formatBytes, formatSeconds, number } from "../domain/size.ts";
import { type Outcome, pinnedTargets, type TimedStep } from "../engine/outcome.ts";
import type { Run } from "../engine/result.ts";
import { code, fold, grid, markdown } from "./page.ts";
import { names } from "./tables.ts";
import { timeline } from "./timeline.ts";

/** Seconds from which the phases, and the timeline, are worth a fold. */
const PHASES_FROM = 60;
const TIMELINE_FROM = 5 * 60;

/** `9 store paths (341 MB) were pushed to acme.cachix.org`; empty: nothing was. */
export function pushedWords({ pushed }: Pick<Outcome, "pushed">, cache: string): string {
  if (pushed.length === 0) return "";
  const bytes = pushed.reduce((sum, one) => sum + one.bytes, 0);
  const were = pushed.length === 1 ? "was" : "were";
  return `${count(pushed.length, "store path")} (${formatBytes(bytes)}) ${were} pushed to ${code(cacheHost(cache))}`;
}

/**
 * `3 built`, `9 store paths (341 MB) pushed`, `3 of 4 targets verified and pinned`, `1 kept out by push-max`.
 * `keptOut`: whether the headline has said that last one.
 */
export function doneFigures(
  {
    outcome,
    result,
    survey,
  }: Pick<Run, "outcome" | "result"> & { readonly survey?: Run["survey"] },
  keptOut: "to be told" | "told" = "to be told",
): string[] {
  const { substituted, built, pushed, unpushed, verified, pinned } = outcome;
  const kept = outcome.keptOut.filter((name) => result.states.has(name)).length;
  const bytes = pushed.reduce((sum, one) => sum + one.bytes, 0);
  const good = verified.filter(({ outcome: how }) => how === "verified").length;
  const set = pinned.filter(({ state }) => state !== "failed").length;
  const whole = pinnedTargets(outcome).size === good;
  const blocked = survey?.trust.kind === "read-only" && built.length > 0;
  return [
    ...(substituted.paths > 0
      ? [`${count(substituted.paths, "store path")} (${formatBytes(substituted.bytes)}) downloaded`]
      : []),
    ...(built.length > 0 ? [`${number(built.length)} built`] : []),
    ...(blocked ? [`nothing pushed (${survey.trust.why})`] : []),
    ...(pushed.length > 0 || unpushed.length > 0
      ? [
          unpushed.length > 0
            ? `${number(pushed.length)} of ${count(pushed.length + unpushed.length, "store path")} pushed`
            : `${count(pushed.length, "store path")} (${formatBytes(bytes)}) pushed`,
        ]
      : []),
    ...(good > 0
      ? [
          `${number(good)} of ${count(verified.length + kept, "target")} verified${whole ? " and pinned" : ""}`,
        ]
      : []),
    ...(kept > 0 && keptOut === "to be told"
      ? [`${good > 0 ? number(kept) : count(kept, "target")} kept out by push-max`]
      : []),
    ...(set > 0 && !whole ? [`${count(set, "pin")} set`] : []),
  ];
}

/** What proofs and pins came to, as a sentence of the targets that have both. */
export function provedWords(outcome: Outcome, all: number): string {
  const { verified } = outcome;
  const good = verified.filter(({ outcome }) => outcome === "verified").length;
  if (good === 0) return "";
  const pins = pinnedTargets(outcome).size === good ? " and pinned" : "";
  const who =
    good < all
      ? `${count(good, "target")} ${good === 1 ? "was" : "were"}`
      : all === 1
        ? "It was"
        : all === 2
          ? "Both targets were"
          : `All ${all} targets were`;
  return `${who} read back from there${pins === "" ? " and verified" : ", verified and pinned"}.`;
}

/** Target and pin of each that was verified; only where pins were set, and there is more than one. */
export function pinsFold({ survey, outcome }: Run): string {
  const set = outcome.pinned.filter(({ state }) => state !== "failed");
  const whole = pinnedTargets(outcome);
  const good = outcome.verified.filter(({ outcome: how }) => how === "verified");
  const others = outcome.verified.filter(({ outcome: how }) => how === "another build");
  if (good.length < 2 || set.length === 0) return "";
  const pins = new Map<string, string[]>();
  for (const { target, name } of set) pins.set(target, [...(pins.get(target) ?? []), name]);
  const shown = names(
    good.map(({ target }) => target),
    survey,
  );
  const rows = good.map(({ target }, at) => [
    shown[at] ?? "",
    (pins.get(target) ?? []).map(code).join(" "),
  ]);
  const also =
    others.length === 0
      ? ""
      : `\n\nIn the cache as another build made it, and not pinned: ${names(
          others.map(({ target }) => target),
          survey,
        ).join(", ")}`;
  const title = `${count(good.length, "target")} verified${whole.size === good.length ? " and pinned" : `, ${whole.size} newly pinned`}`;
  return fold(title, `${grid(["Target", "Pin"], rows)}${also}`);
}

const PHASES: Readonly<Record<TimedStep["do"], string>> = {
  reclaim: "Free disk space",
  configure: "Configure Nix",
  substitute: "Download",
  build: "Build",
  push: "Push",
  verify: "Verify",
  pin: "Pin",
  audit: "Audit",
};

/** How long what took, and what it left of the disk; undefined for a short run. */
export function timeFold(run: Run): string {
  const { begin, looked, end, outcome, plan } = run;
  const all = (end - begin) / 1000;
  if (all < PHASES_FROM) return "";
  const phases = Object.entries(PHASES).map(([kind, title]) => {
    const steps = outcome.steps.filter((step) => step.do === kind);
    return { title, seconds: steps.reduce((sum, one) => sum + one.end - one.begin, 0) / 1000 };
  });
  const rows = [
    { title: "Evaluation and cache lookup", seconds: (looked - begin) / 1000 },
    ...phases,
  ]
    .filter(({ seconds }) => seconds >= 0.05)
    .map(({ title, seconds }) => [title, formatSeconds(seconds)]);
  const [space] = plan.diskSpace.fileSystems.filter(({ needs }) =>
    needs.some(({ what }) => what === "store"),
  );
  const disk =
    space === undefined || outcome.freeAfter === undefined
      ? ""
      : `Free on ${code(space.fileSystem.mountPoint)}: ${formatBytes(space.fileSystem.freeBytes)} before, ${formatBytes(outcome.freeAfter)} after.`;
  const freed = outcome.reclaimed.map(({ what, bytes }) =>
    bytes === undefined ? what : `${what}: ${formatBytes(bytes)} freed`,
  );
  const list = freed.map((line) => `- ${markdown(line)}`).join("\n");
  const chart = all >= TIMELINE_FROM ? timeline(run) : "";
  const parts = [grid(["Phase", ">Time"], rows), disk, list, chart].filter((part) => part !== "");
  return fold("Time and disk space", parts.join("\n\n"));
}
