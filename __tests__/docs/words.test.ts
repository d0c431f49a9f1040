/** Owns the proof that the documents speak the field's words, and that the files they name exist. */

import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { documents } from "./documents.ts";

const DOCUMENTS = await documents();

/** What we once called things, and what everybody else calls them. */
const OLD_WORDS: readonly (readonly [RegExp, string])[] = [
  [/\btiers?\b/i, "binary cache, substituter"],
  [/\brooms?\b/i, "disk space; of the code: folder"],
  // The folder beside a cache's paths has had this name since version 1.0.0.
  [/\bmemos?\b(?!\/)/i, "evaluation record"],
  [/\brelief\b/i, "reclaim"],
  [/\bstrain(ed)?\b/i, "slow or failing answers"],
  [/\bdesks?\b/i, "command line"],
  [/\b_?standing_?\.\s|\bstanding of (a|the) user\b/i, "trusted user"],
];

function filesBelow(folder: string, ending: RegExp): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && ending.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
}

function oldWords(file: string, text: string): string[] {
  return text
    .split("\n")
    .flatMap((line, at) =>
      OLD_WORDS.filter(([old]) => old.test(line)).map(
        ([old, better]) => `${file}:${at + 1} ${old.exec(line)?.[0]}: say ${better}`,
      ),
    );
}

describe("the field's words are used", () => {
  test("in every document", () => {
    // The changelog says what became of them.
    const now = DOCUMENTS.filter(({ file }) => file !== "CHANGELOG.md");
    expect(now.flatMap(({ file, text }) => oldWords(file, text))).toEqual([]);
  });

  test("in action.yml, package.json, workflows and examples", () => {
    const files = [
      "action.yml",
      "package.json",
      ...filesBelow(".github", /\.yml$/),
      ...filesBelow("examples", /\.(yml|nix)$/),
    ];
    expect(files.flatMap((file) => oldWords(file, readFileSync(file, "utf8")))).toEqual([]);
  });

  test("in the names of files and in the comments of src", () => {
    const files = [...filesBelow("docs", /./), ...filesBelow("src", /\.ts$/)];
    expect(files.flatMap((file) => oldWords(file, basename(file).replaceAll("-", " ")))).toEqual(
      [],
    );
    const comments = filesBelow("src", /\.ts$/).flatMap((file) => {
      const lines = readFileSync(file, "utf8").split("\n");
      return oldWords(
        file,
        lines.map((line) => (/^\s*(\/?\*|\/\/)/.test(line) ? line : "")).join("\n"),
      );
    });
    expect(comments).toEqual([]);
  });
});

/** Files of ours as documents name them: from the repository's top, or from src/. */
const NAMED = /`((?:[a-z0-9-]+\/)+[a-z0-9-]+\.(?:ts|js|yml|json|md|sh))`/g;
/** What no checkout holds: other projects' files, what a run or a user makes. */
const NOT_OURS = /^(demo-out|memos|nix|npins|\.github)\//;

describe("the files that a document names", () => {
  test.each(DOCUMENTS)("exist: $file", ({ file, text }) => {
    const there = new Set([
      ...filesBelow("src", /./),
      ...filesBelow("dist", /./),
      ...["scripts", "docs", "examples", "bench", "__tests__", ".github"].flatMap((folder) =>
        filesBelow(folder, /./),
      ),
    ]);
    const missing = [...text.matchAll(NAMED)]
      .map(([, name = ""]) => name)
      .filter((name) => !there.has(name) && !there.has(join("src", name)))
      .filter((name) => !NOT_OURS.test(name) || there.has(join("src", name)));
    expect([file, missing]).toEqual([file, []]);
  });

  test("exist in ARCHITECTURE.md, also those named without a folder", () => {
    const names = new Set(filesBelow("src", /\.ts$/).map((file) => basename(file)));
    const text = readFileSync("ARCHITECTURE.md", "utf8");
    const bare = [...text.matchAll(/`([a-z0-9-]+\.ts)`/g)].map(([, name = ""]) => name);
    expect(bare.filter((name) => !names.has(name) && name !== "contract.ts")).toEqual([]);
    const folders = [
      ...text.matchAll(/`((?:src|__tests__|docs|examples|scripts)\/[a-z0-9/_-]*\/)`/g),
    ];
    expect(folders.length).toBeGreaterThan(8);
    for (const [, folder = ""] of folders) expect(readdirSync(folder)).not.toEqual([]);
  });
});
