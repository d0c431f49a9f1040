/** Owns the proof that the documents speak the field's words, and that the files they name exist. */

import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { documents } from "./documents.ts";

const DOCUMENTS = await documents();

type Word = readonly [not: RegExp, but: string];

/** What we once called things, and what everybody else calls them: nowhere, not in comments either. */
const OLD_WORDS: readonly Word[] = [
  [/\btiers?\b/i, "binary cache, substituter"],
  [/\brooms?\b/i, "disk space; of the code: folder"],
  // The folder beside a cache's paths has had this name since version 1.0.0.
  [/\bmemos?\b(?!\/)/i, "evaluation record"],
  [/\brelief\b/i, "reclaim"],
  [/\bstrain(ed)?\b/i, "slow or failing answers"],
  [/\bdesks?\b/i, "command line"],
  [/\b_?standing_?\.\s|\bstanding of (a|the) user\b/i, "trusted user"],
];

/**
 * What no user is to read: neither in a document nor in a message. `own`, `upstream`, `missing`, `unknown` and `heavy`
 * are values and names of our inputs and outputs, so they cannot be here.
 */
const UNREAD: readonly Word[] = [
  [/\breckon\w*/i, "estimated"],
  [/\bhit rates?\b/i, "both numbers"],
  [/\bwithheld\b|\bkept back\b/i, "not pushed, not verified"],
  [/\bwanted by\b/i, "needed by"],
  [/\bin no cache\b/i, "in no binary cache"],
  [/\bleft out\b/i, "did not answer, could not be checked, skipped, not used"],
  [/\bfor want of\b/i, "since there is not enough"],
  [/\b(un)?mend(s|ed|ing)?\b|\bwhat is so\b/i, "fix, correct, repair; finding"],
  [/\b(is|are|was|were|not|it) whole\b|, whole\b/i, "complete"],
  [/\btrivial(ly)?\b/i, "built locally"],
  [/\bstaging\b/i, "nothing, or a temporary folder"],
  [/\bfresh machine\b/i, "another machine"],
  [/\brecall(s|ed)?\b/i, "same as the run of 14:02"],
  [/\bdear(er|est)?\b/i, "expensive; its size and time"],
];

/** The design's records keep the words of their day; these are read by whoever changes the code. */
const RECORDS = /^(CHANGELOG\.md$|docs\/adr\/)/;

function filesBelow(folder: string, ending: RegExp): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && ending.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
}

function oldWords(file: string, text: string, words: readonly Word[] = OLD_WORDS): string[] {
  return text
    .split("\n")
    .flatMap((line, at) =>
      words
        .filter(([old]) => old.test(line))
        .map(([old, better]) => `${file}:${at + 1} ${old.exec(line)?.[0]}: say ${better}`),
    );
}

/** Without names: inline code, and the titles of tests that a link goes to. */
function sentencesOf(text: string): string {
  return text
    .replace(/^( *)```[^\n]*\n[\s\S]*?^\1```$/gm, (block) => block.replace(/[^\n]/g, ""))
    .replace(/`[^`\n]*`/g, "…")
    .replace(/\[[^\]\n]*\]\([^)\s]*__tests__[^)\s]*\)/g, "…");
}

/**
 * What a source says: its strings and templates that are more than one word, in their lines, without comments,
 * expressions, and the texts of faults that only a programmer can make.
 */
function messagesOf(source: string): string {
  const tokens =
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`|'(?:[^'\\\n]|\\.)*'/g;
  let said = "";
  let from = 0;
  for (const { 0: token, index } of source.matchAll(tokens)) {
    said += source.slice(from, index).replace(/[^\n]/g, "");
    const words = token.startsWith("/") ? "" : token.replace(/\$\{[^{}]*\}/g, "…");
    said += words.includes(" ") ? words : token.replace(/[^\n]/g, "");
    from = index + token.length;
  }
  return said;
}

describe("the field's words are used", () => {
  test("in every document", () => {
    // The changelog says what became of them.
    const now = DOCUMENTS.filter(({ file }) => file !== "CHANGELOG.md");
    expect(now.flatMap(({ file, text }) => oldWords(file, text))).toEqual([]);
  });

  test("in every sentence of a document, and in every message", () => {
    const now = DOCUMENTS.filter(({ file }) => !RECORDS.test(file));
    expect(now.flatMap(({ file, text }) => oldWords(file, sentencesOf(text), UNREAD))).toEqual([]);
    const said = [...filesBelow("src", /\.ts$/), "action.yml", "package.json"].flatMap((file) => {
      const text = readFileSync(file, "utf8");
      return oldWords(file, file.endsWith(".ts") ? messagesOf(text) : text, UNREAD);
    });
    expect(said).toEqual([]);
  });

  test("and the test itself sees a message, but no name", () => {
    const source = [
      "// this is whole",
      'const a = "it is whole"; const b = "whole";',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is a source
      "throw new Error(`1 of ${mended(a)} left out`);",
    ].join("\n");
    expect(oldWords("a.ts", messagesOf(source), UNREAD)).toEqual([
      "a.ts:2 is whole: say complete",
      "a.ts:3 left out: say did not answer, could not be checked, skipped, not used",
    ]);
    const text = "It is `staging`, and [whole, too](__tests__/a.ts).\nIt is whole.";
    expect(oldWords("a.md", sentencesOf(text), UNREAD)).toEqual(["a.md:2 is whole: say complete"]);
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

describe("every error code", () => {
  const sources = readFileSync("src/domain/errors.ts", "utf8");
  const pages = readFileSync("docs/troubleshooting.md", "utf8");
  const codes = [...sources.matchAll(/^ +\| "(NCP-\d+)";? \/\/ (.+)$/gm)].map(
    ([, code = "", means = ""]) => ({ code, means }),
  );
  const headings = [...pages.matchAll(/^## (NCP-\d+)$/gm)].map(([, code]) => code);

  test("has a section of docs/troubleshooting.md, in order", () => {
    expect(codes.length).toBeGreaterThan(90);
    expect(headings).toEqual(codes.map(({ code }) => code).sort());
  });

  test.each(codes)("$code begins with what the code means: $means", ({ code, means }) => {
    const [, title = ""] = new RegExp(`^## ${code}\\n\\n\\*\\*(.+?)\\*\\*`, "m").exec(pages) ?? [];
    const plain = title.replace(/[.,:]$/, "").replaceAll("`", "");
    expect(plain.toLowerCase()).toBe(means.replaceAll("`", "").toLowerCase());
  });
});

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
