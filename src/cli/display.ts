/** The live display: a line of each thing that is done, and below them, in at most five lines, what is under way. */

import type { WriteStream } from "node:tty";
import { styleText } from "node:util";
import { createLogUpdate } from "log-update";
import sliceAnsi from "slice-ansi";
import stringWidth from "string-width";
import type { Deed } from "../domain/job.ts";
import type { Log, WorkState } from "../domain/ports.ts";
import { formatSeconds } from "../domain/size.ts";
import { steadyWatch } from "../host/clock.ts";
import type { Environment } from "../host/environment.ts";
import { plainLine } from "../report/page.ts";
import { fraction, progressLine, progressWords } from "../report/text.ts";
import { type Sheet, type Style, verbLine } from "./terminal-report.ts";

/** Milliseconds between two drawings. */
const PACE = 100;
/** Milliseconds between two lines where nothing can be drawn anew. */
const STEADY_PACE = 5 * 60_000;
const BAR_MOST = 30;
/** Below so many columns there is no bar. */
const NARROW = 60;
/** Of the five lines that are drawn anew. */
const WATCHED_MOST = 3;

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

/** What is under way, by the first word of its title. */
const DOING: Readonly<Record<string, string>> = {
  Look: "Checking",
  Fetch: "Fetching",
  Build: "Building",
  Push: "Pushing",
  Verify: "Verifying",
  Pin: "Pinning",
  Audit: "Auditing",
};

/** `Building`, and what is left of its title where that says more. */
function doing(title: string): readonly [verb: string, rest: string] {
  const [, first = "", rest = ""] = /^(\w+)[:,]?\s*(.*)$/.exec(title) ?? [];
  const verb = DOING[first];
  if (verb === undefined) return ["Working", title];
  return [verb, first === "Look" ? "" : rest];
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
  const sheet = () => ({ width: widthOf(output), paint });

  const draw = () => {
    noticeSize(output);
    if (!phase) return;
    // Asked each time: a terminal may be made narrower while it is watched.
    const width = widthOf(output);
    const column = width < NARROW ? 8 : 10;
    const spin = signs.spinner[frame++ % signs.spinner.length] ?? "";
    const live = (title: string, words: string) => {
      const [verb] = doing(title);
      return `${paint(["bold", "cyan"], verb.padStart(column))} ${words}`;
    };
    const lines = [...watched]
      .slice(0, WATCHED_MOST)
      .map(({ what, state, begun }) =>
        live(what, barLine(state(), seconds(begun), width - column - 1, signs)),
      );
    if (lines.length === 0) {
      const [, rest] = doing(phase.title);
      const time = paint("dim", formatSeconds(seconds(phase.begun)));
      lines.push(live(phase.title, rest === "" ? time : `${rest} ${time}`));
    }
    const spinner = paint("cyan", spin.padStart(column));
    lines.push(line === "" ? spinner : `${spinner} ${paint("dim", line)}`);
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
  /** A line that stays, above what is live. */
  const keep = (text: string) => {
    noticeSize(output);
    screen.clear();
    drawn = [];
    output.write(`${text}\n`);
  };
  const finish = () => {
    noticeSize(output);
    screen.clear();
    phase = undefined;
    line = "";
    drawn = [];
  };
  const timer = setInterval(draw, PACE);
  output.on("resize", redraw);

  return {
    log: {
      group: (title) => {
        finish();
        phase = { title: plainLine(title), begun: performance.now() };
        draw();
      },
      // What was done has a line of its own; what failed is a finding.
      endGroup: () => undefined,
      info: (text) => {
        line = plainLine(text.split("\n").at(-1) ?? "").trim();
      },
      debug: () => undefined,
      did: (deed, what) => {
        keep(deedLine(deed, what, sheet()));
        draw();
      },
      watch: (what, state) => {
        const one = { what, state, begun: performance.now() };
        watched.add(one);
        return { [Symbol.dispose]: () => watched.delete(one) };
      },
    },
    end: finish,
    [Symbol.dispose]: () => {
      clearInterval(timer);
      output.off("resize", redraw);
      if (phase) {
        const [verb, rest] = doing(phase.title);
        const time = formatSeconds(seconds(phase.begun));
        const words = `${verb.toLowerCase()}${rest === "" ? "" : ` ${rest}`} after ${time}`;
        keep(verbLine("Stopped", words, sheet(), ["bold", "red"]));
        phase = undefined;
      }
      screen.done();
    },
  };
}

function deedLine(deed: Deed, what: string, sheet: Sheet): string {
  const style: Style = deed === "Failed" ? ["bold", "red"] : ["bold", "green"];
  return verbLine(deed, plainLine(what), sheet, style);
}

/** How much of it, a bar where there is an end to see, then as many words as fit behind it. */
export function barLine(state: WorkState, seconds: number, width: number, signs: Signs): string {
  const [first = "", ...rest] = progressWords(state, seconds);
  const part = fraction(state);
  let line = first;
  if (part !== undefined && width >= NARROW - 12) {
    const cells = Math.min(BAR_MOST, Math.floor(width / 3));
    const full = Math.round(part * cells);
    line += ` ${signs.full.repeat(full)}${signs.empty.repeat(cells - full)}`;
  }
  for (const [at, word] of [formatSeconds(seconds), ...rest].entries()) {
    const next = `${at === 0 ? " " : ", "}${word}`;
    if (line.length + next.length > width) break;
    line += next;
  }
  return line;
}

/** A stream that may be a terminal. */
export type Output = NodeJS.WritableStream & Partial<Pick<WriteStream, "isTTY" | "columns">>;

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
  readonly spinner: readonly string[];
}

const UNICODE: Signs = {
  full: "━",
  empty: " ",
  spinner: ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"],
};
const ASCII: Signs = {
  full: "#",
  empty: "-",
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

/** Lines for a file or a pipe: what is done, and that long work goes on; with `verbose` all that is logged. */
export function plainLog(
  print: (line: string) => void,
  detail: "usual" | "verbose" = "usual",
): Log {
  const plain: Sheet = { width: undefined, paint: (_, text) => text };
  const did = (deed: Deed, what: string) => print(verbLine(deed, plainLine(what), plain));
  if (detail === "usual") {
    return {
      group: () => undefined,
      endGroup: () => undefined,
      info: () => undefined,
      debug: () => undefined,
      did,
      watch: steadyWatch(print, steadyLine, STEADY_PACE),
    };
  }
  return {
    group: (title) => print(plainLine(title)),
    endGroup: () => undefined,
    info: (text) => {
      for (const line of text.split("\n")) print(`  ${plainLine(line)}`);
    },
    debug: (line) => print(`  ${plainLine(line)}`),
    did,
    watch: steadyWatch((line) => print(`  ${line}`), progressLine),
  };
}

/** `  Building bws-1.0.0, 14m so far`. */
export function steadyLine(what: string, state: WorkState, seconds: number): string {
  const [verb] = doing(what);
  const [first = ""] = progressWords(state, seconds);
  const words =
    state.now.length > 0 ? state.now.map(plainLine).join(", ") : first.replace(/ so far$/, "");
  return verbLine(verb, `${words}, ${formatSeconds(seconds)} so far`, {
    width: undefined,
    paint: (_, text) => text,
  });
}
