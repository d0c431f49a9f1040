/** The job summary: result, cause, one action, and no more. Pure. */

import type { ErrorCode } from "../domain/errors.ts";
import type { Finding } from "../domain/finding.ts";
import { formatSeconds } from "../domain/size.ts";
import { shortName } from "../domain/target.ts";
import { namesOf, type Run, sources } from "../engine/result.ts";
import { auditParts } from "./audit-section.ts";
import { cause } from "./cause.ts";
import { diskTable } from "./disk-table.ts";
import { pinsFold, timeFold } from "./done.ts";
import { headline, icon, subject } from "./headline.ts";
import {
  capital,
  code,
  fold,
  type LinkTo,
  markdown,
  page,
  placed,
  sentence,
  verbatim,
} from "./page.ts";
import { changedBy, changeParts } from "./rebuilds.ts";
import { badNames, buildNames, cachedFold, sourceTables, stateTable } from "./tables.ts";

export type Detail = "full" | "short" | "off";

export interface PageOptions {
  readonly detail: Detail;
  readonly linkTo: LinkTo;
}

const FOLDS_MOST = 3;
const PROBLEMS =
  "https://github.com/nix-cache-preflight/nix-cache-preflight/blob/v1/docs/troubleshooting.md";

/** Empty where nothing is to be shown. */
export function summary(run: Run, { detail, linkTo }: PageOptions): string {
  if (detail === "off") return "";
  const { result, outcome, job } = run;
  const heading = headingOf(icon(result), subject(run), headline(run));
  const end = footer(run);
  if (outcome.audit) {
    const parts = auditParts(outcome.audit, result, job.quota, linkTo);
    const others = result.findings.filter(({ kind }) => kind !== "audit");
    const rest = [...bullets(others), ...parts.slice(1)];
    return page(heading, [parts[0] ?? "", ...(detail === "short" ? [] : rest)], end);
  }
  const { lead } = result;
  const builds = sources(run);
  const by = changedBy(run);
  const tables = sourceTables(run, builds, by);
  const change = changeParts(run);
  const said = lead ? extract(lead) : undefined;
  const short = [
    cause(run, builds),
    ...(said?.open ? [verbatim(said.lines)] : []),
    ...(lead ? actions(run, lead, linkTo) : []),
  ];
  if (detail === "short") return page(heading, short, end);
  const isDisk = lead?.kind === "disk";
  const folds = [
    ...(said && !said.open ? [fold(said.title, verbatim(said.lines))] : []),
    tables.folded,
    change.folded,
    buildNames(run, builds, by ? "Changed by" : "Needed by"),
    pinsFold(run),
    timeFold(run),
    cachedFold(run),
  ].filter((part) => part !== "");
  return page(
    heading,
    [
      ...short,
      ...bullets(result.findings.filter((one) => one !== lead)),
      badNames(run),
      stateTable(run),
      tables.open,
      isDisk ? diskTable(run) : "",
      change.open,
      ...folds.slice(0, FOLDS_MOST),
    ],
    end,
  );
}

export function headingOf(sign: string, what: string, words: string): string {
  return `### ${sign} ${what}: ${markdown(words)}`;
}

function footer(run: Run): string {
  const { survey, job, begin, end, result } = run;
  const trust = survey.trust.kind === "read-only" ? ", read-only" : "";
  return small([
    `${job.mode}${trust}`,
    ...(survey.system === undefined ? [] : [markdown(survey.system)]),
    ...(survey.nixVersion === undefined ? [] : [`Nix ${markdown(survey.nixVersion)}`]),
    formatSeconds((end - begin) / 1000),
    ...codes(result.findings),
  ]);
}

export function small(parts: readonly string[]): string {
  return `<sub>${["Nix Cache Preflight", ...parts].join(" · ")}</sub>`;
}

/** Links to what troubleshooting says of them. */
export function codes(findings: readonly Finding[]): string[] {
  const loud = findings.filter(({ level, kind }) => level !== "notice" && kind !== "audit");
  const found = new Set(loud.flatMap(({ code: one }) => one ?? []));
  return [...found].slice(0, 3).map(codeLink);
}

export function codeLink(one: ErrorCode): string {
  return `[${one}](${PROBLEMS}#${one.toLowerCase()})`;
}

const BULLETS_OPEN = 5;

/** What is to be looked at beside the headline's own trouble; what the table shows is not said twice. */
export function bullets(findings: readonly Finding[]): string[] {
  const shown = findings.filter(
    ({ level, kind, code: one, title }) =>
      level !== "notice" &&
      !((kind === "missing" || kind === "heavy") && one === "NCP-402" && title),
  );
  const lines = shown.map(({ level, message, hint }) => {
    const [first = ""] = message.split("\n");
    const fix = hint === undefined ? "" : ` Fix: ${markdown(hint.split("\n").join("; "))}`;
    return `- ${level === "error" ? "❌" : "⚠️"} ${markdown(sentence(first))}${fix}`;
  });
  if (lines.length === 0) return [];
  const more = lines.length - BULLETS_OPEN;
  return [
    lines.slice(0, BULLETS_OPEN).join("\n"),
    ...(more > 0 ? [`And ${more} more, in the log and the report.`] : []),
  ];
}

/** What somebody should do: the finding's hint, and for what Nix said the command that says it again. */
function actions(
  { result, survey }: Run,
  { kind, code: one, hint, names = [], place }: Finding,
  linkTo: LinkTo,
): string[] {
  const [failed] = namesOf(result, "build failed");
  if (one === "NCP-206" && failed !== undefined) {
    return [
      `**See it on your machine:** ${code(`nix build ${typable(failed, survey.system)} -L`)}`,
    ];
  }
  const [target] = names;
  const at = place ? [`In ${placed(`${place.file}:${place.line}`, linkTo)}.`] : [];
  const again =
    kind === "eval" && target !== undefined
      ? [
          `**See it on your machine:** ${code(`nix build --dry-run ${typable(target, survey.system)}`)}`,
        ]
      : [];
  const fix = hint === undefined || one === "NCP-402" ? [] : [`**Fix:** ${fixWords(hint)}`];
  return [...at, ...again, ...fix];
}

/** As short as Nix takes it: a short name of another output is for people alone. */
function typable(name: string, system: string | undefined): string {
  const short = shortName(name, system);
  return short.includes("#") ? short : name;
}

/** A hint of several lines is a command or a file: it stands as it is. */
export function fixWords(hint: string): string {
  const [first = "", ...rest] = hint.split("\n");
  const end = /[.!?:]$|[/=]\S*$/.test(first) ? "" : ".";
  return rest.length === 0
    ? `${markdown(capital(first))}${end}`
    : `${markdown(first)}\n\n${verbatim(rest)}`;
}

/** What stands above says it without paths and addresses. */
const isAnswer = (line: string) => /\b(?:PUT|POST|PATCH) \S+ answer/.test(line);

const LINES = { eval: 6, build: 10 };

/** What Nix, a builder or a server said: the lines below a finding's first one, without colours. */
function extract({
  kind,
  code: one,
  message,
}: Finding):
  | { readonly open: boolean; readonly title: string; readonly lines: readonly string[] }
  | undefined {
  const lines = message.split("\n").map((line) => line.trimEnd());
  if (kind === "eval") {
    const said = [(lines[0] ?? "").replace(/^.*? not evaluate: /, "error: "), ...lines.slice(1)];
    return {
      open: true,
      title: "",
      lines: said.filter((line) => line !== "").slice(0, LINES.eval),
    };
  }
  const log = lines.flatMap((line) => (line.startsWith("> ") ? [line.slice(2)] : []));
  if (one === "NCP-206" || one === "NCP-407") {
    const from = log.findIndex((line) => /\berror\b/i.test(line));
    const shown = (from < 0 ? log : log.slice(from)).slice(-LINES.build);
    return shown.length === 0 ? undefined : { open: true, title: "", lines: shown };
  }
  const rest = lines.slice(isAnswer(lines[0] ?? "") ? 0 : 1).filter((line) => line !== "");
  if (rest.length === 0) return undefined;
  return {
    open: false,
    title: kind === "push" ? "What the server answered" : "What was said",
    lines: rest.slice(0, 40),
  };
}
