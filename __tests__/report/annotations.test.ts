import { describe, expect, test } from "@jest/globals";
import type { Finding } from "../../src/domain/finding.ts";
import { annotations } from "../../src/report/annotations.ts";

function findings(level: Finding["level"], n: number): Finding[] {
  return Array.from({ length: n }, (_, index) => ({
    kind: "missing" as const,
    level,
    code: "NCP-402" as const,
    message: `${level} ${index}`,
  }));
}

describe("annotations", () => {
  test.each([
    [0, 0, undefined],
    [1, 1, undefined],
    [10, 10, undefined],
    [11, 10, "2 more of this kind: see the job summary"],
    [5000, 10, "4,991 more of this kind: see the job summary"],
  ])("of %d findings %d are shown", (n, shown, rest) => {
    const made = annotations(findings("error", n));
    expect(made).toHaveLength(shown);
    expect(made.find(({ title }) => title === "And more")?.message).toBe(rest);
  });

  test("ten for each level, errors first, and the first ones of each", () => {
    const made = annotations([
      ...findings("notice", 20),
      ...findings("warning", 20),
      ...findings("error", 20),
    ]);
    expect(made.map(({ level }) => level)).toEqual([
      ...Array<string>(10).fill("error"),
      ...Array<string>(10).fill("warning"),
      ...Array<string>(10).fill("notice"),
    ]);
    expect(made.slice(0, 9).map(({ message }) => message)).toEqual(
      Array.from({ length: 9 }, (_, n) => `error ${n}`),
    );
  });

  test("say the code, the kind and the hint", () => {
    const [made] = annotations([
      { kind: "disk", level: "error", code: "NCP-401", message: "no space", hint: "make some" },
    ]);
    expect(made).toEqual({
      level: "error",
      title: "NCP-401 Not enough disk space",
      message: "no space\nmake some",
    });
  });

  test("do without a code, and keep to what GitHub shows", () => {
    const [made] = annotations([{ kind: "cache", level: "notice", message: "x".repeat(10_000) }]);
    expect(made?.title).toBe("A cache");
    expect(made?.message.length).toBeLessThan(4096);
  });
});
