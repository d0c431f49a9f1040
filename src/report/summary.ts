/** The job summary: the run as a Markdown page, what matters most first. Pure. */

import type { PushProgress } from "../domain/cache.ts";
import { count, formatSeconds } from "../domain/size.ts";
import { namePart } from "../domain/store-path.ts";
import type { PostRun } from "../engine/post.ts";
import type { Run } from "../engine/run.ts";
import type { PushRoots } from "../engine/step.ts";
import { byImportance } from "./annotations.ts";
import { auditSections } from "./audit-section.ts";
import { diskSection } from "./disk-table.ts";
import { done, type Page } from "./done.ts";
import { allFindings, hitRate } from "./json.ts";
import { code, fold, grid, markdown, page, type Section } from "./page.ts";
import { rebuildSections } from "./rebuilds.ts";
import { substituters, targets } from "./target-table.ts";
import { timeline } from "./timeline.ts";
import { headline, recalledWords, scoreWords } from "./words.ts";

const FINDINGS_SHOWN = 10;
const FINDINGS_MOST = 200;

export function summary(run: Run): string {
  const { survey, outcome } = run;
  const own = survey.substituters.find(({ role }) => role === "own");
  const sections: Section[] = [
    {
      title: "Headline",
      heading: "none",
      body: `## Nix Cache Preflight\n\n**${markdown(headline(run))}**\n\n${facts(run)}`,
    },
    { title: "Findings", heading: "none", body: findings(run) },
    ...auditSections(run.outcome.audit, run.job.quota),
    { title: "Targets", body: targets(run) },
    { title: outcome.built.length > 0 ? "Was in no cache" : "In no cache", body: missing(run) },
    ...rebuildSections(run),
    { title: "Done", body: done(outcome, own?.page) },
    { title: "Timeline", body: timeline(run) },
    { title: "Read-only", body: readOnly(run) },
    { title: "Disk space", body: diskSection(run) },
    { title: "Caches", body: substituters(survey) },
    { title: "Cache key", heading: "none", body: key(run) },
  ];
  return page(sections);
}

/** What the end of the job did; empty where it did nothing, and a page would only be in the way. */
export function postSummary(
  { outcome, withheld }: PostRun,
  ahead: readonly PushProgress[],
  why: string,
  pageOf: Page,
): string {
  const before = ahead.map((one) => ({ ...one, seconds: undefined }));
  const all = { ...outcome, pushed: [...before, ...outcome.pushed] };
  const body = [done(all, pageOf), withheldTable(withheld, why)]
    .filter((part) => part !== "")
    .join("\n\n");
  return body === "" ? "" : page([{ title: "At the end of the job", body }]);
}

/** One line of what the headline has no space for. */
function facts(run: Run): string {
  const { survey, job, begin, end } = run;
  const rate = survey.targets.length > 0 ? [`hit rate ${Math.round(hitRate(run) * 100)} %`] : [];
  const system = survey.system === undefined ? [] : [markdown(survey.system)];
  const nix = survey.nixVersion === undefined ? [] : [`Nix ${markdown(survey.nixVersion)}`];
  const trust = survey.trust.kind === "read-only" ? ["read-only"] : [];
  return [
    ...rate,
    code(job.mode),
    ...system,
    ...nix,
    ...trust,
    formatSeconds((end - begin) / 1000),
    ...[scoreWords(run)].filter((words) => words !== "").map((words) => `builds: ${words}`),
  ].join(" · ");
}

function findings(run: Run): string {
  // What an audit found has a section of its own.
  const shown = byImportance(
    allFindings(run).filter(({ level, kind }) => level !== "notice" && kind !== "audit"),
  );
  if (shown.length === 0) return "";
  const lines = shown.slice(0, FINDINGS_MOST).map(({ level, code: id, message, hint }) => {
    const sign = level === "error" ? "❌" : "⚠️";
    const first = message.split("\n").slice(0, 3).join(" ").slice(0, 600);
    return `- ${sign} ${markdown(first)}${id ? ` (${id})` : ""}${hint ? `<br>${markdown(hint)}` : ""}`;
  });
  const rest = lines.slice(FINDINGS_SHOWN);
  const more = shown.length - lines.length;
  return [
    lines.slice(0, FINDINGS_SHOWN).join("\n"),
    ...(rest.length > 0 ? [fold(`${rest.length} more findings`, rest.join("\n"))] : []),
    ...(more > 0 ? [`and ${more.toLocaleString("en-US")} more, in the report`] : []),
  ].join("\n\n");
}

/** Names of targets in a cell before they are only counted. */
const NAMED = 3;

function missing({ survey }: Run): string {
  const source = [...survey.derivations.values()].filter(({ kind }) => kind === "source");
  if (source.length === 0) return "";
  const rows = source.map(({ name, heavy, wantedBy, system }) => [
    code(name),
    heavy === "heavy" ? "heavy" : "",
    wantedBy.length <= NAMED
      ? wantedBy.first.map(code).join(", ")
      : count(wantedBy.length, "target"),
    system === survey.system ? "" : markdown(system),
  ]);
  return grid(["derivation", "weight", "wanted by", "system"], rows);
}

function readOnly({ plan, survey }: Run): string {
  if (survey.trust.kind !== "read-only") return "";
  return withheldTable(plan.withheld, survey.trust.why) || `${whyReadOnly(survey.trust.why)}.`;
}

function whyReadOnly(why: string): string {
  return `This run is read-only: ${markdown(why)}`;
}

function withheldTable(withheld: readonly PushRoots[], why: string): string {
  if (withheld.length === 0) return "";
  const rows = withheld.map(({ target, paths }) => {
    const names = paths.slice(0, NAMED).map((path) => code(namePart(path)));
    const more = paths.length > NAMED ? ` and ${paths.length - NAMED} more` : "";
    return [code(target), `${names.join(", ")}${more}`];
  });
  return `${whyReadOnly(why)}. It would have pushed:\n\n${grid(["target", "paths"], rows)}`;
}

function key({ survey }: Run): string {
  const record =
    survey.recalled === undefined ? "" : `; ${markdown(recalledWords(survey.recalled))}`;
  return `Cache key: ${code(survey.key.key)}${record}.`;
}
