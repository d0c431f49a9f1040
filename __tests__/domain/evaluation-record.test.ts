import { describe, expect, test } from "@jest/globals";
import {
  CLOSURE_AGE,
  type EvaluationRecord,
  formatRecord,
  isFresh,
  parseRecord,
} from "../../src/domain/evaluation-record.ts";
import { narInfo } from "../support/graph.ts";
import { STORE, storePath } from "../support/paths.ts";

const [program, library] = [storePath("program"), storePath("library")];

const RECORD: EvaluationRecord = {
  checked: 1_760_000_000_000,
  targets: [
    {
      name: '.#"ünï|`<b>"',
      line: ".#program pin=p priority=90",
      system: "x86_64-linux",
      outputs: [program],
      outputNames: ["out"],
      pinName: "p",
      buildable: "here",
      served: [program],
      trivial: 0,
    },
    {
      name: ".#elsewhere",
      line: ".#elsewhere",
      system: "aarch64-darwin",
      outputs: [library],
      outputNames: [],
      pinName: "",
      buildable: "elsewhere",
      served: [],
      trivial: 2,
    },
  ],
  notices: ["the tree is dirty"],
  closure: [
    { cache: "own", narInfo: narInfo(program, [library]) },
    { cache: "other", narInfo: narInfo(library) },
  ],
};

describe("an evaluation record", () => {
  test("is read back as it was", () => {
    expect(parseRecord(formatRecord(RECORD), STORE)).toStrictEqual(RECORD);
  });

  type Raw = Record<string, unknown> & { targets: Record<string, unknown>[] };
  const target = (change: Record<string, unknown>) => (raw: Raw) => ({
    ...raw,
    targets: [{ ...raw.targets[0], ...change }],
  });

  test.each<[string, (raw: Raw) => unknown, string]>([
    ["of another version", (raw) => ({ ...raw, version: 1 }), "it is of version 1"],
    ["of no version", ({ version: _, ...raw }) => raw, "it is of version undefined"],
    ["without a time", (raw) => ({ ...raw, checked: "now" }), "a number is missing"],
    ["of no time", (raw) => ({ ...raw, checked: null }), "a number is missing"],
    ["without targets", (raw) => ({ ...raw, targets: {} }), "a list is missing"],
    ["with a text for a target", (raw) => ({ ...raw, targets: ["x"] }), "a target is no object"],
    ["with nothing for a target", (raw) => ({ ...raw, targets: [null] }), "a target is no object"],
    ["with a number for a name", target({ name: 7 }), "a text is missing"],
    ["with a pin out of its folder", target({ pinName: "../x" }), '"../x" is no pin name'],
    ["with no name of an output", target({ outputNames: ["a^b"] }), '"a^b" is no output\'s name'],
    ["without names of outputs", target({ outputNames: undefined }), "a list is missing"],
    ["with an option for a path", target({ outputs: ["--eval"] }), '"--eval" is not in'],
    ["with another store's path", target({ served: ["/gnu/store/x"] }), "is not in /nix/store"],
    ["with a path out of the store", target({ served: [`${STORE}/../x`] }), "is not in"],
    ["with a line that is no target", target({ line: ".#a color=red" }), '"color=red"'],
    ["with a text for a count", target({ trivial: "0" }), "a number is missing"],
    ["without a closure", ({ closure: _, ...raw }) => raw, "a list is missing"],
    ["with half a member", (raw) => ({ ...raw, closure: [["own"]] }), "a member is no pair"],
    ["with a number for a cache", (raw) => ({ ...raw, closure: [[1, "x"]] }), "a text is missing"],
    ["with no narinfo", (raw) => ({ ...raw, closure: [["own", "StorePath: x"]] }), "record"],
    ["with notices that are none", (raw) => ({ ...raw, notices: [1] }), "a text is missing"],
  ])("%s is not read", (_, change, why) => {
    const raw = JSON.parse(formatRecord(RECORD)) as Raw;
    expect(() => parseRecord(JSON.stringify(change(raw)), STORE)).toThrow(why);
  });

  test("of another store is not read", () => {
    expect(() => parseRecord(formatRecord(RECORD), "/other/store")).toThrow(
      "is not in /other/store",
    );
    const closureAlone = formatRecord({ ...RECORD, targets: [] });
    expect(() => parseRecord(closureAlone, "/other/store")).toThrow("/other/store");
  });

  test.each(["", "{", "null", "[]", "7"])("%s is none", (text) => {
    expect(() => parseRecord(text, STORE)).toThrow();
  });

  test.each([
    [0, true],
    [CLOSURE_AGE - 1, true],
    [CLOSURE_AGE, false],
    [-1, false],
  ])("asked for %d ms ago, its closure is fresh: %s", (age, expected) => {
    expect(isFresh(RECORD.checked, RECORD.checked + age)).toBe(expected);
  });
});
