import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { startMachine } from "../../scripts/machine.ts";
import { formatAttrPath, parseInstallable } from "../../src/domain/installable.ts";
import { nixCommand } from "../../src/nix/command.ts";
import {
  filled,
  flatten,
  type Member,
  type MemberQuestion,
  memberExpression,
  Progress,
  unnamed,
} from "../../src/nix/members.ts";
import { nixString } from "../../src/nix/nix-file.ts";
import { SIGNAL } from "../support/world.ts";

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

const set = (members: Readonly<Record<string, Member>>): Member => ({
  kind: "set",
  members: Object.entries(members),
  unnamed: [],
});

const ASK: MemberQuestion = { mark: "mark", after: undefined, outputs: "by meta" };

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
      set({ x: drv("x"), "y.z": { kind: "failed" } }),
      "packages.s",
      "*",
      ["packages.s.x: derivation [x]", 'packages.s."y.z": failed [y.z]'],
    ],
    [
      "a star in the middle",
      set({ alice: drv("a"), bob: { kind: "absent" } }),
      "homes",
      "*.activation",
      ["homes.alice.activation: derivation [alice]", "homes.bob.activation: absent [bob]"],
    ],
    [
      "two stars",
      set({
        a: set({ x: drv("x"), y: { kind: "other", is: "int" } }),
        b: { kind: "failed" },
      }),
      "s",
      "*.m.*",
      ["s.a.m.x: derivation [a x]", "s.a.m.y: other [a y]", "s.b.m.*: failed [b]"],
    ],
    ["an empty set", set({}), "s", "*", []],
    ["a star over what is no set", { kind: "other", is: "int" }, "s", "*", ["s.*: other"]],
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
    const expression = `(${memberExpression(segments("*"), ASK)}) ${value}`;
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
      number: { kind: "other", is: "int" },
      set: { kind: "other", is: "set" },
      "with.dots": { kind: "derivation" },
    });
  });

  async function asked(
    value: string,
    path: string,
    how: Partial<MemberQuestion> = {},
  ): Promise<{ readonly member?: Member; readonly progress: Progress }> {
    await using machine = await startMachine();
    const file = join(machine.root, "value.nix");
    const expression = `(${memberExpression(segments(path), { ...ASK, ...how })}) (${value})`;
    // Bytes, not characters: names of sets are bytes to Nix.
    await writeFile(
      file,
      Buffer.concat(
        expression
          .split("\u00a4")
          .flatMap((part, index) => [...(index > 0 ? [Buffer.of(0xff)] : []), Buffer.from(part)]),
      ),
    );
    const args = ["--eval", "--json", "--strict", file];
    const { stdout, stderr, code } = await nixCommand(machine.environment, machine.root).try(
      "nix-instantiate",
      args,
      { signal: SIGNAL, deadline: 60_000 },
    );
    const progress = new Progress("mark");
    for (const line of stderr.split("\n")) progress.read(line);
    return { progress, ...(code === 0 ? { member: JSON.parse(stdout) as Member } : {}) };
  }

  const d = 'd = n: derivation { name = n; system = "s"; builder = "b"; }';

  test("finds the members of sets whose JSON would be something else", async () => {
    const { member = drv("none") } = await asked(
      `let ${d}; in { path = { outPath = "/p"; a = d "a"; }; text = { __toString = s: "x"; b = d "b"; }; list = [ { name = "c"; value = d "c"; } ]; package = d "p" // { inside = d "i"; }; }`,
      "*.*",
    );
    const found = flatten(member, [], segments("*.*"));
    expect(
      found.filter((one) => one.member.kind === "derivation").map(({ matched }) => matched),
    ).toEqual([
      ["path", "a"],
      ["text", "b"],
    ]);
  });

  test("tells who was done and who ended it, and goes on behind that one", async () => {
    const value = `let ${d}; in { a = { x = d "x"; y = { }.nothing; z = d "z"; }; b = throw "b"; c = { x = abort "no"; }; e = { w = d "w"; }; }`;
    const seen: string[] = [];
    for (let after: MemberQuestion["after"]; ; ) {
      const { member, progress } = await asked(value, "*.*", { after });
      for (const { matched, member: one } of progress.done)
        seen.push(`${matched.join(".")} ${one.kind}`);
      if (member) break;
      seen.push(`${progress.at?.join(".")} ended`);
      after = progress.after;
    }
    expect(seen).toEqual([
      "a.x derivation",
      "a.y ended",
      "a.z derivation",
      "b failed",
      "c.x ended",
      "e.w derivation",
    ]);
  });

  test("goes on behind a place in a list by its number, in a file; a flake has no places", async () => {
    const places = Array.from({ length: 12 }, (_, n) =>
      [1, 9, 10].includes(n) ? "{ }.no" : 'd "x"',
    );
    const value = `let ${d}; in { l = [ ${places.map((one) => `(${one})`).join(" ")} ]; }`;
    const seen: string[] = [];
    for (let after: MemberQuestion["after"]; ; ) {
      const file = { path: "x.nix", as: "nix-build" } as const;
      const { member, progress } = await asked(value, "*.*", { after, file });
      seen.push(...progress.done.map(({ matched }) => matched.join(".")));
      if (member) break;
      after = progress.after;
    }
    expect(seen).toEqual([0, 2, 3, 4, 5, 6, 7, 8, 11].map((n) => `l.${n}`));
    const { member } = await asked(value, "l.*");
    expect(member).toMatchObject({ kind: "other", is: "list" });
  });

  test("passes over names that nobody can write, and no others", async () => {
    const names = [
      "plain",
      "ünï 💥",
      "a\tb",
      'quote\\"',
      "bad\u00a4",
      "bad\u00a4end",
      "SYSTEM",
      "dollar\u0024",
    ];
    const value = `let ${d}; in { ${names.map((name) => `"${name}" = d "x";`).join(" ")} }`;
    const { member = drv("none") } = await asked(value, "*");
    expect(
      flatten(member, [], segments("*"))
        .map(({ matched }) => matched[0])
        .sort(),
    ).toEqual(["SYSTEM", "a\tb", "dollar\u0024", "plain", "ünï 💥"]);
    expect(unnamed(member).sort()).toEqual([null, null, 'quote"'].sort());
  });

  test("says what its own meta has against a package that cannot be evaluated", async () => {
    const value = `let ${d}; bad = meta: d "x" // { drvPath = throw "refused"; inherit meta; }; in {
      broken = bad { broken = true; };
      free = d "free" // { meta.broken = true; };
      unfree = bad { license = { free = false; }; };
      licences = bad { license = [ { free = true; } { free = false; } ]; };
      insecure = bad { knownVulnerabilities = [ "CVE" ]; };
      elsewhere = bad { unsupported = true; };
      gone = bad { available = false; };
      other = bad { };
      worse = bad (throw "no meta either");
    }`;
    const { member = drv("none") } = await asked(value, "*");
    const found = flatten(member, [], segments("*")).map((one) => [one.matched[0], one.member]);
    expect(Object.fromEntries(found)).toMatchObject({
      broken: { kind: "failed", why: ["broken"] },
      free: { kind: "derivation" },
      unfree: { why: ["unfree"] },
      licences: { why: ["unfree"] },
      insecure: { why: ["insecure"] },
      elsewhere: { why: ["for another platform"] },
      gone: { why: ["not available"] },
      other: { kind: "failed", why: [] },
      worse: { kind: "failed", why: [] },
    });
  });

  test.each<[MemberQuestion["outputs"], Record<string, string[]>]>([
    ["by name", { plain: ["lib"], meta: ["lib"], dev: ["dev"], none: ["lib"], unsaid: ["lib"] }],
    [
      "by meta",
      { plain: ["out"], meta: ["dev", "lib"], dev: ["dev"], none: ["out"], unsaid: ["out"] },
    ],
  ])("chooses outputs %s, as that Nix does", async (outputs, expected) => {
    const value = `let p = derivation { name = "p"; system = "s"; builder = "b"; outputs = [ "lib" "dev" ]; }; in {
      plain = p;
      meta = p // { meta.outputsToInstall = [ "dev" "lib" ]; };
      dev = p // { outputName = "dev"; outputSpecified = true; meta.outputsToInstall = [ "lib" ]; };
      none = p // { meta.outputsToInstall = [ ]; };
      unsaid = p // { outputSpecified = false; meta.outputsToInstall = [ "lib" ]; };
    }`;
    const { member = drv("none") } = await asked(value, "*", { outputs });
    const found = flatten(member, [], segments("*")).map((one) => [
      one.matched[0],
      "install" in one.member ? one.member.install : undefined,
    ]);
    expect(Object.fromEntries(found)).toEqual(expected);
  });

  test("a path is filled with what its stars matched, as far as that goes", () => {
    expect(formatAttrPath(filled(segments("a.*.b.*"), ["x"]))).toBe("a.x.b.*");
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
