import { describe, expect, test } from "@jest/globals";
import { grid, linked, page, table } from "../../src/report/page.ts";

describe("a page", () => {
  const section = (title: string, bytes: number) => ({ title, body: "x".repeat(bytes) });

  test("is its sections under their titles, without those that say nothing", () => {
    expect(
      page([{ title: "A", body: "a", heading: "none" }, { title: "B", body: "" }, section("C", 1)]),
    ).toBe("a\n\n### C\n\nx\n");
  });

  test("is cut by sections: what does not fit is named, what fits behind it stays", () => {
    const made = page([section("First", 100), section("Long", 2_000), section("Last", 100)], 1_000);
    expect(Buffer.byteLength(made)).toBeLessThanOrEqual(1_000);
    expect(made).toContain("### First");
    expect(made).toContain("### Last");
    expect(made).not.toContain("### Long");
    expect(made).toContain(
      "_The page was too long. Left out: Long. The JSON report holds everything._",
    );
  });

  test.each([999, 1_000, 1_001, 5_000])("of %d bytes a section never passes 1,000", (bytes) => {
    expect(
      Buffer.byteLength(page([section("a|b", bytes), section("é", bytes)], 1_000)),
    ).toBeLessThanOrEqual(1_000);
  });
});

describe("a table", () => {
  const rows = (n: number) => Array.from({ length: n }, (_, at) => `| ${at} |`);

  test.each([
    [20, 20, undefined, undefined],
    [21, 20, "1 more", undefined],
    [2_000, 20, "1,980 more", undefined],
    [5_000, 20, "1,980 more", "and 3,000 more, in the report"],
  ])("of %d rows shows %d, folds and counts the rest", (n, shown, folded, counted) => {
    const [first = "", ...rest] = table("| n |\n|-|", rows(n)).split("\n\n");
    expect(first.split("\n")).toHaveLength(shown + 2);
    expect(rest[0]).toBe(folded && `<details><summary>${folded}</summary>`);
    expect(rest[3]).toBe(counted);
  });

  test("with long rows is shortened before the page is", () => {
    const made = table(
      "| n |\n|-|",
      Array.from({ length: 1_000 }, () => `| ${"x".repeat(1_000)} |`),
    );
    expect(Buffer.byteLength(made)).toBeLessThan(320 * 1024);
    expect(made).toMatch(/and \d+ more, in the report$/);
  });

  test("has no column in which nothing stands, and numbers that are not broken", () => {
    const made = grid(
      ["", "name", "empty", ">size"],
      [
        ["✅", "a", "", "1 kB"],
        ["", "b", "", ""],
      ],
    );
    expect(made).toBe("|  | name | size |\n|-|-|-:|\n| ✅ | a | 1\u00a0kB |\n|  | b |  |");
  });
});

describe("the link to a path", () => {
  test("is one only to http(s), and cannot end its attribute", () => {
    expect(linked("x", undefined)).toBe("<code>x</code>");
    expect(linked("x", "javascript:alert(1)")).toBe("<code>x</code>");
    expect(linked("https://x", 'https://x/"><b>|`')).toBe(
      '<a href="https://x/%22%3E%3Cb%3E%7C%60"><code>https&#58;//x</code></a>',
    );
  });
});
