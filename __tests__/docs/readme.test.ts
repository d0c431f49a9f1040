/** Owns the proof that the README is short, that its generated parts are current, and that every page is in the index. */

import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { renderInputs, renderReadme } from "../../scripts/docs.ts";
import { linksOf } from "./documents.ts";

const README = readFileSync("README.md", "utf8");

test("the inputs stand in README.md and docs/inputs.md as action.yml has them (npm run docs)", async () => {
  expect(README).toBe(await renderReadme());
  expect(readFileSync("docs/inputs.md", "utf8")).toBe(await renderInputs());
});

test("README.md has at most 1,200 words, and no table of more than seven rows", () => {
  expect(README.split(/\s+/).filter(Boolean).length).toBeLessThanOrEqual(1_200);
  const tables = README.match(/(?:^\|.*\n)+/gm) ?? [];
  expect(tables.length).toBeGreaterThan(0);
  for (const table of tables) expect(table.trim().split("\n").length - 2).toBeLessThanOrEqual(7);
});

test("README.md says what it is before anything else", () => {
  const [title, , first = "", second = ""] = README.split("\n");
  expect(title).toBe("# Nix Cache Preflight");
  expect(`${first} ${second}`).toMatch(/^A GitHub Action for Nix that .+\.$/);
});

test("docs/README.md lists every page of docs", () => {
  const file = "docs/README.md";
  const listed = linksOf({ file, text: readFileSync(file, "utf8") });
  const pages = [
    ...readdirSync("docs").filter((name) => name.endsWith(".md") && name !== "README.md"),
    ...readdirSync("docs/from").map((name) => `from/${name}`),
  ];
  expect(pages.filter((page) => !listed.includes(page))).toEqual([]);
});
