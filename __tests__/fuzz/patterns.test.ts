import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { boundedPattern } from "../../src/host/bounded-pattern.ts";

const SRC = join(import.meta.dirname, "..", "..", "src");

/** A literal: behind what cannot end an expression, and before what can follow one. */
const LITERAL =
  /(?<=[=(,:!&|?[{}]\s*|^\s*|return\s|\[)\/((?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+)\/([dgimsuvy]*)(?=\s*(?:[,;.)\]:}]|$))/gm;

const patterns = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .flatMap((file) =>
    [...readFileSync(join(SRC, file), "utf8").matchAll(LITERAL)].map(
      ([, source = "", flags = ""]) => ({ file, source, flags: flags.replace("g", "") }),
    ),
  );

/**
 * Long enough that a pattern which tries every division, or is cubic, takes minutes of a processor, and short enough
 * that a quadratic one takes a tenth of a second: a busy machine makes neither look like the other.
 */
const LONG = 8_000;
const DEADLINE = 60_000;
const PUMPS = [
  ..."a0 .-_/:=+\"'\\%(){}[]<>,;#*~@^\n\t\u001b",
  ...[
    "ab",
    "a ",
    " a",
    "a0",
    "a.",
    "a-",
    "a/",
    "::",
    "\\n",
    "a=",
    ", ",
    "0.",
    "error:",
    "[0m",
    "%2e",
  ],
];
// biome-ignore lint/style/noProcessEnv: `npm run test:slow` asks for all of them
const ENDS = process.env["SLOW"] === "1" ? ["", "!", "\u0000", "\n"] : ["", "\u0000"];

test("every regular expression of ours comes to an end on long, repetitive text", () => {
  expect(patterns.length).toBeGreaterThan(80);
  const names = PUMPS.flatMap((pump) =>
    ENDS.map((end) => pump.repeat(Math.ceil(LONG / pump.length)) + end),
  );
  const slow: string[] = [];
  for (const { file, source, flags } of patterns) {
    try {
      // A pattern that is quadratic here ends in time; one that tries every way never does.
      boundedPattern(new RegExp(source, flags), file, DEADLINE).matching(names);
    } catch (error) {
      slow.push(`${file}: /${source}/ ${String(error)}`);
    }
  }
  expect(slow).toEqual([]);
}, 600_000);
