import { describe, expect, test } from "@jest/globals";
import { grid, linked, page, placed, verbatim } from "../../src/report/page.ts";

describe("a page", () => {
  test("is its heading, its parts that say something, and its footer", () => {
    expect(page("### a", ["b", "", "c"], "<sub>d</sub>")).toBe("### a\n\nb\n\nc\n\n<sub>d</sub>\n");
  });

  test("is cut by parts: what does not fit is left to the report, what fits behind it stays", () => {
    const parts = ["first", "x".repeat(2_000), "last"];
    const made = page("### a", parts, "<sub>d</sub>", 1_000);
    expect(Buffer.byteLength(made)).toBeLessThanOrEqual(1_000);
    for (const kept of ["### a", "first", "last", "the JSON report has all of it"]) {
      expect(made).toContain(kept);
    }
    expect(made.trimEnd().endsWith("<sub>d</sub>")).toBe(true);
  });

  test.each([889, 890, 891, 5_000])("with a part of %d bytes never passes 1,000", (bytes) => {
    const made = page("### a", ["é".repeat(bytes / 2), "1 GB ".repeat(bytes / 5)], "b", 1_000);
    expect(Buffer.byteLength(made)).toBeLessThanOrEqual(1_000);
  });

  test("breaks no number from its unit, but for what stands between fences", () => {
    const made = page("### a", ["1 GB in 4m 20s or 1h 2m", "```\n1 GB\n```"], "b");
    expect(made).toContain("1\u00a0GB in 4m\u00a020s or 1h\u00a02m");
    expect(made).toContain("```\n1 GB\n```");
  });
});

describe("a table", () => {
  test("has no column in which nothing stands, or one thing, and numbers that are not broken", () => {
    const made = grid(
      ["", "name", "empty", "same", ">size"],
      [
        ["✅", "a", "", "x", "1 kB"],
        ["", "b", "", "x", ""],
      ],
    );
    expect(made).toBe("|  | name | size |\n|:--|:--|--:|\n| ✅ | a | 1\u00a0kB |\n|  | b |  |");
  });

  test("of one row has all that is in it", () => {
    expect(grid(["a", ">b", "c"], [["1", "2", ""]])).toBe("| a | b |\n|:--|--:|\n| 1 | 2 |");
  });

  test("counts the rows behind the hundredth", () => {
    const rows = Array.from({ length: 1_234 }, (_, at) => [`${at}`]);
    expect(grid(["n"], rows)).toMatch(/\n\| 99 \|\n\nAnd 1,134 more, in the report\.$/);
  });
});

test("a place is a link where one can be made, by the name that people have for it", () => {
  const linkTo = (file: string, line: number) => `https://github.com/a/b/blob/c/${file}#L${line}`;
  expect(placed(".github/workflows/ci.yml:9", linkTo)).toBe(
    '<a href="https://github.com/a/b/blob/c/.github/workflows/ci.yml#L9"><code>ci.yml:9</code></a>',
  );
  expect(placed("the input substituters", linkTo)).toBe("<code>the input substituters</code>");
});

test("a fence is longer than any in what it holds", () => {
  expect(verbatim(["a", "````", "b"])).toBe("`````\na\n````\nb\n`````");
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
