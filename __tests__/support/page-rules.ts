/** Owns the rules that every page of the job summary keeps, as far as they can be counted. */

/** What is in neither the Nix manual nor GitHub's interface is not on a page. */
const BANNED =
  /\b(tier|memo|reckoned|staging|trivial|withheld|hit rate|wanted by|left out|mends|upstream only)\b/i;

/** Names, as code or verbatim, are other people's words. */
function ownWords(page: string): string {
  return page
    .replace(/^`{3,}[\s\S]*?^`{3,}$/gm, "")
    .replace(/<code>.*?<\/code>/g, "")
    .replace(/\]\([^)]*\)/g, "]");
}

function tables(page: string): string[] {
  return [...page.matchAll(/(?:^\|.*(?:\n|$))+/gm)].map(([table]) => table);
}

/** What is wrong with a page; empty where nothing is. Several pages of one job may stand in it. */
export function faultsOf(text: string): string[] {
  if (text === "") return [];
  const faults: string[] = [];
  const plain = text.replace(/^(`{3,})[\s\S]*?^\1$/gm, "");
  if (/^(#{1,2}|#{4,}) /m.test(plain)) faults.push("another level of heading");
  const pages = text.split(/^(?=### )/m).filter((page) => page.trim() !== "");
  for (const page of pages) faults.push(...faultsOfOne(page));
  return faults;
}

function faultsOfOne(page: string): string[] {
  const faults: string[] = [];
  const [heading = ""] = page.split("\n");
  const words = heading.replace(/^### /, "").replace(/&#\d+;|&\w+;/g, "x");
  if (!/^(✅|🔨|⚠️|❌) Nix cache( audit)?: \S/.test(words)) faults.push(`heading: ${heading}`);
  if ([...words].length > 82) faults.push(`a heading of ${[...words].length}: ${heading}`);
  if (/[.!]$/.test(words)) faults.push(`a heading with a full stop: ${heading}`);
  const open = page.replace(/<details>[\s\S]*?<\/details>/g, "");
  const folds = page.split("<details>").length - 1;
  if (folds > 3) faults.push(`${folds} folds`);
  if (page.split("<sub>").length - 1 !== 1) faults.push("no footer, or two");
  if (open.split("**Fix:**").length - 1 > 1) faults.push("two fixes");
  for (const table of tables(page)) faults.push(...faultsOfTable(table, open));
  const own = ownWords(page);
  const zero = /(?<![\d.])0 (B|kB|MB|GB)\b/.exec(own.replaceAll("\u00a0", " "));
  if (zero) faults.push("a size of nothing");
  const banned = BANNED.exec(own);
  if (banned) faults.push(`the word ${banned[0]}`);
  const breakable = /\d (?:GB|MB|kB)\b|\d[mh] \d+[ms]\b/.exec(own);
  if (breakable) faults.push(`a number that can break: ${breakable[0]}`);
  if (/\b0\.0s last time/.test(own)) faults.push("a time of nothing");
  const odd = /\b1 (paths|targets|derivations|checks|answers|caches|pins)\b/.exec(own);
  if (odd) faults.push(odd[0]);
  if (/undefined|NaN|\[object/.test(own)) faults.push("a value that is none");
  if (/<(?:code|summary)><\//.test(page)) faults.push("an empty name");
  return faults;
}

function faultsOfTable(table: string, open: string): string[] {
  const faults: string[] = [];
  const rows = table
    .trim()
    .split("\n")
    .map((row) =>
      row
        .replace(/^\||\|$/g, "")
        .split("|")
        .map((cell) => cell.trim()),
    );
  const [head = [], , ...cells] = rows;
  if (head.length > 3) faults.push(`${head.length} columns`);
  if (rows.some((row) => row.length !== head.length)) faults.push(`uneven rows: ${table}`);
  if (head[0] === "State" && cells.some(([state = ""]) => /^[^,]* /.test(state))) {
    faults.push("a state that can break");
  }
  if (open.includes(table) && cells.length > 5) faults.push(`${cells.length} rows stand open`);
  head.forEach((title, at) => {
    const said = new Set(cells.map((row) => row[at]));
    if (cells.length > 1 && said.size === 1) faults.push(`the column "${title}" says one thing`);
  });
  return faults;
}

/** The headline of each page, without its icon. */
export function headlinesOf(text: string): string[] {
  return [...text.matchAll(/^### \S+ Nix cache(?: audit)?: (.*)$/gm)].map(([, words = ""]) =>
    words
      .replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)))
      .replaceAll("&lt;", "<")
      .replaceAll("&gt;", ">")
      .replaceAll("&amp;", "&")
      .replaceAll("\u00a0", " "),
  );
}
