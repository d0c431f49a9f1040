/** Owns the figures of builds on their way into a cache and back: a record beside the memos. */

import {
  type BuildFigures,
  type FigureStore,
  formatFigures,
  laterFigures,
  parseFigures,
} from "../domain/build-figures.ts";
import { describeError } from "../domain/errors.ts";
import type { MemoStore } from "../domain/memo.ts";
import type { Log } from "../domain/ports.ts";

/** Not sealed: a figure lets nothing be believed, and a run without secrets needs it just as much. */
export const FIGURES_KEY = "build-figures.json";
const FIGURES_MOST = 8 * 1024 * 1024;

export function figureStore(store: MemoStore, log: Log): FigureStore {
  const read = async (signal: AbortSignal): Promise<Map<string, BuildFigures>> => {
    const file = await store.read(FIGURES_KEY, signal);
    if (!file) return new Map();
    if (file.length > FIGURES_MOST) throw new Error(`it has ${file.length} bytes`);
    return parseFigures(Buffer.from(file).toString("utf8"));
  };
  const recall = async (signal: AbortSignal) => {
    try {
      return await read(signal);
    } catch (error) {
      signal.throwIfAborted();
      log.debug(`${FIGURES_KEY} is ignored: ${describeError(error)}`);
      return new Map<string, BuildFigures>();
    }
  };
  return {
    recall,
    async remember(figures, signal) {
      if (figures.length === 0) return;
      try {
        const kept = await recall(signal);
        for (const one of figures) kept.set(one.name, laterFigures(kept.get(one.name), one));
        await store.write(FIGURES_KEY, Buffer.from(formatFigures(kept.values())), signal);
      } catch (error) {
        signal.throwIfAborted();
        log.debug(`${FIGURES_KEY} was not written: ${describeError(error)}`);
      }
    },
  };
}
