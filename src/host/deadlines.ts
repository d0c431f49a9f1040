/** Owns deadlines for many small tasks: those that begin at about the same time share one timer. */

interface Window {
  readonly signal: AbortSignal;
  readonly opened: number;
  readonly timer: NodeJS.Timeout;
  readonly controller: AbortController;
  /** Rejects the tasks under way. */
  readonly waiting: Set<(reason: unknown) => void>;
}

/**
 * A timer, a controller and a listener for each of 100,000 questions cost more than the questions.
 * Every task gets at least `milliseconds`, and at most a tenth more.
 */
export class Deadlines {
  private readonly milliseconds: number;
  private readonly late: () => Error;
  private current: Window | undefined;

  constructor(milliseconds: number, late: () => Error) {
    this.milliseconds = milliseconds;
    this.late = late;
  }

  /** Rejects when `signal` is aborted or time is up, even where `task` does not mind its signal. */
  run<T>(signal: AbortSignal, task: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const window = this.windowFor(signal);
      const { waiting, timer } = window;
      waiting.add(reject);
      // Only a task under way keeps the process alive.
      if (waiting.size === 1) timer.ref();
      const leave = () => {
        waiting.delete(reject);
        if (waiting.size > 0) return;
        timer.unref();
        if (window !== this.current) clearTimeout(timer);
      };
      task(window.controller.signal).then(
        (value) => {
          leave();
          resolve(value);
        },
        (error) => {
          leave();
          reject(error);
        },
      );
    });
  }

  private windowFor(signal: AbortSignal): Window {
    const now = performance.now();
    const { current, milliseconds } = this;
    const length = milliseconds / 10;
    if (current?.signal === signal && now - current.opened < length) return current;
    if (current?.waiting.size === 0) clearTimeout(current.timer);
    const controller = new AbortController();
    const waiting: Window["waiting"] = new Set();
    const end = (reason: unknown) => {
      clearTimeout(timer);
      if (this.current?.controller === controller) this.current = undefined;
      controller.abort(reason);
      for (const reject of waiting) reject(reason);
    };
    const timer = setTimeout(() => end(this.late()), milliseconds + length);
    signal.addEventListener("abort", () => end(signal.reason), { once: true });
    this.current = { signal, opened: now, timer, controller, waiting };
    return this.current;
  }
}
