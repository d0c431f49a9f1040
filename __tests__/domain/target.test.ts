import { describe, expect, test } from "@jest/globals";
import {
  formatAttrPath,
  formatInFile,
  formatOutputs,
  hasWildcard,
  parseInstallable,
} from "../../src/domain/installable.ts";
import { parseTarget, parseTargets } from "../../src/domain/target.ts";
import { userError } from "../support/thrown.ts";

const PATH = "/nix/store/0c4dcmsd1s2zla7mfpzhpk3s9cbijwqm-bws-1.0.0";

describe("an installable of a flake", () => {
  test.each([
    [".#name", ".", "name", ""],
    ["nixpkgs#bws", "nixpkgs", "bws", ""],
    ["nixpkgs#bws^bin", "nixpkgs", "bws", "^bin"],
    ["nixpkgs#bws^bin,man", "nixpkgs", "bws", "^bin,man"],
    ["nixpkgs#bws^*", "nixpkgs", "bws", "^*"],
    [".#homeConfigurations.*.activationPackage", ".", "homeConfigurations.*.activationPackage", ""],
    [
      ".#nixosConfigurations.*.config.system.build.toplevel",
      ".",
      "nixosConfigurations.*.config.system.build.toplevel",
      "",
    ],
    [".#packages.SYSTEM.*", ".", "packages.SYSTEM.*", ""],
    [".#*", ".", "*", ""],
    ['.#a."b.c"."*"', ".", 'a."b.c"."*"', ""],
    [".#a-b.c'd._e", ".", "a-b.c'd._e", ""],
    ["#name", ".", "name", ""],
    [".", ".", "", ""],
    [".#", ".", "", ""],
    ["./sub", "./sub", "", ""],
    ["github:owner/repo/branch?dir=x#a", "github:owner/repo/branch?dir=x", "a", ""],
    ["git+https://host/repo?ref=main#a^dev", "git+https://host/repo?ref=main", "a", "^dev"],
    ["path:/some/where#a", "path:/some/where", "a", ""],
  ])("%s", (text, flake, attrPath, outputs) => {
    const installable = parseInstallable(text);
    if (installable.kind !== "flake") throw new Error(installable.kind);
    expect(installable.flake).toBe(flake);
    expect(formatAttrPath(installable.attrPath)).toBe(attrPath);
    expect(formatOutputs(installable.outputs)).toBe(outputs);
    expect(hasWildcard(installable)).toBe(/\*(\.|$)/.test(attrPath));
  });

  test("a quoted star is a name", () => {
    const installable = parseInstallable('.#"*"');
    expect(installable).toMatchObject({ attrPath: [{ kind: "name", name: "*" }] });
  });
});

describe("an installable of the store", () => {
  test.each([
    [PATH, { kind: "store path", path: PATH }],
    [`${PATH}/`, { kind: "store path", path: PATH }],
    [`${PATH}/bin/x#y`, { kind: "store path", path: PATH }],
    [`${PATH}.drv`, { kind: "derivation", path: `${PATH}.drv`, outputs: { kind: "default" } }],
    [`${PATH}.drv^*`, { kind: "derivation", path: `${PATH}.drv`, outputs: { kind: "all" } }],
    [
      `${PATH}.drv^out,dev`,
      {
        kind: "derivation",
        path: `${PATH}.drv`,
        outputs: { kind: "named", names: ["out", "dev"] },
      },
    ],
  ])("%s", (text, expected) => {
    expect(parseInstallable(text)).toEqual(expected);
  });
});

describe("an attribute of a file", () => {
  test.each([
    ["hello file=default.nix", "default.nix", "hello", "", "hello file=default.nix"],
    ["* file=ci.nix", "ci.nix", "*", "", "* file=ci.nix"],
    ["a.SYSTEM.*^dev file=./nix", "./nix", "a.SYSTEM.*", "^dev", "a.SYSTEM.*^dev file=./nix"],
    ["file=shell.nix", "shell.nix", "", "", "file=shell.nix"],
    [". file=shell.nix", "shell.nix", "", "", "file=shell.nix"],
    [".^dev file=x.nix", "x.nix", "", "^dev", ".^dev file=x.nix"],
    ["bash file=<nixpkgs>", "<nixpkgs>", "bash", "", "bash file=<nixpkgs>"],
    ['"a b" file="my nix/ci.nix"', "my nix/ci.nix", '"a b"', "", '"a b" file="my nix/ci.nix"'],
  ])("%s", (line, file, attrPath, outputs, written) => {
    const { installable } = parseTarget(`${line} priority=9`);
    if (installable.kind !== "file") throw new Error(installable.kind);
    expect(installable.file).toBe(file);
    expect(formatAttrPath(installable.attrPath)).toBe(attrPath);
    expect(formatOutputs(installable.outputs)).toBe(outputs);
    const again = formatInFile(attrPath, installable.outputs, installable.file);
    expect(again).toBe(written);
    expect(parseTarget(again).installable).toEqual(installable);
  });

  test.each([
    [".#a file=default.nix", "it names a flake, and file= a file"],
    [`${PATH}.drv file=default.nix`, "in a file is no store path"],
    ["a file=", 'file="" is no file\'s name'],
    ["a file=--impure", 'file="--impure" is no file\'s name'],
    ["a. file=default.nix", "it ends in a dot"],
    ["file=a.nix file=b.nix", "file= stands twice"],
  ])("%j is none", (line, why) => {
    const error = userError(() => parseTarget(line));
    expect([error.code, error.message]).toEqual(["NCP-102", expect.stringContaining(why)]);
    expect(error.hint).toBeTruthy();
  });
});

describe("what is no installable", () => {
  test.each([
    ["--impure", "it starts with a dash"],
    ["-", "it starts with a dash"],
    [".#a.", "it ends in a dot"],
    [".#a..b", '"a..b" is not an attribute path'],
    ['.#"a', '""a" is not an attribute path'],
    [".#a.b*", '"b*" holds a *'],
    ["*", "the * stands outside an attribute path"],
    ["pkgs*#a", "the * stands outside an attribute path"],
    [".#a^", '"^" names no outputs'],
    [".#a^bin,", '"^bin," names no outputs'],
    [".#a^b/c", '"^b/c" names no outputs'],
    [`${PATH}^out`, "an output is selected of a path that is one already"],
    [".#a\u0000b", "it holds a control character"],
    [".#a\u001b[31m", "it holds a control character"],
  ])("%j", (text, why) => {
    const error = userError(() => parseInstallable(text));
    expect(error.code).toBe("NCP-102");
    expect(error.message).toContain(why);
    expect(error.hint).toBeTruthy();
  });
});

describe("a target line", () => {
  test("without attributes has the defaults", () => {
    expect(parseTarget(" nixpkgs#bws ")).toEqual({
      line: "nixpkgs#bws",
      text: "nixpkgs#bws",
      installable: parseInstallable("nixpkgs#bws"),
      pin: undefined,
      priority: 50,
      space: undefined,
      system: undefined,
      closure: "runtime",
      derivations: [],
      develop: undefined,
    });
  });

  test("with every attribute", () => {
    const line = "nixpkgs#bws  pin=bws\tpriority=90 space=6GB system=aarch64-darwin closure=build";
    expect(parseTarget(line)).toMatchObject({
      pin: "bws",
      priority: 90,
      space: 6e9,
      system: "aarch64-darwin",
      closure: "build",
    });
  });

  test.each(["0", "100", "7"])("priority=%s is legal", (value) => {
    expect(parseTarget(`.#a priority=${value}`).priority).toBe(Number(value));
  });

  test("says how a blank is written", () => {
    const { hint } = userError(() => parseTarget("./my dir#a"));
    expect(hint).toMatch(/stands in quotes .* entered by working-directory/);
  });

  test.each([
    [".#a prority=9", '"prority=9" is not an attribute of a target. Did you mean "priority"?'],
    [".#a Pin=x", 'Did you mean "pin"?'],
    [".#a sytem=x86_64-linux", 'Did you mean "system"?'],
    [".#a closure", '"closure" is not key=value.'],
    [".#a .#b", 'targets: ".#a .#b": there is one target per line'],
    [".#a, .#b", "there is one target per line"],
    [".#a,.#b", "there is one target per line"],
    [".#a , .#b", "there is one target per line"],
    ["./my dir#a", '"dir#a" is not key=value'],
    [".#a zzzzzz=1", '"zzzzzz=1" is not an attribute of a target'],
    [".#a pin=a pin=b", "pin= stands twice"],
    [".#a closure=biuld", '"biuld" is neither "runtime" nor "build". Did you mean "build"?'],
    [".#a closure=", 'closure="" is neither'],
    [".#a priority=high", 'priority="high" is not from 0 to 100'],
    [".#a priority=101", 'priority="101" is not from 0 to 100'],
    [".#a priority=-1", 'priority="-1" is not from 0 to 100'],
    [".#a priority=1.5", 'priority="1.5" is not from 0 to 100'],
    [".#a pin=a/b", 'pin="a/b" is not a pin name'],
    [".#a pin=..", 'pin=".." is not a pin name'],
    [".#a pin=", 'pin="" is not a pin name'],
    [`.#a pin=${"p".repeat(201)}`, "is not a pin name"],
    [".#a system=x86_64-linus", '"x86_64-linus" is not a system. Did you mean "x86_64-linux"?'],
    [".#a system=SYSTEM", '"SYSTEM" is not a system'],
  ])("%j", (line, message) => {
    const error = userError(() => parseTarget(line));
    expect(error.code).toBe("NCP-102");
    expect(error.message).toContain(message);
    expect(error.hint).toBeTruthy();
  });

  test("derivation= names one or several, and nothing below a store path", () => {
    const hash = "0".repeat(32);
    expect(parseTarget(`.#a derivation=bws-1.0.0,${hash}-x`).derivations).toEqual([
      "bws-1.0.0",
      `${hash}-x`,
    ]);
    for (const wrong of ["", "a,", "a b", "a/b", "*"]) {
      expect(() => parseTarget(`.#a derivation=${wrong}`)).toThrow();
    }
    const path = `/nix/store/${hash}-x`;
    expect(() => parseTarget(`${path} derivation=a`)).toThrow("below a store path");
    expect(parseTarget(`${path}.drv derivation=a`).derivations).toEqual(["a"]);
  });

  test("legal values stand in the hint", () => {
    expect(userError(() => parseTarget(".#a x=1")).hint).toBe(
      "attributes are pin=, priority=, space=, system=, closure=, derivation=, develop=, file=",
    );
    expect(userError(() => parseTarget(".#a system=x")).hint).toContain("aarch64-darwin");
  });

  test("a bad size names the target it is of", () => {
    const error = userError(() => parseTarget(".#a space=5"));
    expect(error.code).toBe("NCP-104");
    expect(error.message).toBe('targets: ".#a": space: "5" cannot be used: it has no unit');
  });
});

describe("names that no letter has to be left out of", () => {
  test.each([
    ['.#"with space" pin=x', [{ kind: "name", name: "with space" }]],
    [
      '.#packages."SYSTEM"',
      [
        { kind: "name", name: "packages" },
        { kind: "name", name: "SYSTEM" },
      ],
    ],
    [".#packages.SYSTEM", [{ kind: "name", name: "packages" }, { kind: "system" }]],
    [".#a%20b", [{ kind: "name", name: "a b" }]],
    ['.#"a^b"', [{ kind: "name", name: "a^b" }]],
    ['.#a"b.c"d', [{ kind: "name", name: "ab.cd" }]],
    ['.#"a%0Ab"', [{ kind: "name", name: "a\nb" }]],
  ])("%s", (line, attrPath) => {
    expect(parseTarget(line).installable).toMatchObject({ attrPath });
  });

  test.each([
    ['.#"a b', "a quote has no end"],
    [".#a%2", "a % in it stands for no character"],
    [".#a%20b.c*", "holds a *"],
  ])("%s is refused", (line, why) => {
    expect(userError(() => parseTarget(line)).message).toContain(why);
  });
});

describe("what is taken away", () => {
  test.each([
    ["!docs", ".#packages.x86_64-linux.docs", true],
    ["!docs", ".#packages.x86_64-linux.docs-2", false],
    ["!docs*", '.#packages.x86_64-linux."docs.all"', true],
    ["!.#packages.SYSTEM.d*", ".#packages.x86_64-linux.docs", true],
    ["!.#checks.*", ".#packages.x86_64-linux.docs", false],
    ["!docs", "docs", true],
  ])("%s of %s: %s", (line, name, taken) => {
    const [one] = parseTargets(`.#*\n${line}`).without;
    expect(one?.takes(name, "x86_64-linux")).toBe(taken);
    expect(one?.line).toBe(line);
  });

  test.each(["!", "!a b", "! "])("%j is refused", (line) => {
    expect(userError(() => parseTargets(line)).message).toContain("takes nothing away");
  });
});

describe("target lines", () => {
  test("are read in order; empty ones and comments are passed over", () => {
    const lines = "\n.#a\r\n# a comment\n\n  #b pin=b  \n#\n";
    expect(parseTargets(lines).targets.map(({ text }) => text)).toEqual([".#a", "#b"]);
  });

  test("none are none", () => {
    expect(parseTargets(" \n \n").targets).toEqual([]);
  });
});
