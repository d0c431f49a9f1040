import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { renderFaults } from "../../scripts/docs.ts";
import { FAULT_KINDS, OF_ONE_KIND } from "../caches/fault-table.ts";

test("the table of faults is made of what the suites try (npm run docs)", async () => {
  expect(readFileSync("docs/faults.md", "utf8")).toBe(await renderFaults());
});

test("each column is held by the suite that it names", () => {
  for (const [kind, { suite }] of Object.entries(FAULT_KINDS)) {
    const text = readFileSync(`__tests__/caches/${suite}`, "utf8");
    expect([suite, /kind: "(.*)"|fileFaults\("(.*)"/.exec(text)?.slice(1).join("")]).toEqual([
      suite,
      kind,
    ]);
  }
  for (const [, , suite] of OF_ONE_KIND) {
    expect([suite, existsSync(`__tests__/caches/${suite}`)]).toEqual([suite, true]);
  }
});
