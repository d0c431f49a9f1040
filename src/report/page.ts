/** The parts of a page: tables that fold, sections that are left out when it grows too long. Pure. */

import { withoutCredentials } from "../domain/location.ts";

/** GitHub refuses a step's summary over 1 MiB whole. */
const BYTES_MOST = 1024 * 1024;
const ROWS_SHOWN = 20;
const ROWS_MOST = 2_000;
/** One long table leaves space for the others. */
const TABLE_MOST = 300 * 1024;

export interface Section {
  readonly title: string;
  /** Markdown without its heading; empty: there is nothing to say. */
  readonly body: string;
  readonly heading?: "none";
}

/** In their order as long as they fit; what is left out is named. */
export function page(sections: readonly Section[], most = BYTES_MOST): string {
  const parts: string[] = [];
  const cut: string[] = [];
  // The note names every section, were all of them cut.
  const note = (titles: readonly string[]) =>
    `_The page was too long. Left out: ${titles.map((title) => markdown(title)).join(", ")}. The JSON report holds everything._`;
  let left = most - Buffer.byteLength(note(sections.map(({ title }) => title))) - 4;
  for (const { title, body, heading } of sections) {
    if (body === "") continue;
    const part = heading === "none" ? body : `### ${markdown(title)}\n\n${body}`;
    const bytes = Buffer.byteLength(part) + 2;
    if (bytes > left) cut.push(title);
    else {
      left -= bytes;
      parts.push(part);
    }
  }
  if (cut.length > 0) parts.push(note(cut));
  return `${parts.join("\n\n")}\n`;
}

/** `rows` are lines of `|` cells under `head`, most important first; many of them fold, more are counted. */
export function table(head: string, rows: Iterable<string>): string {
  const shown: string[] = [];
  const folded: string[] = [];
  let more = 0;
  let bytes = 0;
  for (const row of rows) {
    bytes += Buffer.byteLength(row);
    const fits = bytes <= TABLE_MOST && shown.length + folded.length < ROWS_MOST;
    if (!fits) more++;
    else if (shown.length < ROWS_SHOWN) shown.push(row);
    else folded.push(row);
  }
  const counted = (n: number) => n.toLocaleString("en-US");
  return [
    `${head}\n${shown.join("\n")}`,
    ...(folded.length > 0
      ? [fold(`${counted(folded.length)} more`, `${head}\n${folded.join("\n")}`)]
      : []),
    ...(more > 0 ? [`and ${counted(more)} more, in the report`] : []),
  ].join("\n\n");
}

/** `>` in front of a column's name: numbers, set right and never broken. */
export type Row = readonly string[];

/** A table of cells; a column in which nothing stands is left out. */
export function grid(columns: Row, rows: readonly Row[]): string {
  const kept = columns.flatMap((_, at) => (rows.some((row) => row[at]) ? [at] : []));
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const isNumber = (at: number) => columns[at]?.startsWith(">");
  const head = kept.map((at) => (columns[at] ?? "").replace(/^>/, ""));
  const rule = kept.map((at) => (isNumber(at) ? "-:" : "-"));
  const cells = function* () {
    for (const row of rows) {
      yield line(
        kept.map((at) =>
          isNumber(at) ? (row[at] ?? "").replaceAll(" ", "\u00a0") : (row[at] ?? ""),
        ),
      );
    }
  };
  return table(`${line(head)}\n|${rule.join("|")}|`, cells());
}

export function fold(title: string, body: string): string {
  return `<details><summary>${markdown(title)}</summary>\n\n${body}\n\n</details>`;
}

/** `text` as code, and a link where there is an address; only http(s) ones are. */
export function linked(text: string, url: string | undefined): string {
  if (url === undefined || !/^https?:\/\//.test(url)) return code(text);
  const href = url.replace(/[\s"'<>|`\\]/g, encodeURIComponent);
  return `<a href="${href.replaceAll("&", "&amp;")}">${code(text)}</a>`;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
const CONTROL = /\u001b\[[0-9;?]*[ -/]*[@-~]|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/** Marks that turn the direction of text can make a name read as another one. */
const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** One line for the log: no escape sequences, and nothing the runner would take for a command. */
export function plainLine(text: string): string {
  return withoutCredentials(text)
    .replace(CONTROL, "")
    .replace(BIDI, "")
    .replaceAll("##[", "## [")
    .replace(/^(\s*):(?=:)/, "$1: ");
}

/** Text inside a Markdown paragraph or table cell: every sign that Markdown or HTML gives a meaning. */
export function markdown(text: string): string {
  return withoutCredentials(text)
    .replace(CONTROL, "")
    .replace(BIDI, "")
    .replace(/\s+/g, " ")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replace(/[\\`*_{}[\]()#|~!@]/g, (sign) => `&#${sign.charCodeAt(0)};`);
}

/** Where a name may be broken: a cell as wide as the longest one would push the others off the page. */
const UNBROKEN = 60;

/** A name in code style; HTML, because a backtick in a name would end Markdown's. No address in it becomes a link. */
export function code(text: string): string {
  const parts =
    withoutCredentials(text)
      .replace(CONTROL, "")
      .replace(BIDI, "")
      .match(new RegExp(`.{1,${UNBROKEN}}`, "gsu")) ?? [];
  const plain = parts.map(markdown).join("<wbr>");
  return `<code>${plain.replaceAll("://", "&#58;//").replace(/\bwww\./gi, "www&#46;")}</code>`;
}
