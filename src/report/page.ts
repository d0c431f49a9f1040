/** The parts of a page: heading, tables, folds, and names in them that nothing takes for Markdown. Pure. */

import { withoutCredentials } from "../domain/location.ts";
import { number } from "../domain/size.ts";

/** GitHub refuses a step's summary over 1 MiB whole. */
const BYTES_MOST = 1024 * 1024;
/** Rows of a table that folds; what is beyond stands in the report. */
export const ROWS_MOST = 100;

/** The most that a heading has behind its icon and `Nix cache: `. */
export const LONGEST = 66;

/** Where a file's line can be looked at; undefined where nobody knows. */
export type LinkTo = (file: string, line: number) => string | undefined;

/** Heading, parts and footer: parts in their order as long as they fit, the ends at any rate. */
export function page(
  heading: string,
  parts: readonly string[],
  footer: string,
  most = BYTES_MOST,
): string {
  const note = "The rest of this page was too long; the JSON report has all of it.";
  const ends = [heading, note, footer].reduce((sum, one) => sum + Buffer.byteLength(one) + 2, 0);
  let left = most - ends;
  const kept: string[] = [];
  let cut = false;
  for (const part of parts) {
    if (part === "") continue;
    const bytes = Buffer.byteLength(unbroken(part)) + 2;
    if (bytes > left) cut = true;
    else {
      left -= bytes;
      kept.push(part);
    }
  }
  return `${unbroken([heading, ...kept, ...(cut ? [note] : []), footer].join("\n\n"))}\n`;
}

/** A number and its unit are never broken; what stands between fences stays as it is. */
function unbroken(text: string): string {
  return text
    .split(/(^`{3,}[\s\S]*?^`{3,}$)/m)
    .map((part, at) =>
      at % 2 === 1
        ? part
        : part
            .replace(/(\d) (?=(?:B|kB|MB|GB|TB)\b)/g, "$1\u00a0")
            .replace(/(\d[hm]) (?=\d+[ms]\b)/g, "$1\u00a0"),
    )
    .join("");
}

/** `>` in front of a column's name: numbers, set right and never broken. */
export type Row = readonly string[];

/**
 * A table of cells. A column in which nothing stands, or the same in every row, is left out: the
 * sentence above says it.
 */
export function grid(columns: Row, rows: readonly Row[]): string {
  const says = (at: number) => {
    const values = new Set(rows.map((row) => row[at] ?? ""));
    const [only] = values;
    if (values.size === 1) return only !== "" && (rows.length === 1 || at === 0);
    return true;
  };
  const kept = columns.flatMap((_, at) => (says(at) ? [at] : []));
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const isNumber = (at: number) => columns[at]?.startsWith(">");
  const head = kept.map((at) => (columns[at] ?? "").replace(/^>/, ""));
  const rule = kept.map((at) => (isNumber(at) ? "--:" : ":--"));
  const shown = rows
    .slice(0, ROWS_MOST)
    .map((row) =>
      line(
        kept.map((at) =>
          isNumber(at) ? (row[at] ?? "").replaceAll(" ", "\u00a0") : (row[at] ?? ""),
        ),
      ),
    );
  const more = rows.length - shown.length;
  return [
    [line(head), `|${rule.join("|")}|`, ...shown].join("\n"),
    ...(more > 0 ? [`And ${number(more)} more, in the report.`] : []),
  ].join("\n\n");
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

/** `ci.yml:9` for `.github/workflows/ci.yml:9`, as a link where that can be made. */
export function placed(where: string, linkTo: LinkTo): string {
  const [, file, line] = /^([^:\s]+):(\d+)$/.exec(where) ?? [];
  const short = where.replace(/^\.github\/workflows\//, "");
  return linked(short, file === undefined ? undefined : linkTo(file, Number(line)));
}

/** Lines as somebody else wrote them, in a fence that none of them closes. */
export function verbatim(lines: readonly string[]): string {
  const text = lines.map((line) => plainLine(line).trimEnd());
  const ticks = text.flatMap((line) => line.match(/`{3,}/g) ?? []).map(({ length }) => length);
  const fence = "`".repeat(Math.max(2, ...ticks) + 1);
  return [fence, ...text, fence].join("\n");
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

/** Where a name may be broken at any place: a cell as wide as the longest one would push the others off. */
const UNBROKEN = 60;
/** From here on it may be broken behind a dot, a slash or a hash. */
const SHORT = 24;

/** A name in code style; HTML, because a backtick in a name would end Markdown's. No address in it becomes a link. */
export function code(text: string): string {
  const parts =
    withoutCredentials(text)
      .replace(CONTROL, "")
      .replace(BIDI, "")
      .match(new RegExp(`.{1,${UNBROKEN}}`, "gsu")) ?? [];
  const long = text.length > SHORT;
  const plain = parts
    .map((part) =>
      long
        ? part
            .split(/(?<=[./#])(?=[^./#])/)
            .map(markdown)
            .join("<wbr>")
        : markdown(part),
    )
    .join("<wbr>");
  return `<code>${plain.replaceAll("://", "&#58;//").replace(/\bwww\./gi, "www&#46;")}</code>`;
}

/** One sentence: without hashes, with a capital and a full stop. */
export function sentence(text: string): string {
  const plain = plainLine(text)
    .replace(/\b[0-9a-z]{32}-/g, "")
    .replace(/\/nix\/store\/(?=\S)/g, "")
    .trim();
  return /[.!?:]$/.test(plain) ? capital(plain) : `${capital(plain)}.`;
}

export function capital(text: string): string {
  // A command, an address or an attribute begins as it does, and so does one in a file.
  return /^[a-z]+[ ,](?!file=)/.test(text)
    ? `${text.charAt(0).toUpperCase()}${text.slice(1)}`
    : text;
}
