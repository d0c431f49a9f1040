/** What a run did, as tables: fetched, built, pushed, verified, pinned, with bytes and seconds. Pure. */

import { count, formatBytes, formatSeconds } from "../domain/size.ts";
import { namePart } from "../domain/store-path.ts";
import { isServed } from "../domain/verdict.ts";
import type { Outcome, TimedStep } from "../engine/outcome.ts";
import type { SurveyedSubstituter } from "../engine/survey/substituters.ts";
import { code, fold, grid, linked, markdown } from "./page.ts";

/** Where a pushed path can be looked at: undefined where our cache was not opened. */
export type Page = SurveyedSubstituter["page"] | undefined;

export function done(outcome: Outcome, page: Page): string {
  return [totals(outcome), builtTable(outcome), pushedTable(outcome, page), readBack(outcome)]
    .filter((part) => part !== "")
    .join("\n\n");
}

function totals({ steps, substituted, built, pushed, verified, pinned }: Outcome): string {
  const time = (kind: TimedStep["do"]) => {
    const all = steps.filter((step) => step.do === kind);
    // What the background process pushed took no step's time.
    if (all.length === 0) return "";
    return formatSeconds(all.reduce((sum, { begin, end }) => sum + end - begin, 0) / 1000);
  };
  const good = verified.filter(({ outcome: how }) => how === "verified");
  const set = pinned.filter(({ state }) => state !== "failed");
  const sizes = built.flatMap(({ bytes }) => bytes ?? []);
  const rows = [
    substituted.paths > 0 && [
      "Fetched",
      count(substituted.paths, "path"),
      formatBytes(substituted.bytes),
      time("substitute"),
    ],
    built.length > 0 && [
      "Built",
      count(built.length, "derivation"),
      sizes.length > 0 ? formatBytes(total(sizes)) : "",
      time("build"),
    ],
    pushed.length > 0 && [
      "Pushed",
      count(pushed.length, "path"),
      formatBytes(total(pushed.map(({ bytes }) => bytes))),
      time("push"),
    ],
    verified.length > 0 && [
      "Verified",
      `${good.length} of ${count(verified.length, "target")}`,
      formatBytes(total(good.map(({ bytes }) => bytes))),
      time("verify"),
    ],
    pinned.length > 0 && [
      "Pinned",
      `${set.length} of ${count(pinned.length, "target")}`,
      "",
      time("pin"),
    ],
  ].filter((row) => row !== false);
  return rows.length === 0 ? "" : grid(["", "how many", ">bytes", ">time"], rows);
}

function builtTable({ built }: Outcome): string {
  if (built.length === 0) return "";
  const ordered = [...built].sort((a, b) => b.seconds - a.seconds);
  const rows = ordered.map(({ name, bytes, seconds }) => [
    code(name),
    bytes === undefined ? "" : formatBytes(bytes),
    formatSeconds(seconds),
  ]);
  const names = few(ordered.map(({ name }) => name));
  return fold(`Built: ${names}`, grid(["derivation", ">size", ">time"], rows));
}

function pushedTable({ pushed }: Outcome, page: Page): string {
  if (pushed.length === 0) return "";
  const ordered = [...pushed].sort((a, b) => b.bytes - a.bytes);
  const rows = ordered.map(({ path, bytes, seconds }) => [
    linked(namePart(path), page?.(path)),
    formatBytes(bytes),
    seconds === undefined ? "" : formatSeconds(seconds),
  ]);
  const names = few(ordered.map(({ path }) => namePart(path)));
  return fold(`Pushed: ${names}`, grid(["path", ">bytes", ">time"], rows));
}

/** What is not verified comes first: it is what somebody has to look at. */
function readBack({ verified, pinned }: Outcome): string {
  if (verified.length === 0) return "";
  const pins = new Map(pinned.map((pin) => [pin.target, pin]));
  const ordered = [...verified].sort(
    (a, b) => Number(a.outcome === "verified") - Number(b.outcome === "verified"),
  );
  const rows = ordered.map(({ target, outcome, detail, paths, bytes, seconds }) => {
    const pin = pins.get(target);
    return [
      outcome === "verified" ? "✅" : isServed(outcome) ? "➖" : "⚠️",
      code(target),
      `${markdown(outcome)}${detail ? ` (${markdown(detail)})` : ""}`,
      String(paths),
      formatBytes(bytes),
      formatSeconds(seconds),
      pin ? `${code(shortened(pin.name))} ${pin.state}` : "",
    ];
  });
  const columns = ["", "target", "outcome", ">paths", ">bytes", ">time", "pin"];
  return `**Read back from the cache**\n\n${grid(columns, rows)}`;
}

/** Names of pins are made from those of targets, which stand beside them. */
function shortened(name: string): string {
  return name.length <= 20 ? name : `${name.slice(0, 19)}…`;
}

function few(names: readonly string[]): string {
  const shown = names.slice(0, 3).join(", ");
  const more = names.length - 3;
  return more > 0 ? `${shown} and ${more.toLocaleString("en-US")} more` : shown;
}

function total(bytes: readonly number[]): number {
  return bytes.reduce((sum, one) => sum + one, 0);
}
