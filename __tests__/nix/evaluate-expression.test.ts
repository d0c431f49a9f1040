import { describe, expect, test } from "@jest/globals";
import { startMachine } from "../../scripts/machine.ts";
import { formatAttrPath, parseInstallable } from "../../src/domain/installable.ts";
import { flatten, type Member, memberExpression, nixString } from "../../src/nix/evaluate.ts";

function segments(path: string) {
  const installable = parseInstallable(`.#${path}`);
  if (installable.kind !== "flake") throw new Error(installable.kind);
  return installable.attrPath;
}

const drv = (name: string): Member => ({
  kind: "derivation",
  drvPath: `/nix/store/${name}.drv`,
  outputs: ["out"],
  install: ["out"],
});

/** `path: what is there [what the stars matched]`. */
function walked(member: Member, before: string, open: string): string[] {
  return flatten(member, segments(before), segments(open)).map(
    ({ segments: path, matched, member: found }) =>
      `${formatAttrPath(path)}: ${found.kind}${matched.length > 0 ? ` [${matched.join(" ")}]` : ""}`,
  );
}

describe("the answer for a set", () => {
  test.each<[string, Member, string, string, string[]]>([
    ["no star", drv("a"), "a.b", "", ["a.b: derivation"]],
    [
      "a star at the end",
      { kind: "set", members: { x: drv("x"), "y.z": { kind: "failed" } } },
      "packages.s",
      "*",
      ["packages.s.x: derivation [x]", 'packages.s."y.z": failed [y.z]'],
    ],
    [
      "a star in the middle",
      { kind: "set", members: { alice: drv("a"), bob: { kind: "absent" } } },
      "homes",
      "*.activation",
      ["homes.alice.activation: derivation [alice]", "homes.bob.activation: absent [bob]"],
    ],
    [
      "two stars",
      {
        kind: "set",
        members: {
          a: { kind: "set", members: { x: drv("x"), y: { kind: "other" } } },
          b: { kind: "failed" },
        },
      },
      "s",
      "*.m.*",
      ["s.a.m.x: derivation [a x]", "s.a.m.y: other [a y]", "s.b.m.*: failed [b]"],
    ],
    ["an empty set", { kind: "set", members: {} }, "s", "*", []],
    ["a star over what is no set", { kind: "other" }, "s", "*", ["s.*: other"]],
  ])("with %s", (_, member, before, open, expected) => {
    expect(walked(member, before, open)).toEqual(expected);
  });
});

describe("the expression", () => {
  test("is answered by Nix itself, whatever the members do", async () => {
    await using machine = await startMachine();
    const value = `{
      good = derivation { name = "good"; system = "s"; builder = "b"; outputs = [ "out" "dev" ]; };
      meta = derivation { name = "m"; system = "s"; builder = "b"; } // { meta.outputsToInstall = [ "man" ]; };
      throws = throw "no";
      asserts = assert false; { };
      number = 7;
      set = { };
      "with.dots" = derivation { name = "dots"; system = "s"; builder = "b"; };
    }`;
    const expression = `(${memberExpression(segments("*"))}) ${value}`;
    const text = await machine.nix("nix-instantiate", [
      "--eval",
      "--json",
      "--strict",
      "--expr",
      expression,
    ]);
    const found = flatten(JSON.parse(text) as Member, [], segments("*"));
    expect(
      Object.fromEntries(found.map(({ matched, member }) => [matched.join(), member])),
    ).toMatchObject({
      good: { kind: "derivation", outputs: ["out", "dev"], install: ["out"] },
      meta: { kind: "derivation", install: ["man"] },
      throws: { kind: "failed" },
      asserts: { kind: "failed" },
      number: { kind: "other" },
      set: { kind: "other" },
      "with.dots": { kind: "derivation" },
    });
  });

  test("writes strings in which nothing is interpolated", async () => {
    await using machine = await startMachine();
    const dollar = "\u0024";
    const texts = [
      "plain",
      'a"b',
      "a\\b",
      `${dollar}{x}`,
      `${dollar}${dollar}{x}`,
      "a\nb",
      "''",
      "ünï",
    ];
    const list = `[ ${texts.map(nixString).join(" ")} ]`;
    const args = ["--eval", "--json", "--strict", "--expr", list];
    expect(JSON.parse(await machine.nix("nix-instantiate", args))).toEqual(texts);
  });
});
