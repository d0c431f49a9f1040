import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import {
  allowsSubstitutes,
  buildKind,
  type Derivation,
  isFixedOutput,
  outputPaths,
  parseDerivation,
} from "../../src/domain/derivation.ts";
import { parseStorePath, type StorePath } from "../../src/domain/store-path.ts";
import { impureVariables } from "../../src/nix/build.ts";

const FIXTURES = join(import.meta.dirname, "..", "fixtures", "drv");
const VERSIONS = ["2.8", "2.26", "2.34"];
const HASH = "0c4dcmsd1s2zla7mfpzhpk3s9cbijwqm";

function storePath(base: string): StorePath {
  const path = parseStorePath(`/nix/store/${base}`, "/nix/store");
  if (!path) throw new Error(`${base} is no store path`);
  return path;
}

function recorded(version: string, name: string): Derivation {
  const folder = join(FIXTURES, version);
  const file = readdirSync(folder).find((one) => one.slice(33) === `${name}.drv`);
  if (!file) throw new Error(`no ${name} of ${version}`);
  return parseDerivation(readFileSync(join(folder, file), "utf8"), storePath(file));
}

describe.each(VERSIONS)("derivations of Nix %s", (version) => {
  test("have outputs, sources, system, builder and an environment without escapes", () => {
    const plain = recorded(version, "plain-1.0");
    expect(plain).toMatchObject({
      name: "plain-1.0",
      system: "x86_64-linux",
      builder: "/bin/sh",
      sources: ["/nix/store/arh7nb86h4wx19as88q85zcl0xm86h1r-source.txt"],
      hasDynamicInputs: false,
    });
    expect(plain.inputs.size).toBe(0);
    expect(outputPaths(plain, ["out", "dev"])).toEqual([
      "/nix/store/whmskhyg0vnydbggzxwllzg1gs02rvww-plain-1.0",
      "/nix/store/k3hkcvnvisw0p9mnypwb8jhm1qyknvvw-plain-1.0-dev",
    ]);
    expect(plain.environment.get("empty")).toBe("");
    expect(plain.environment.get("text")).toBe(
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is not a template there either
      'quote " backslash \\ dollar ${x}\nnew line\ttab\rreturn, ünïcödé, \\n stays',
    );
  });

  test("name the outputs they take of their inputs", () => {
    const using = recorded(version, "using-2.0");
    expect([...using.inputs]).toEqual([[recorded(version, "plain-1.0").path, ["dev", "out"]]]);
  });

  test.each([
    ["plain-1.0", "source", true],
    ["using-2.0", "source", true],
    ["trivial", "trivial", false],
    ["structured", "trivial", false],
    ["flat.tar.gz", "download", true],
    ["recursive-source", "download", true],
    ["floating", "source", true],
    ["on-floating", "source", true],
  ])("%s is a %s, substitutes: %s", (name, kind, substitutes) => {
    const derivation = recorded(version, name);
    expect(buildKind(derivation)).toBe(kind);
    expect(allowsSubstitutes(derivation)).toBe(substitutes);
  });

  test.each([
    ["flat.tar.gz", "sha256"],
    ["recursive-source", "r:sha256"],
  ])("%s is fixed by a %s sum", (name, algorithm) => {
    const derivation = recorded(version, name);
    expect(isFixedOutput(derivation)).toBe(true);
    expect(derivation.outputs.get("out")).toMatchObject({
      hashAlgorithm: algorithm,
      hash: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    });
  });

  test.each(["floating", "on-floating"])("the outputs of %s are not known before", (name) => {
    const derivation = recorded(version, name);
    expect(isFixedOutput(derivation)).toBe(false);
    expect(outputPaths(derivation, ["out"])).toBeUndefined();
  });

  test("a fixed output's impure variables, plain or structured; of others none", () => {
    const fixed = recorded(version, "flat.tar.gz");
    const withOne = (name: string, value: string) => ({
      ...fixed,
      environment: new Map([...fixed.environment, [name, value]]),
    });
    expect(impureVariables(fixed)).toEqual([]);
    expect(impureVariables(withOne("impureEnvVars", "GOPROXY  http_proxy"))).toEqual([
      "GOPROXY",
      "http_proxy",
    ]);
    const json = JSON.stringify({ impureEnvVars: ["GOPROXY", 1] });
    expect(impureVariables(withOne("__json", json))).toEqual(["GOPROXY"]);
    const built = recorded(version, "plain-1.0");
    const asks = new Map([...built.environment, ["impureEnvVars", "HOME"]]);
    expect(impureVariables({ ...built, environment: asks })).toEqual([]);
  });

  test("an output it lacks is named with those it has", () => {
    expect(() => outputPaths(recorded(version, "plain-1.0"), ["bin"])).toThrow(
      'plain-1.0 has no output "bin"; it has dev, out',
    );
  });
});

describe.each(["2.26", "2.34"])("dynamic derivations of Nix %s", (version) => {
  test("want what makes their inputs, and say that there is more", () => {
    const dynamic = recorded(version, "dynamic");
    expect(dynamic.hasDynamicInputs).toBe(true);
    expect([...dynamic.inputs].map(([path, names]) => [path.slice(44), names])).toEqual([
      ["plain-1.0.drv", ["out"]],
      ["zzz-plain.drv", ["out"]],
      ["makes.drv.drv", ["out"]],
    ]);
  });
});

describe("a dynamic input among plain ones", () => {
  test("is not forgotten for those behind it", () => {
    const input = (name: string) => `/nix/store/${HASH}-${name}.drv`;
    const text = `DrvWithVersion("xp-dyn-drv",[("out","","","")],[("${input("a")}",([],[("out",["out"])])),("${input("b")}",(["dev"],[]))],[],"s","b",[],[])`;
    const derivation = parseDerivation(text, storePath(`${HASH}-x.drv`));
    expect(derivation.hasDynamicInputs).toBe(true);
    expect([...derivation.inputs.values()]).toEqual([["out"], ["dev"]]);
  });
});

function made(environment: Record<string, string>, output = '("out","","","")'): Derivation {
  const pairs = Object.entries(environment).map(
    ([name, value]) => `(${JSON.stringify(name)},${JSON.stringify(value)})`,
  );
  const text = `Derive([${output}],[],[],"x86_64-linux","/bin/sh",[],[${pairs.join(",")}])`;
  return parseDerivation(text, storePath(`${HASH}-made.drv`));
}

describe("what kind of build it is", () => {
  const json = (value: unknown) => ({ __json: JSON.stringify(value) });
  const fixed = `("out","/nix/store/${HASH}-made","sha256","00")`;

  test.each([
    ["nothing said", {}, "source", true],
    ["preferLocalBuild", { preferLocalBuild: "1" }, "trivial", true],
    ["preferLocalBuild unset", { preferLocalBuild: "" }, "source", true],
    ["allowSubstitutes unset", { allowSubstitutes: "" }, "trivial", false],
    ["allowSubstitutes", { allowSubstitutes: "1" }, "source", true],
    ["structured preferLocalBuild", json({ preferLocalBuild: true }), "trivial", true],
    ["structured allowSubstitutes", json({ allowSubstitutes: false }), "trivial", false],
    ["structured, both harmless", json({ preferLocalBuild: false }), "source", true],
    ["structured, not a boolean", json({ preferLocalBuild: "1" }), "source", true],
    ["structured, not an object", json(null), "source", true],
    ["structured, not JSON", { __json: "{" }, "source", true],
  ])("%s", (_, environment, kind, substitutes) => {
    const derivation = made(environment);
    expect(buildKind(derivation)).toBe(kind);
    expect(allowsSubstitutes(derivation)).toBe(substitutes);
  });

  test("a fixed output is a download even where it is preferred locally", () => {
    expect(buildKind(made({ preferLocalBuild: "1" }, fixed))).toBe("download");
  });

  test("an impure output has a hash and no path: nothing fixes it", () => {
    expect(buildKind(made({}, '("out","","r:sha256","impure")'))).toBe("source");
  });
});

describe("a damaged derivation", () => {
  test.each([
    ["", "line 1: not a derivation: expected Derive( and found the end"],
    ["<html>", 'expected Derive( and found "<html>"'],
    ["Derive([", "expected ( and found the end"],
    ['Derive([("out', "a string does not end"],
    ['Derive([("out\\"', "a string does not end"],
    [`Derive([("out","/etc/passwd","","")],[],[],"","",[],[])`, '"/etc/passwd" is not a path in'],
    [`Derive([],[],["../x"],"","",[],[])`, '"../x" is not a path in /nix/store'],
    [`Derive([],[],[],"\n\n","",[],[)`, "line 3: not a derivation: expected ( and found"],
    [`Derive([],[],[],"","",[],[]) Derive(`, "there is more behind its end"],
    [`Derive([],[],[],"","",[,],[])`, "expected"],
    ['DrvWithVersion("v9",[],[],[],"","",[],[])', 'its format "v9" is not known'],
    [`DrvWithVersion("xp-dyn-drv",[],[("/nix/store/${HASH}-a.drv",([],[("out",([[`, "too early"],
  ])("%j", (text, message) => {
    const path = storePath(`${HASH}-broken.drv`);
    expect(() => parseDerivation(text, path)).toThrow(message);
    expect(() => parseDerivation(text, path)).toThrow(path);
  });

  test.each(["[", "(", '"', "\\", '\\"', "[(", 'DrvWithVersion("xp-dyn-drv",'])(
    "100,000 times %j ends at once",
    (piece) => {
      const path = storePath(`${HASH}-broken.drv`);
      const text = `DrvWithVersion("xp-dyn-drv",[],[("/nix/store/${HASH}-a.drv",([],[("out",${piece.repeat(100_000)}`;
      expect(() => parseDerivation(text, path)).toThrow("not a derivation");
    },
  );
});
