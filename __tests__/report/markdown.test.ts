import { spawnSync } from "node:child_process";
import { describe, expect, test } from "@jest/globals";
import { run } from "../../src/engine/run.ts";
import { summary } from "../../src/report/summary.ts";
import { derivation, out } from "../support/graph.ts";
import {
  hold,
  job,
  memoryCache,
  memoryNix,
  READ_ONLY,
  SIGNAL,
  WRITE,
  world,
} from "../support/world.ts";

/** GitHub's own parser, with the extensions its pages have. */
function html(markdown: string): string {
  const extensions = ["table", "strikethrough", "autolink", "tasklist"].flatMap((one) => [
    "-e",
    one,
  ]);
  const done = spawnSync("cmark-gfm", ["--unsafe", ...extensions], { input: markdown });
  if (done.status !== 0) throw new Error(`cmark-gfm: ${done.error ?? done.stderr}`);
  return done.stdout.toString();
}

/** What a reader sees of a piece of HTML. */
function seen(piece: string): string {
  return piece
    .replace(/<[^>]*>/g, "")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&quot;", '"')
    .replaceAll("&amp;", "&");
}

const NAMES = [
  "a|b`c`",
  "emoji-🔨-日本",
  "<img src=x onerror=alert(1)>",
  "**bold** _it_ ~~s~~",
  "[x](https://evil)",
  "https://evil/x",
  "@octocat #1",
  "# heading",
  "</code></td></table><script>",
  "&lt;b&gt;",
  "section title click",
  "n".repeat(180),
];
const MARKS = "\u202egnp\u202c\u200f-exe\u2066";

async function page(trust = WRITE): Promise<string> {
  const own = memoryCache("https://cache.example/a|b", { verbs: ["push", "pin", "pins"] });
  const flake = Object.fromEntries(
    [...NAMES, MARKS].map((name, at) => [`homes."${name}"`, derivation(`d-${at}`)]),
  );
  for (const one of Object.values(flake).slice(0, 2)) hold(own, out(one));
  const failures = [
    { attrPath: "homes.bad", message: "error: | `x` <b>\n| a | b |", nearest: [".#<i>"] },
  ];
  const nix = memoryNix({ flake, failures });
  const asked = job({ mode: "warm", targets: ".#homes.*" });
  const done = await run(asked, trust, world({ nix, own }), SIGNAL);
  // Long enough for its timeline to be worth drawing.
  const linkTo = () => undefined;
  return summary({ ...done, end: done.begin + 400_000 }, { detail: "full", linkTo });
}

describe("the summary, as GitHub's parser reads it", () => {
  test.each([
    ["of a warming run", WRITE],
    ["of a read-only run", READ_ONLY],
  ])(
    "%s has in each row as many cells as columns, and holds no element of others",
    async (_, trust) => {
      const made = html(await page(trust));
      const tables = made.match(/<table>[\s\S]*?<\/table>/g) ?? [];
      expect(tables.length).toBeGreaterThan(2);
      for (const one of tables) {
        const columns = one.match(/<th[ >]/g)?.length;
        const rows = one.match(/<tr>[\s\S]*?<\/tr>/g)?.slice(1) ?? [];
        for (const row of rows) expect(row.match(/<td[ >]/g)).toHaveLength(columns ?? 0);
      }
      for (const tag of [
        "<img",
        "<script",
        "<b>",
        "<i>",
        "<del",
        "<em>",
        'href="https://evil',
        "</table><",
      ]) {
        expect(made).not.toContain(tag);
      }
    },
  );

  test("shows every name as it is, but for the marks that turn it round", async () => {
    const shown = [...html(await page()).matchAll(/<code>([\s\S]*?)<\/code>/g)].map(
      ([, cell = ""]) => seen(cell),
    );
    const wanted = NAMES.map((name) => `.#homes."${name}"`);
    for (const name of [...wanted, '.#homes."gnp-exe"']) expect(shown).toContain(name);
  });

  test("has a timeline of tasks alone: every line of it is one of Mermaid's forms", async () => {
    const chart = /```mermaid\n([\s\S]*?)```/.exec(await page())?.[1] ?? "";
    const lines = chart.trimEnd().split("\n");
    expect(lines[0]).toBe("gantt");
    const odd = lines
      .slice(1)
      .filter(
        (line) =>
          !/^ {2}(dateFormat|axisFormat|tickInterval|todayMarker|section) \S/.test(line) &&
          !/^ {4}(?!section|title|click)[^:;\n]*(#35;[^:;\n]*)* :\d+, \d+$/.test(line),
      );
    expect(odd).toEqual([]);
    expect(lines.length).toBeLessThan(50);
  });
});
