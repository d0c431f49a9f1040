/** The live display: the phase at work, a bar for what is counted, and Nix's last line. */

import type { WriteStream } from "node:tty";
import { styleText } from "node:util";
import { createLogUpdate } from "log-update";
import sliceAnsi from "slice-ansi";
import stringWidth from "string-width";
import wrapAnsi from "wrap-ansi";
import type { Log, WorkState } from "../domain/ports.ts";
import { formatSeconds } from "../domain/size.ts";
import { steadyWatch } from "../host/clock.ts";
import type { Environment } from "../host/environment.ts";
import { plainLine } from "../report/page.ts";
import { fraction, progressLine, progressWords } from "../report/text.ts";

/** Milliseconds between two drawings. */
const PACE = 100;
const BAR_MOST = 24;

/** Disposing of it before its end says that the phase at work was broken off. */
export interface Display extends Disposable {
  readonly log: Log;
  end(): void;
}

interface Watched {
  readonly what: string;
  readonly state: () => WorkState;
  readonly begun: number;
}

export function display(output: Output, environment: Environment): Display {
  const screen = createLogUpdate(output as NodeJS.WriteStream);
  const signs = signsFor(environment);
  const paint = painter(output);
  const watched = new Set<Watched>();
  let phase: { readonly title: string; readonly begun: number } | undefined;
  let line = "";
  let frame = 0;
  let drawn: readonly string[] = [];
  const seconds = (since: number) => (performance.now() - since) / 1000;

  const draw = () => {
    noticeSize(output);
    if (!phase) return;
    // Asked each time: a terminal may be made narrower while it is watched.
    const width = widthOf(output);
    const spin = signs.spinner[frame++ % signs.spinner.length] ?? "";
    const time = formatSeconds(seconds(phase.begun));
    const lines = [`${paint("cyan", spin)} ${phase.title} ${paint("dim", time)}`];
    for (const { state, begun } of watched) {
      lines.push(`  ${barLine(state(), seconds(begun), width - 2, signs)}`);
    }
    if (line !== "") lines.push(paint("dim", `  ${line}`));
    drawn = lines.map((one) => cut(one, width));
    screen(drawn.join("\n"));
  };
  /** A narrower terminal breaks the lines that stand there, and there are more to take back than were written. */
  const redraw = () => {
    const columns = output.columns ?? 80;
    const more = drawn.reduce((sum, one) => sum + Math.max(0, rowsOf(one, columns) - 1), 0);
    if (more > 0) output.write(upAndErase(more));
    screen.clear();
    drawn = [];
    draw();
  };
  const finish = (sign: string) => {
    if (!phase) return;
    noticeSize(output);
    const time = formatSeconds(seconds(phase.begun));
    screen.clear();
    output.write(`${cut(`${sign} ${phase.title} ${paint("dim", time)}`, widthOf(output))}\n`);
    phase = undefined;
    line = "";
    drawn = [];
  };
  const timer = setInterval(draw, PACE);
  output.on("resize", redraw);

  return {
    log: {
      group: (title) => {
        finish(paint("green", signs.done));
        phase = { title: plainLine(title), begun: performance.now() };
        draw();
      },
      // It ends like this when it fails, too: the next phase, or the end, tells that it did not.
      endGroup: () => undefined,
      info: (text) => {
        line = plainLine(text.split("\n").at(-1) ?? "").trim();
      },
      debug: () => undefined,
      watch: (what, state) => {
        const one = { what, state, begun: performance.now() };
        watched.add(one);
        return { [Symbol.dispose]: () => watched.delete(one) };
      },
    },
    end: () => finish(paint("green", signs.done)),
    [Symbol.dispose]: () => {
      clearInterval(timer);
      output.off("resize", redraw);
      finish(paint("red", signs.failed));
      screen.done();
    },
  };
}

/** A bar where there is an end to see, then as many words as fit behind it. */
export function barLine(state: WorkState, seconds: number, width: number, signs: Signs): string {
  const words = progressWords(state, seconds);
  const part = fraction(state);
  const cells = Math.min(BAR_MOST, Math.floor(width / 3));
  let line = "";
  if (part !== undefined) {
    const full = Math.round(part * cells);
    line = `${signs.full.repeat(full)}${signs.empty.repeat(cells - full)} `;
  }
  const [first = "", ...rest] = words;
  line += first;
  for (const word of rest) {
    if (line.length + 2 + word.length > width) break;
    line += `, ${word}`;
  }
  return line;
}

/** A stream that may be a terminal. */
export type Output = NodeJS.WritableStream & Partial<Pick<WriteStream, "isTTY" | "columns">>;

export type Style = Parameters<typeof styleText>[0];

/** Whether lines can be taken back and drawn anew. */
export function isLively(output: Output, environment: Environment): boolean {
  return output.isTTY === true && environment["TERM"] !== "dumb";
}

/**
 * A terminal that was made narrower is noticed before the next line and not by a signal after it: what was
 * drawn for the old width has wrapped by then. Node looks at the size itself, and tells `resize`.
 */
function noticeSize(output: Output): void {
  (output as { _refreshSize?: () => void })._refreshSize?.();
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
function upAndErase(rows: number): string {
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

export function plainLog(
  print: (line: string) => void,
  detail: "usual" | "verbose" = "usual",
): Log {
  return {
    group: (title) => print(plainLine(title)),
    endGroup: () => undefined,
    info: (text) => {
      for (const line of text.split("\n")) print(`  ${plainLine(line)}`);
    },
    debug: (line) => {
      if (detail === "verbose") print(`  ${plainLine(line)}`);
    },
    watch: steadyWatch((line) => print(`  ${line}`), progressLine),
  };
}
