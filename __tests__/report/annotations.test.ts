import { describe, expect, test } from "@jest/globals";
import { byCause, type Finding } from "../../src/domain/finding.ts";
import { annotations, conclusionOf, errorAnnotation } from "../../src/report/annotations.ts";

function findings(level: Finding["level"], n: number): Finding[] {
  return Array.from({ length: n }, (_, index) => ({
    kind: "missing" as const,
    level,
    code: "NCP-402" as const,
    message: `${level} ${index}`,
  }));
}

describe("a target's check run", () => {
  test.each([
    ["unknown", ["unverified"], "blamed", "failure"],
    ["unknown", ["unverified"], "not blamed", "neutral"],
    ["needs a build", ["heavy"], "blamed", "failure"],
    ["needs a build", ["heavy"], "not blamed", "neutral"],
    ["needs a build", ["missing"], "not blamed", "failure"],
    ["cached", ["missing"], "blamed", "skipped"],
  ] as const)("of what ended %s under fail-on %j, %s, is %s", (state, failOn, blame, ends) => {
    expect(conclusionOf(state, { failOn, onPushFailure: "warn" }, blame)).toBe(ends);
  });
});

describe("annotations", () => {
  test.each([
    [0, 0, undefined],
    [3, 3, undefined],
    [4, 3, "and 1 more, see the job summary"],
    [5000, 3, "and 4997 more, see the job summary"],
  ])("of %d findings %d are shown", (n, shown, rest) => {
    const made = annotations(findings("error", n));
    expect(made).toHaveLength(shown);
    expect(made.at(-1)?.message.split("\n")[1]).toBe(rest);
  });

  test("errors first, three of a level, and nothing of what asks nobody to do something", () => {
    const made = annotations([
      ...findings("notice", 20),
      ...findings("warning", 20),
      ...findings("error", 20),
    ]);
    expect(made.map(({ level }) => level)).toEqual([
      ...Array<string>(3).fill("error"),
      ...Array<string>(3).fill("warning"),
    ]);
  });

  test("have the headline for a title, then the cause with its code, then what to do", () => {
    const [made] = annotations([
      {
        kind: "push",
        level: "warning",
        code: "NCP-305",
        title: "nothing was pushed, acme.cachix.org refused the token",
        message: "x was not pushed: HTTP 403",
        hint: "give the secret a token that may write",
        place: { file: "ci.yml", line: 9 },
      },
    ]);
    expect(made).toEqual({
      level: "warning",
      title: "Nothing was pushed, acme.cachix.org refused the token",
      message: "x was not pushed: HTTP 403 (NCP-305)\nFix: give the secret a token that may write",
      place: { file: "ci.yml", line: 9 },
    });
  });

  test("do not end where a line announces the next one", () => {
    const said = '{"message":"API rate limit exceeded for 192.0.2.1."}';
    const message = `it does not evaluate: HTTP error 403\n\nresponse body:\n\n${said}`;
    const [made] = annotations([{ kind: "eval", level: "error", code: "NCP-135", message }]);
    expect(made?.message).toBe(`it does not evaluate: HTTP error 403\n${said} (NCP-135)`);
  });

  test("keep to three lines and 300 characters, and to the line that tells of the error", () => {
    const lines = ["builder failed", ...Array<string>(50).fill("> noise"), "> error: no such file"];
    const message = lines.join("\n");
    const long = { kind: "missing" as const, level: "error" as const, code: "NCP-206" as const };
    const [short] = annotations([{ ...long, message }]);
    expect(short?.message).toBe("builder failed\nerror: no such file (NCP-206)");
    const hint = "y".repeat(1000);
    for (const one of [
      annotations([{ ...long, message: "x".repeat(10_000), hint }])[0],
      errorAnnotation("NCP-101", "x".repeat(10_000), hint),
    ]) {
      expect(one?.message.length).toBeLessThanOrEqual(300);
      expect(one?.message.split("\n").length).toBeLessThanOrEqual(3);
      expect(one?.message).toMatch(/…/);
    }
  });
});

test("findings of one cause are one: the loudest, with the names of all", () => {
  const base = { kind: "cache" as const, cause: "acme.cachix.org", message: "it stopped" };
  const found = byCause([
    { ...base, level: "notice", names: ["a"] },
    { ...base, level: "warning", message: "later steps are without it", names: ["b", "a"] },
    { ...base, cause: "another", level: "notice" },
    { kind: "notice", level: "notice", message: "alone" },
  ]);
  expect(found).toMatchObject([
    { level: "warning", message: "later steps are without it", names: ["a", "b"] },
    { cause: "another" },
    { message: "alone" },
  ]);
});
