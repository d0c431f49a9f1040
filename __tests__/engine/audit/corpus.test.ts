/** The corpus: workflows after the habits of public projects, each with what an audit has to answer, and no more. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { register } from "../../../src/caches/register.ts";
import { fileChecks } from "../../../src/engine/audit/audit.ts";
import { projectFacts } from "../../support/audited.ts";

const FOLDER = "__tests__/fixtures/workflows";
const NAMES = readdirSync(FOLDER).sort();

async function answers(text: string): Promise<string[]> {
  const facts = await projectFacts({ ".github/workflows/ci.yml": text });
  const found = fileChecks(facts, register).filter(({ status }) => status !== "pass");
  for (const { status, message, mend } of found) {
    if (status === "unknown") expect(message).toMatch(/to be known|not known here/);
    else expect(mend).toMatch(/\S/);
  }
  return [...new Set(found.map(({ status, code }) => `${status} ${code}`))].sort();
}

describe("the corpus", () => {
  test("is large enough, and half of it is to be silent", () => {
    expect(NAMES.length).toBeGreaterThanOrEqual(40);
    expect(NAMES.filter((name) => name.startsWith("silent-")).length).toBeGreaterThanOrEqual(20);
  });

  test.each(NAMES)("%s", async (name) => {
    const text = readFileSync(join(FOLDER, name), "utf8");
    const expected = /^# expect: (.*)/.exec(text)?.[1] ?? "";
    const wanted = expected === "nothing" ? [] : expected.split(", ").sort();
    expect(await answers(text)).toEqual(wanted);
  });
});

test("the table in docs/audit.md says what the corpus shows", () => {
  const rows = readFileSync("docs/audit.md", "utf8").matchAll(
    /^\| \[(NCP-\d+)\]\([^)]*\) \|.*\| (\w+) \| ([\w-]+) \|$/gm,
  );
  const shown = [...rows].map(([, code = "", answer = "", name = ""]) => {
    const text = readFileSync(join(FOLDER, `${name}.yml`), "utf8");
    const expected = /^# expect: (.*)/.exec(text)?.[1] ?? "";
    const says = expected.split(", ").includes(`${answer} ${code}`) || expected === answer;
    return { code, answer, name, says };
  });
  expect(shown.length).toBeGreaterThan(35);
  expect(shown.filter(({ says }) => !says)).toEqual([]);
});
