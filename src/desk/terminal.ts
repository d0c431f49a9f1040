/** Owns what a terminal can show: its width, its colours, its signs. */

import type { WriteStream } from "node:tty";
import { styleText } from "node:util";
import sliceAnsi from "slice-ansi";
import stringWidth from "string-width";
import wrapAnsi from "wrap-ansi";
import type { Environment } from "../host/environment.ts";

/** A stream that may be a terminal. */
export type Output = NodeJS.WritableStream & Partial<Pick<WriteStream, "isTTY" | "columns">>;

export type Style = Parameters<typeof styleText>[0];

/** Whether lines can be taken back and drawn anew. */
export function isLively(output: Output, environment: Environment): boolean {
  return output.isTTY === true && environment["TERM"] !== "dumb";
}

/** Columns to write in; the last one is left free, where some terminals begin a new line. */
export function widthOf(output: Output): number {
  return Math.max(10, (output.columns ?? 80) - 1);
}

/** NO_COLOR, FORCE_COLOR, TERM and pipes are Node's to judge. */
export function painter(output: Output): (style: Style, text: string) => string {
  return (style, text) => styleText(style, text, { stream: output as NodeJS.WriteStream });
}

export interface Signs {
  readonly full: string;
  readonly empty: string;
  readonly done: string;
  readonly failed: string;
  readonly spinner: readonly string[];
}

const UNICODE: Signs = {
  full: "█",
  empty: "░",
  done: "✔",
  failed: "✖",
  spinner: ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"],
};
const ASCII: Signs = {
  full: "#",
  empty: "-",
  done: "*",
  failed: "x",
  spinner: ["-", "\\", "|", "/"],
};

/** What the locale can write. POSIX: LC_ALL before LC_CTYPE before LANG. */
export function signsFor(environment: Environment): Signs {
  const locale = environment["LC_ALL"] || environment["LC_CTYPE"] || environment["LANG"] || "";
  return /utf-?8/i.test(locale) ? UNICODE : ASCII;
}

/** The line as far as it fits; what is cut ends with a dot or three. */
export function cut(line: string, width: number): string {
  if (stringWidth(line) <= width) return line;
  return `${sliceAnsi(line, 0, Math.max(1, width - 1))}…`;
}

/** Rows that a line takes where so many columns are. */
export function rowsOf(line: string, columns: number): number {
  return Math.max(1, Math.ceil(stringWidth(line) / Math.max(1, columns)));
}

/** Cursor up by so many rows, and all below it gone. Source: ECMA-48, CUU and ED. */
export function upAndErase(rows: number): string {
  return `\u001b[${rows}A\u001b[0J`;
}

/** Broken at spaces, and in words only where nothing else helps; further lines stand below the first's text. */
export function wrap(line: string, width: number): string {
  if (stringWidth(line) <= width) return line;
  const indent = /^ */.exec(line)?.[0] ?? "";
  const hanging = `${indent}  `;
  const broken = wrapAnsi(line.slice(indent.length), Math.max(8, width - hanging.length), {
    hard: true,
  });
  return `${indent}${broken.split("\n").join(`\n${hanging}`)}`;
}
