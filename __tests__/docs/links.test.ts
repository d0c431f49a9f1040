/** Owns the proof that no link within the documents leads nowhere. */

import { stat } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { anchorsOf, documents, linksOf } from "./documents.ts";

const DOCUMENTS = await documents();
const ANCHORS = new Map(DOCUMENTS.map((one) => [one.file, anchorsOf(one)]));

describe("links", () => {
  test.each(DOCUMENTS)("of $file", async (document) => {
    const dead: string[] = [];
    for (const target of linksOf(document)) {
      const [path = "", anchor] = target.split("#");
      const file = path === "" ? document.file : normalize(join(dirname(document.file), path));
      const found = await stat(file.replace(/\/$/, "")).catch(() => undefined);
      if (!found) dead.push(target);
      else if (anchor !== undefined && !ANCHORS.get(file)?.has(anchor)) dead.push(target);
    }
    expect(dead).toEqual([]);
  });

  test("and anchors are found as GitHub makes them", () => {
    const text = "# NCP-101\n\n## From `cachix-action`: ours, *theirs*\n\n## Same\n\n## Same\n";
    expect([...anchorsOf({ file: "a.md", text })]).toEqual([
      "ncp-101",
      "from-cachix-action-ours-theirs",
      "same",
      "same-1",
    ]);
  });
});
