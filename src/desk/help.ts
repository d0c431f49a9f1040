/** Owns the help: one screen of 80 by 24. Pure. */

import { OPTIONS, SECRETS } from "./command.ts";

const WIDTH = 80;

export function helpText(): string {
  return `nix-cache-preflight COMMAND [TARGET …] [--OPTION VALUE …]

  check      what is cached, and what would another machine have to build?
  prefetch   and fetch what is cached
  warm       and build what is missing, push, verify and pin it
  audit      is what was pushed and pinned still there?
  setup      add --cache and --substituters to your Nix configuration, for good
  completion bash|zsh|fish

TARGET is an installable (.#name, nixpkgs#bws, '.#packages.SYSTEM.*'); without
one, every package of the flake here. Attributes follow: 'nixpkgs#bws pin=bws'.
Options are the action's inputs, with its defaults, but for --cache (none):
${wrapped(OPTIONS.map((name) => `--${name}`))}
  --json (the report on standard output)  --version  --help
Secrets: ${Object.values(SECRETS).join(", ")}.
Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`;
}

function wrapped(words: readonly string[]): string {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= WIDTH) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else lines.push(`  ${word}`);
  }
  return lines.join("\n");
}
