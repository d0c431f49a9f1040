/** Owns the live display: the phase at work, a bar for what is counted, and Nix's last line. */

import { createLogUpdate } from "log-update";
import type { Log, WorkState } from "../domain/ports.ts";
import { formatSeconds } from "../domain/size.ts";
import type { Environment } from "../host/environment.ts";
import { plainLine } from "../report/plain.ts";
import { fraction, progressWords } from "../report/progress.ts";
import {
  cut,
  type Output,
  painter,
  rowsOf,
  type Signs,
  signsFor,
  upAndErase,
  widthOf,
} from "./terminal.ts";

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
  const room = Math.min(BAR_MOST, Math.floor(width / 3));
  let line = "";
  if (part !== undefined) {
    const full = Math.round(part * room);
    line = `${signs.full.repeat(full)}${signs.empty.repeat(room - full)} `;
  }
  const [first = "", ...rest] = words;
  line += first;
  for (const word of rest) {
    if (line.length + 2 + word.length > width) break;
    line += `, ${word}`;
  }
  return line;
}
