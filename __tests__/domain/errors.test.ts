import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { asError, describeError, UserError } from "../../src/domain/errors.ts";

describe("what was thrown", () => {
  const cause = new Error("connect ECONNREFUSED");

  test.each([
    [new Error("a"), "a"],
    [new Error("a", { cause }), "a: connect ECONNREFUSED"],
    [new Error("a: connect ECONNREFUSED", { cause }), "a: connect ECONNREFUSED"],
    [new UserError("NCP-302", "a", { cause }), "a: connect ECONNREFUSED"],
    [new TypeError(), "TypeError"],
    ["text", "text"],
    [undefined, ""],
    [new Error("a", { cause: "text" }), "a: text"],
  ])("%p reads %j", (thrown, text) => {
    expect(describeError(thrown)).toBe(text);
  });

  test("is told even where its causes go round", () => {
    const first = new Error("first");
    first.cause = new Error("second", { cause: first });
    expect(describeError(first)).toBe("first: second");
  });

  test("is an error in any case", () => {
    expect(asError(cause)).toBe(cause);
    expect(asError("text")).toEqual(new Error("text"));
  });
});

test("every code has a section in the troubleshooting page, and every section a code", () => {
  const root = join(import.meta.dirname, "..", "..");
  const read = (...names: string[]) => readFileSync(join(root, ...names), "utf8");
  const codes = [...read("src", "domain", "errors.ts").matchAll(/^ {2}\| "(NCP-\d{3})"/gm)];
  const sections = [...read("docs", "troubleshooting.md").matchAll(/^## (NCP-\d{3})$/gm)];
  const sorted = (found: RegExpMatchArray[]) => found.map(([, code]) => code).sort();
  expect(sorted(sections)).toEqual(sorted(codes));
});
