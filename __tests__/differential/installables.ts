/** Owns what users name to be built: attribute names of any letters, flakes, outputs, store paths. */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DEFAULTS, parseInputs } from "../../src/action/inputs.ts";
import { outputPaths } from "../../src/domain/derivation.ts";
import { UserError } from "../../src/domain/errors.ts";
import { derivationName, type StorePath } from "../../src/domain/store-path.ts";
import { findTargets } from "../../src/engine/survey/targets.ts";
import { nixString } from "../../src/nix/nix-file.ts";
import { type Chance, chance } from "../support/fuzz.ts";
import type { Comparison } from "./difference.ts";
import type { Court } from "./judges.ts";
import { composed } from "./ours.ts";

export interface InstallableWorld {
  readonly what: string;
  /** As it stands behind `nix build`, and in a target line. */
  readonly text: string;
}

/** Names of packages; each has a derivation `nN`, N being its place. */
const NAMES: readonly string[] = [
  "hello",
  "default",
  "a.b",
  "a..b",
  ".",
  "..",
  "",
  "a b",
  " ",
  "1st",
  "x'y",
  "x-y",
  "-dash",
  "--option",
  "+plus",
  "ünï",
  "日本語",
  "🦀",
  "a%b",
  "a%2eb",
  "%",
  "a^b",
  "a^out",
  "^",
  "a#b",
  "#",
  "a,b",
  "a?b",
  "a=b",
  "a&b",
  "a/b",
  "a:b",
  "a@b",
  "a\\b",
  "a;b",
  "a|b",
  "$x",
  "\u0024{x}",
  "`x`",
  "<x>",
  "{x}",
  "(x)",
  "[x]",
  "~",
  "!x",
  "SYSTEM",
  "*",
  "a*b",
  "\u00a0",
  "out",
  "nested",
  "packages",
  "null",
  "if",
];

/** Of several outputs, with what is said of them. */
const OUTPUTS: Readonly<Record<string, string>> = {
  multi: '{ outputs = [ "out" "dev" "doc" ]; }',
  "dev-first": '{ outputs = [ "dev" "out" ]; }',
  "no-out": '{ outputs = [ "lib" "bin" ]; }',
  "installs-dev": '{ outputs = [ "out" "dev" ]; } // { meta.outputsToInstall = [ "dev" ]; }',
  "installs-two":
    '{ outputs = [ "out" "dev" "doc" ]; } // { meta.outputsToInstall = [ "out" "doc" ]; }',
  "installs-none": '{ outputs = [ "out" "dev" ]; } // { meta.outputsToInstall = [ ]; }',
};

/** Expressions that stand beside the packages. */
const OTHERS: Readonly<Record<string, string>> = {
  throws: 'throw "no"',
  aborts: 'abort "no"',
  number: "3",
  list: "[ hello ]",
  set: "{ a = hello; }",
  function: "x: x",
  "a-path": "hello.outPath",
  "a-string": '"hello"',
  "dev-of-multi": "multi.dev // { outputSpecified = true; }",
  "out-by-name": 'installs-two // { outputName = "doc"; outputSpecified = true; }',
};

function flakeText(system: string, name: string): string {
  const lines = NAMES.map((one, n) => `${nixString(one)} = d "${name}${n}" { };`);
  const outputs = Object.entries(OUTPUTS).map(([one, more]) => {
    const [attributes = "", meta = "{ }"] = more.split(" // ");
    return `${one} = d "${name}-${one}" ${attributes} // ${meta};`;
  });
  const others = Object.entries(OTHERS).map(([one, text]) => `${one} = ${text};`);
  return `{ outputs = { self }: let
  d = name: more: derivation ({
    inherit name; outputs = [ "out" ]; system = "${system}"; builder = "/bin/sh";
    args = [ "-c" "for o in $outputs; do eval 'echo x > $'$o; done" ];
  } // more);
  packages = rec { ${lines.join("\n")}
  ${outputs.join("\n")}
  };
  inherit (packages) hello multi installs-two;
  others = { ${others.join("\n")} };
in {
  packages.${system} = packages // others;
  legacyPackages.${system} = { nested.deep = d "${name}-deep" { }; hello = d "${name}-legacy" { }; };
  checks.${system}.checked = d "${name}-checked" { };
  hello = d "${name}-top" { };
  top = { "a.b" = d "${name}-top-ab" { }; a.b = d "${name}-top-a-b" { }; };
  defaultPackage.${system} = d "${name}-old" { };
}; }
`;
}

const PLAIN = /^[^."#^%*\s]+$/;

export async function installables(
  court: Court,
  system: string,
): Promise<Comparison<InstallableWorld>> {
  const { machine, minor } = court;
  const folder = join(machine.root, "flakes");
  await mkdir(join(folder, "sub"), { recursive: true });
  await mkdir(join(folder, "bare"));
  await writeFile(join(folder, "flake.nix"), flakeText(system, "n"));
  await writeFile(join(folder, "sub", "flake.nix"), flakeText(system, "s"));
  const drvOf = async (name: string) =>
    (await machine.nix("nix", ["eval", "--raw", `${folder}#${name}.drvPath`])).trim();
  const [hello, multi] = await Promise.all(["hello", "multi"].map(drvOf));
  const built = (await machine.nix("nix-store", ["--realise", hello ?? ""])).trim();

  const quoted = (name: string, next: Chance): string => {
    // What would end the fragment, or be taken for something else, is encoded; of the rest some is.
    const inside = name.replace(/[\s\S]/gu, (char) =>
      /[%^#"\s]/.test(char) || next(8) === 0 ? encoded(char) : char,
    );
    return next(6) === 0 && inside.length > 1
      ? `"${inside.slice(0, 1)}""${inside.slice(1)}"`.replace(/%""/, "%")
      : `"${inside}"`;
  };
  const segment = (name: string, next: Chance): string =>
    PLAIN.test(name) && name !== "SYSTEM" && next(2) ? name : quoted(name, next);
  const selections = [
    "",
    "",
    "^out",
    "^dev",
    "^*",
    "^out,dev",
    "^dev,out",
    "^nope",
    "^out,nope",
    "^",
    "^,",
    "^out,",
    "^out,out",
    "^out^dev",
    '^"out"',
    "^ out",
    "^OUT",
    "^out*",
  ];
  const refs = [
    ".",
    "",
    "./",
    "./.",
    "path:.",
    "path:./",
    folder,
    `path:${folder}`,
    "./sub",
    "sub/../sub",
    "path:./sub",
    ".?dir=sub",
    "path:.?dir=sub",
    `${folder}?dir=sub`,
    `path:${folder}?dir=sub`,
    `path:${folder}/sub`,
    ".?dir=nowhere",
    "./nowhere",
    "./bare",
    `${folder}/bare`,
    "path:.?dir=",
    "path:.?dir=./sub",
    "path:.?nonsense=1",
    ".?ref=main",
    "nonsense:x",
    "git+file:.",
  ];
  const paths = ["packages.SYS", "legacyPackages.SYS", "checks.SYS", "top", "", "packages.other"];
  const names = [...NAMES, ...Object.keys(OUTPUTS), ...Object.keys(OTHERS)];
  const fixed = [
    ...names.map((name, n) => `.#${segment(name, chance(n + 1))}`),
    ...names.map((name, n) => `.#packages.${system}.${quoted(name, chance(n + 9))}`),
    ...refs,
    ...refs.map((ref) => `${ref}#hello`),
    ...selections.map((selection) => `.#multi${selection}`),
    ...selections.map((selection) => `.#hello${selection}`),
    ...Object.keys(OUTPUTS).flatMap((name) => [`.#${name}^*`, `.#${name}.dev`, `.#${name}.out`]),
    ...selections.map((selection) => `${multi}${selection}`),
    ...selections.map((selection) => `.${selection}`),
    ...[".#", ".#.", ".#..", ".#hello.", ".#.hello", ".#hello..out", ".##hello", ".#hello#out"],
    ...['.#"', '.#"hello', '.#hel"lo"', '.#"hel"lo', '.#"hel""lo"', ".#%68ello", ".#%zz", ".#%"],
    ...[".#%ff", '.#"%ff"', ".#hello%00", ".#a%20b", '.#"a%2eb"', ".#a%2eb", ".#%22a.b%22"],
    ...[".#top.a.b", '.#top."a.b"', ".#nested.deep", ".#checks", ".#checked", ".#packages"],
    ...[built, `${built}^out`, `${built}^*`, `${built}/`, `${built}/bin`, `${built}/bin#x`],
    ...[`${hello}`, `${hello}^out`, `${hello}!out`, `${hello}^*`, `${hello}/`],
    ...["-f", "--help", "-", "hello", "/", "/nowhere", "/nix/store", machine.storeDir],
    ...[
      "path:",
      "path:.#hello#",
      ".#hello?dir=sub",
      ".#hello&x",
      ".?#hello",
      ".?dir=sub&x=1#hello",
    ],
  ];
  // Before 2.9 Nix's command line has no `^`, and there as behind `path:` addresses hold few letters: we take
  // everywhere what later versions take behind a folder.
  // A `?` in a fragment behind `path:` all of them read as a file's name.
  const isKnown = (text: string) => {
    const isPath = text.startsWith("path:");
    if (isPath && /#.*\?/.test(text)) return false;
    return (minor >= 9 && !isPath) || !/[\^<>{}[\]`|\\]|[^ -~]|^#|#\.$/.test(text);
  };
  const ours = await composed(machine.environment, folder, machine.root);
  return {
    name: "installables",
    usual: 40,
    share: 8,
    always: [...new Set(fixed)]
      .filter((text) => text !== "" && isKnown(text))
      .map((text) => ({ what: text, text })),
    make(next) {
      for (;;) {
        const ref = next(3) === 0 ? (refs[next(refs.length)] ?? ".") : ".";
        const path = next(3) === 0 ? (paths[next(paths.length)] ?? "") : "";
        const name = names[next(names.length)] ?? "hello";
        const more = next(5) === 0 ? `.${["dev", "out", "deep", "a", "x"][next(5)]}` : "";
        const selection = next(3) === 0 ? (selections[next(selections.length)] ?? "") : "";
        const before = path === "" ? "" : `${path.replace("SYS", system)}.`;
        const text = `${ref}#${before}${segment(name, next)}${more}${selection}`;
        if (isKnown(text)) return { what: text, text };
      }
    },
    async nix({ text }) {
      const args = ["build", "--json", "--no-link", "--no-write-lock-file", "--", text];
      const { code, text: told } = await court.runIn(folder, "nix", args);
      if (code !== 0) return "refuses";
      const json = told.split("\n").find((line) => line.startsWith("["));
      const built = JSON.parse(json ?? "[]") as (
        | string
        | { drvPath?: string; path?: string; outputs?: Record<string, string> }
      )[];
      const all = built.map((one) => {
        if (typeof one === "string") return `path ${derivationName(one as StorePath)}`;
        if (!one.drvPath) return `path ${derivationName((one.path ?? "") as StorePath)}`;
        return words(one.drvPath, Object.values(one.outputs ?? {}));
      });
      return all.sort().join("; ");
    },
    async ours({ text }) {
      try {
        const { job } = parseInputs({ ...DEFAULTS, cache: "none", targets: text });
        const found = await findTargets(job, ours.world, AbortSignal.timeout(60_000));
        const all = await Promise.all(
          found.targets.map(async ({ wanted, failure }) => {
            if (failure || !wanted) return "refuses";
            if (wanted.kind === "path") return `path ${derivationName(wanted.path)}`;
            if (wanted.kind !== "derivation") return wanted.kind;
            const derivation = await ours.world.nix?.derivation(wanted.drvPath);
            const made = derivation && outputPaths(derivation, wanted.outputNames);
            return made ? words(wanted.drvPath, made) : "refuses";
          }),
        );
        return all.sort().join("; ");
      } catch (error) {
        if (error instanceof UserError) return "refuses";
        throw error;
      }
    },
    async end() {
      await ours[Symbol.asyncDispose]();
    },
  };
}

function words(drvPath: string, outputs: readonly string[]): string {
  const name = derivationName(drvPath as StorePath);
  return `${name}: ${[...new Set(outputs)]
    .map((path) => derivationName(path as StorePath))
    .sort()
    .join(" ")}`;
}

/** Each byte as an address has it. */
function encoded(char: string): string {
  return [...Buffer.from(char)].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
}
