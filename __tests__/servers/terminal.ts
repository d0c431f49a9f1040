/** Owns a real terminal for tests: tmux, which shows what a screen shows; one server for each. */

import { execFile } from "node:child_process";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";
import { temporaryFolder } from "../support/folder.ts";

const run = promisify(execFile);

export interface Terminal extends AsyncDisposable {
  /** The rows that are shown, and those that scrolled away, without trailing spaces. */
  screen(): Promise<string>;
  /** The same with colours and styles as escape sequences. */
  painted(): Promise<string>;
  /** Waits until the screen matches; throws with what it shows where it does not in `seconds`. */
  shows(pattern: RegExp, seconds?: number): Promise<string>;
  resize(columns: number, rows: number): Promise<void>;
  type(keys: readonly string[]): Promise<void>;
}

export interface TerminalOptions {
  readonly columns: number;
  readonly rows: number;
  readonly cwd: string;
  /** All that the command sees, beside what the terminal adds. */
  readonly environment: Readonly<Record<string, string>>;
}

/** Runs `command` in a shell; the screen stays when it has ended. */
export async function openTerminal(
  command: string,
  { columns, rows, cwd, environment }: TerminalOptions,
): Promise<Terminal> {
  const folder = await temporaryFolder();
  const socket = folder.at("tmux");
  const tmux = async (...args: string[]) =>
    (await run("tmux", ["-S", socket, "-f", "/dev/null", ...args], { env: environment })).stdout;
  const settings = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  // Ctrl-C is the command's to answer; the shell stays to tell how it ended.
  const script = await folder.write(
    "run",
    `trap : INT\n${command}\necho "ended with $?"\nexec sleep 600\n`,
  );
  await tmux(
    ...["new-session", "-d", "-x", String(columns), "-y", String(rows), "-c", cwd],
    ...["env", "-i", ...settings, "TERM=screen-256color", "bash", script],
  );
  const screen = () => tmux("capture-pane", "-p", "-S", "-500");
  return {
    screen,
    painted: () => tmux("capture-pane", "-p", "-e", "-S", "-500"),
    async shows(pattern, seconds = 60) {
      const until = Date.now() + seconds * 1000;
      for (;;) {
        const text = await screen();
        if (pattern.test(text)) return text;
        if (Date.now() > until) throw new Error(`no ${pattern} in ${seconds} s, but:\n${text}`);
        await wait(50);
      }
    },
    resize: async (width, height) => {
      await tmux("resize-window", "-x", String(width), "-y", String(height));
    },
    type: async (keys) => {
      await tmux("send-keys", "--", ...keys);
    },
    [Symbol.asyncDispose]: async () => {
      await tmux("kill-server").catch(() => undefined);
      await folder[Symbol.asyncDispose]();
    },
  };
}
