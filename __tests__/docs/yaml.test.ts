/** Owns the proof that every YAML a reader may copy is one the action takes: inputs, values, outputs. */

import { readFile } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import { workflowFiles } from "../../scripts/supply-chain.ts";
import { userError } from "../support/thrown.ts";
import { type Block, blocksOf, documents } from "./documents.ts";
import { checkUsage } from "./usage.ts";

const BLOCKS: readonly Block[] = (await documents())
  .flatMap(blocksOf)
  .filter(({ language }) => /^ya?ml$/.test(language));

const FILES = (await workflowFiles()).map((file) => ({ file }));

describe("YAML", () => {
  test.each(BLOCKS)("at $file:$line", ({ text: source }) => {
    const { problems, ours, theirs } = checkUsage(source);
    expect(problems).toEqual([]);
    expect(ours + theirs).toBeGreaterThan(0);
  });

  test.each(FILES)("in $file", async ({ file }) => {
    const { problems } = checkUsage(await readFile(file, "utf8"));
    expect(problems).toEqual([]);
  });
});

describe("the test itself sees", () => {
  const step = (line: string) =>
    `- uses: nix-cache-preflight/nix-cache-preflight@v1\n  with:\n    ${line}\n`;

  test.each([
    ["an input that does not exist", "pushes: auto", '"pushes" is not an input'],
    ["a value that is not legal", "mode: worm", 'mode: "worm" is not legal'],
    ["a cache that cannot be read", "cache: cachix", "cache"],
  ])("%s", (_, line, message) => {
    const error = userError(() => checkUsage(step(line)));
    expect(error.message).toContain(message);
  });

  test.each([
    [
      "an output that does not exist",
      `- run: echo \${{ steps.preflight.outputs.hits }}\n${step("mode: check")}`,
      "there is no output hits",
    ],
    [
      "a foreign input that does not exist",
      "- uses: cachix/cachix-action@v17\n  with:\n    push: false\n",
      "cachix/cachix-action@v17 has no push",
    ],
    [
      "a called workflow's input that does not exist",
      "uses: nix-cache-preflight/nix-cache-preflight/.github/workflows/plan-matrix-verify.yml@v1\nwith:\n  target: .#a\n",
      ".github/workflows/plan-matrix-verify.yml has no target",
    ],
  ])("%s", (_, source, problem) => {
    expect(checkUsage(source).problems).toEqual([problem]);
  });
});
