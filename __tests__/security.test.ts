import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";

const ROOT = join(import.meta.dirname, "..");
const text = readFileSync(join(ROOT, "SECURITY.md"), "utf8");

/** Rows of the tables whose second column is a proof. */
const proofs = [...text.matchAll(/^\| (.+?) +\| (\[.+\]\(.+\)) +\|$/gm)].map(
  ([, promise = "", cell = ""]) => ({ promise, cell }),
);

describe("SECURITY.md", () => {
  test("promises nothing without a proof", () => {
    expect(proofs.length).toBeGreaterThan(35);
    const sections = text.split(/^## /m).filter((section) => section.includes("| proof"));
    const rows = sections.flatMap((section) =>
      section.split("\n").filter((line) => line.startsWith("| ") && !/^\| (promise|-)/.test(line)),
    );
    expect(rows.filter((row) => !/\]\([^)]+\)\s*\|$/.test(row))).toEqual([]);
  });

  test.each(proofs)("$promise: its proof is there, by its name", ({ cell }) => {
    const links = [...cell.matchAll(/\[([^\]]+)\]\(([^)]+)\)/g)];
    expect(links.length).toBeGreaterThan(0);
    for (const [, title = "", path = ""] of links) {
      const file = readFileSync(join(ROOT, path), "utf8");
      expect([path, title, file.includes(title)]).toEqual([path, title, true]);
    }
  });
});
