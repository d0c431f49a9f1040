/** The timeline: when what was done, as a Mermaid gantt chart, and what the builds took of it. Pure. */

import { count, formatSeconds } from "../domain/size.ts";
import type { Outcome, TimedStep } from "../engine/outcome.ts";
import { forecastWords } from "../engine/plan/forecast.ts";
import type { Run } from "../engine/result.ts";

/** More bars than a person reads; the longest ones are kept. */
const BARS = 30;

const SECTIONS: Readonly<Record<TimedStep["do"], string>> = {
  reclaim: "Free disk space",
  configure: "Prepare",
  substitute: "Fetch",
  build: "Build",
  push: "Push",
  verify: "Verify",
  pin: "Pin",
  audit: "Audit",
};

interface Bar {
  readonly name: string;
  readonly begin: number;
  readonly end: number;
}

export function timeline({ begin, looked, end, outcome }: Run): string {
  if (outcome.steps.length === 0) return "";
  const kept = longest(outcome);
  const lines = ["  section Look", task({ name: "Keys, caches, targets", begin, end: looked })];
  // Each section once: Mermaid puts the name of one that comes again somewhere else.
  for (const [kind, title] of Object.entries(SECTIONS)) {
    const steps = kept.filter((step) => step.do === kind);
    if (steps.length > 0) lines.push(`  section ${title}`);
    for (const { what, begin: from, end: to } of steps) {
      lines.push(task({ name: what.replace(/^\w+ /, ""), begin: from, end: to }));
    }
  }
  const left = outcome.steps.length - kept.length;
  const chart = ["gantt", "  dateFormat x", ...axis((end - begin) / 1000), ...lines];
  const more = left > 0 ? `\n\n${count(left, "shorter step")} not drawn.` : "";
  return `\`\`\`mermaid\n${chart.join("\n")}\n\`\`\`${more}`;
}

/** Seconds up to which a chart has ticks so far apart, and how they read: never two of one name. */
const TICKS = [
  { most: 8, interval: "1second", format: "%H:%M:%S" },
  { most: 80, interval: "10second", format: "%H:%M:%S" },
  { most: 480, interval: "1minute", format: "%H:%M" },
  { most: 4_800, interval: "10minute", format: "%H:%M" },
  { most: Number.POSITIVE_INFINITY, interval: "1hour", format: "%H:%M" },
] as const;

/** Times of day, as whoever looks at it has them; no line for the day on which it is looked at. */
function axis(seconds: number): string[] {
  const ticks = TICKS.find(({ most }) => seconds <= most) ?? TICKS[4];
  return [`  axisFormat ${ticks.format}`, `  tickInterval ${ticks.interval}`, "  todayMarker off"];
}

/** The longest steps, in the order of time. */
function longest({ steps }: Outcome): TimedStep[] {
  const kept = new Set(
    [...steps].sort((a, b) => b.end - b.begin - (a.end - a.begin)).slice(0, BARS),
  );
  return steps.filter((step) => kept.has(step));
}

function task({ name, begin, end }: Bar): string {
  // A bar of no length is not drawn.
  return `    ${taskName(name)} :${Math.round(begin)}, ${Math.round(Math.max(end, begin + 1))}`;
}

/** A line that begins with one of these is no task. Source: Mermaid's gantt.jison. */
const KEYWORD =
  /^(title|section|click|call|href|acc|date|axis|top|today|tick|week|inclusive|includes|excludes|gantt)/i;

/** Letters, digits and what no rule of Mermaid's gives a meaning. */
function taskName(text: string): string {
  const plain = text
    .replace(/[^\p{L}\p{N} #._+/*()'-]/gu, " ")
    .replace(/\s+/g, " ")
    .trim();
  const short = [...plain].slice(0, 60).join("");
  // A bare # would begin a comment.
  const name = short.replaceAll("#", "#35;") || "step";
  return KEYWORD.test(name) ? `· ${name}` : name;
}

/** `said 38m, took 41m`: only of builds that were all done. */
export function scoreWords({ plan, outcome }: Pick<Run, "plan" | "outcome">): string {
  const took = buildSeconds(outcome);
  if (forecastWords(plan.forecast) === "" || took === undefined) return "";
  return `said ${formatSeconds(plan.forecast?.seconds ?? 0)}, took ${formatSeconds(took)}`;
}

/** Seconds of all build steps; undefined where one did not come to its end. */
export function buildSeconds({ steps, findings }: Outcome): number | undefined {
  const builds = steps.filter((step) => step.do === "build");
  const broken = findings.some(({ code }) => code !== undefined && UNBUILT.has(code));
  if (builds.length === 0 || broken) return undefined;
  return builds.reduce((sum, { begin, end }) => sum + end - begin, 0) / 1000;
}

const UNBUILT: ReadonlySet<string> = new Set([
  "NCP-142",
  "NCP-206",
  "NCP-209",
  "NCP-406",
  "NCP-407",
]);
