import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { renderDecisions } from "../../scripts/docs.ts";

test("docs/decisions.md shows every deviation that the differential suite lets be", async () => {
  expect(readFileSync("docs/decisions.md", "utf8")).toBe(await renderDecisions());
});
