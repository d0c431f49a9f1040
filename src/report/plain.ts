/** Owns making other people's text harmless: in a log, in Markdown, in an annotation. Pure. */

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
const CONTROL = /\u001b\[[0-9;?]*[ -/]*[@-~]|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/** Marks that turn the direction of text can make a name read as another one. */
const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** One line for the log: no escape sequences, and nothing the runner would take for a command. */
export function plainLine(text: string): string {
  return text
    .replace(CONTROL, "")
    .replace(BIDI, "")
    .replaceAll("##[", "## [")
    .replace(/^(\s*):(?=:)/, "$1: ");
}

/** Text inside a Markdown paragraph or table cell: every sign that Markdown or HTML gives a meaning. */
export function markdown(text: string): string {
  return text
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
    text
      .replace(CONTROL, "")
      .replace(BIDI, "")
      .match(new RegExp(`.{1,${UNBROKEN}}`, "gsu")) ?? [];
  const plain = parts.map(markdown).join("<wbr>");
  return `<code>${plain.replaceAll("://", "&#58;//").replace(/\bwww\./gi, "www&#46;")}</code>`;
}
