/** Owns showing a run at a desk: the report's lines, in the width and the colours of the terminal. */

import type { Run } from "../engine/run.ts";
import { findingLines, textReport } from "../report/text.ts";
import { closing } from "../report/words.ts";
import { type Output, painter, type Style, widthOf, wrap } from "./terminal.ts";

/** How a line is painted, by what it begins with. */
const STYLES: readonly (readonly [RegExp, Style])[] = [
  [/^error\b/, "red"],
  [/^warning\b/, "yellow"],
  [/^notice\b/, "dim"],
  [/^ {2}→/, "cyan"],
  [/^ {2}\S.*: (missing|failed)/, "yellow"],
  [/^ {2}\S.*: (own|upstream|cached now)/, "green"],
];

export function showRun(run: Run, output: Output): void {
  const paint = painter(output);
  const print = (line: string, style?: Style) => {
    const shown = output.isTTY ? wrap(line, widthOf(output)) : line;
    output.write(`${style === undefined ? shown : paint(style, shown)}\n`);
  };
  const [headline = "", ...lines] = textReport(run);
  print(headline, "bold");
  for (const line of [...lines, ...findingLines(run)]) {
    print(line, STYLES.find(([pattern]) => pattern.test(line))?.[1]);
  }
  print(closing(run));
}
