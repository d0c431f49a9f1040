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
