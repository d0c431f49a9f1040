import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { typed } from "../../src/cli/typed.ts";

/** Folders whose hints a command can show; those of action/ are a workflow's alone. */
const FOLDERS = ["domain", "engine", "nix", "host", "caches"];

/** Every string of the sources that speaks to the author of a workflow. */
const STRINGS = FOLDERS.flatMap((folder) =>
  readdirSync(join("src", folder), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.startsWith("github"))
    .flatMap((file) => {
      const text = readFileSync(join("src", folder, file), "utf8");
      const beside = [...text.matchAll(/"([^"\n]*\b(?:put a step|before this)\b[^"\n]*)"/g)];
      const hints = [...text.matchAll(/hint:\s*(["'`])(.*?)\1|_HINT =\s*(["'`])(.*?)\3/gs)].map(
        ([, , a, , b]) => a ?? b ?? "",
      );
      return [...hints, ...beside.map(([, one = ""]) => one)];
    }),
);

test("no hint of a command speaks of steps, runners and their variables", () => {
  expect(STRINGS.length).toBeGreaterThan(50);
  const workflow = /\b(this|the|a) (step|runner|job)\b|before this|RUNNER_TEMP|GITHUB_\w+/;
  const audit = /workflow|repository/;
  const left = STRINGS.filter((hint) => !audit.test(hint) && workflow.test(typed(hint)));
  expect(left).toEqual([]);
});

test.each([
  [
    "put a step that installs it before this one (uses: cachix/install-nix-action@v31), or set install-nix: true",
    "install it from https://nixos.org/download",
  ],
  [
    "free disk space (reclaim: auto), or run it again",
    "free disk space (--reclaim auto), or run it again",
  ],
  [
    'git config --global --add safe.directory "$PWD"',
    'git config --global --add safe.directory "$PWD"',
  ],
  [
    "run this action with mode: warm on the default branch",
    "run nix-cache-preflight warm on the default branch",
  ],
  [
    "write each on a line of its own: targets: |, and below it .#a and .#b",
    "write each as an argument of its own: .#a .#b",
  ],
  ["write one of github, cachix:NAME, none", "write one of cachix:NAME, none"],
  ["the push: it was refused", "the push: it was refused"],
])("%s: %s", (hint, expected) => {
  expect(typed(hint)).toBe(expected);
});
