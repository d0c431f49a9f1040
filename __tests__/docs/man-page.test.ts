import { readFile } from "node:fs/promises";
import { expect, test } from "@jest/globals";
import { renderManPage } from "../../scripts/docs.ts";
import { allOptions } from "../../src/cli/help.ts";

test("the man page is what the options say, and has each of them", async () => {
  const page = await readFile("docs/nix-cache-preflight.1", "utf8");
  expect(page).toBe(renderManPage());
  const plain = page.replaceAll("\\-", "-");
  expect(allOptions().filter(([name]) => !plain.includes(`.B --${name}`))).toEqual([]);
});

test("package.json and the flake ship it", async () => {
  const { man, files } = JSON.parse(await readFile("package.json", "utf8")) as {
    man: string;
    files: readonly string[];
  };
  expect(files).toContain(man);
  expect(await readFile("flake.nix", "utf8")).toContain(`./${man}`);
});
