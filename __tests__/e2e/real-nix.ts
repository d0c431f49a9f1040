/** Owns asking the real Nix what it would do, and seeing what it does: what our verdicts must equal. */

import { spawn } from "node:child_process";
import type { Machine } from "../../scripts/machine.ts";

export interface Intention {
  /** Derivations, sorted. */
  readonly build: readonly string[];
  /** Paths, sorted. */
  readonly fetch: readonly string[];
}

/** Standard error of a Nix command; throws where it fails. */
export function messages(
  machine: Machine,
  program: string,
  args: readonly string[],
  cwd = machine.root,
): Promise<string> {
  return new Promise((done, fail) => {
    const child = spawn(program, args, {
      cwd,
      env: machine.environment,
      stdio: ["ignore", "ignore", "pipe"],
    });
    let text = "";
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    child.on("error", fail);
    child.on("close", (code) => {
      if (code === 0) done(text);
      else fail(new Error(`${program} ${args.join(" ")} ended with ${code}:\n${text}`));
    });
  });
}

/** A cache as the only substituter of one call. */
export function from(cache: string): string[] {
  return ["--option", "substituters", `file://${cache}?trusted=1`];
}

/** What a `--dry-run` said: `these 3 derivations will be built:` and the lines below it. */
export function parseDryRun(text: string): Intention {
  const build: string[] = [];
  const fetch: string[] = [];
  let into: string[] | undefined;
  for (const line of text.split("\n")) {
    if (/will be built:$/.test(line)) into = build;
    else if (/will be fetched \(.*\):$/.test(line)) into = fetch;
    else if (line.startsWith("  /")) into?.push(line.trim());
    else into = undefined;
  }
  return { build: build.sort(), fetch: fetch.sort() };
}

/** What a real run said that it did. */
export function parseRun(text: string): Intention {
  const all = (expression: RegExp) => [...text.matchAll(expression)].map(([, path = ""]) => path);
  return {
    build: all(/^building '([^']+)'/gm).sort(),
    fetch: all(/^copying path '([^']+)'/gm).sort(),
  };
}
