import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "@jest/globals";
import {
  asError,
  describeError,
  reasonOf,
  systemTrouble,
  UserError,
} from "../../src/domain/errors.ts";

test("what Node says of an interruption is told in the words of who interrupted, and nothing else is", async () => {
  const why = new UserError("NCP-501", "interrupted by SIGINT");
  const interrupted = AbortSignal.abort(why);
  const bare = await sleep(1, undefined, { signal: interrupted }).catch((error) => error);
  expect(reasonOf(bare, interrupted)).toBe(why);
  const other = new Error("other");
  expect(reasonOf(other, interrupted)).toBe(other);
  expect(reasonOf(bare, new AbortController().signal)).toBe(bare);
});

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

describe("what the system refused", () => {
  const of = (code: string, message: string, path?: string) =>
    systemTrouble(Object.assign(new Error(message), { code, ...(path ? { path } : {}) }));

  test.each([
    ["ENOSPC", "ENOSPC: no space left on device, write", "NCP-410", /^a disk is full: ENOSPC/],
    ["EDQUOT", "EDQUOT: Disk quota exceeded, write", "NCP-410", /^a disk is full: EDQUOT/],
    ["EACCES", "EACCES: permission denied, open '/t/x'", "NCP-359", /may not do that: .*'\/t\/x'/],
    ["EROFS", "EROFS: read-only file system, mkdir '/h'", "NCP-359", /can only be read: .*'\/h'/],
    ["EMFILE", "EMFILE: too many open files, open '/x'", "NCP-359", /may open no more files/],
  ])("%s is told in words, and is no fault of ours", (code, message, expected, words) => {
    const trouble = of(code, message);
    expect(trouble?.code).toBe(expected);
    expect(trouble?.message).toMatch(words);
    expect(trouble?.hint).toBeDefined();
  });

  test("a full disk is named with the file that was written", () => {
    expect(of("ENOSPC", "ENOSPC: no space left on device", "/t/report")?.message).toContain(
      "a disk is full (/t/report)",
    );
  });

  test("anything else is not: a fault of ours has its stack", () => {
    expect(systemTrouble(new TypeError("x is not a function"))).toBeUndefined();
    expect(of("ERR_ASSERTION", "x")).toBeUndefined();
    expect(systemTrouble(undefined)).toBeUndefined();
    expect(systemTrouble(new UserError("NCP-302", "EACCES"))).toBeUndefined();
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
