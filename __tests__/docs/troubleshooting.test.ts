/** Owns the proof that the page of each code speaks of what is thrown or found with it, in the same words. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";

const FILES = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts") && !name.endsWith("errors.ts"))
  .map((name) => readFileSync(join("src", name), "utf8"));

const PAGE = readFileSync("docs/troubleshooting.md", "utf8");

const CODES = [
  ...readFileSync("src/domain/errors.ts", "utf8").matchAll(/^ {2}\| "(NCP-\d{3})"/gm),
].map(([, code = ""]) => code);

/** Texts of a piece of source that are sentences, without what is put in. */
function texts(source: string): string[] {
  return [...source.matchAll(/`((?:[^`\\]|\\.)*)`|"((?:[^"\\\n]|\\.)*)"/g)]
    .map(([, template, plain]) => (template ?? plain ?? "").replace(/\$\{[^}]*\}/g, " "))
    .filter((text) => /\S \S/.test(text));
}

/** A top-level function, constant or class: from the blank line before it to its end. */
function blockAround(file: string, at: number): string {
  const begin = Math.max(0, file.lastIndexOf("\n}\n", at));
  const end = file.indexOf("\n}\n", at);
  return file.slice(begin, end < 0 ? undefined : end);
}

function functionNamed(file: string, name: string): string {
  const at = file.search(new RegExp(`^(?:export )?(?:async )?function ${name}\\b`, "m"));
  return at < 0 ? "" : file.slice(at, file.indexOf("\n}\n", at));
}

/** All that is said near a code: where it is thrown, and in what is called on the line that names it. */
function saidWith(code: string): string {
  return FILES.flatMap((file) =>
    [...file.matchAll(new RegExp(code, "g"))].flatMap(({ index }) => {
      const line = file.slice(file.lastIndexOf("\n", index), file.indexOf("\n", index));
      const called = [...line.matchAll(/\b([a-z]\w+)\b(?=[()])/g)].map(([, name = ""]) => name);
      const near = file.slice(Math.max(0, index - 400), index + 700);
      // A check of the audit hands its work to functions beside it.
      if (/\brule\(\s/.test(file.slice(index - 60, index)) || /\brule\("/.test(line))
        return texts(file);
      const block = blockAround(file, index);
      const parts = [
        block.length < 4_000 ? block : near,
        ...called.map((name) => functionNamed(file, name)),
      ];
      return parts.flatMap(texts);
    }),
  ).join("\n");
}

/** Words that carry a meaning, without their endings. */
function words(text: string): Set<string> {
  const all = text.toLowerCase().match(/[a-z][a-z-]{2,}/g) ?? [];
  const stems = all.map((word) => word.replace(/(?:ing|ed|es|s|ly)$/, ""));
  return new Set(stems.filter((word) => word.length > 2 && !COMMON.has(word)));
}

const COMMON = new Set(
  "the and that this which what with where from there then than they them their has have had was were are not for but its one can may will would and all any out who into only other another same does here".split(
    " ",
  ),
);

function sectionOf(code: string): string {
  const [, rest = ""] = PAGE.split(new RegExp(`^## ${code}$`, "m"));
  return rest.split(/^## /m)[0] ?? "";
}

describe("the page of each code", () => {
  test.each(CODES)("%s names what is wrong in the words of its messages", (code) => {
    const section = sectionOf(code);
    const [, heading = "", more = ""] = /^\*\*(.+?)\*\* ?([\s\S]*)/.exec(section.trim()) ?? [];
    // What is wrong, and then why, or what to do.
    expect(heading).toMatch(/[.]$/);
    expect(more.trim()).not.toBe("");
    const said = words(saidWith(code));
    const common = (text: string) => [...words(text)].filter((word) => said.has(word));
    // What Nix says of a target is Nix's: the page has only our hints.
    if (code === "NCP-205") return expect(common(section)).not.toEqual([]);
    expect({ section, common: common(section).slice(0, 3) }).toEqual({
      section,
      common: [expect.any(String), expect.any(String), expect.any(String)],
    });
  });
});
