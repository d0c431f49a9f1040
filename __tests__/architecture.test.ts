import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { temporaryFolder } from "./support/folder.ts";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "..");
const SOURCES = readdirSync(join(ROOT, "src"), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
  .map((entry) => relative(join(ROOT, "src"), join(entry.parentPath, entry.name)))
  .sort();
const read = (file: string) => readFileSync(join(ROOT, "src", file), "utf8");

/** Which folders the files of a folder may import from, itself included; what stands at the top is `.`. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  domain: ["domain"],
  engine: ["engine", "domain"],
  report: ["report", "engine", "domain"],
  host: ["host", "domain"],
  nix: ["nix", "host", "domain"],
  caches: ["caches", "host", "domain"],
  // Of caches/ only GitHub's own, whose folder it fills and saves; the linter holds that.
  action: ["action", "report", "engine", "caches", "host", "domain", "."],
  cli: ["cli", "action", "report", "engine", "host", "domain", "."],
  ".": [".", "cli", "action", "caches", "nix", "host", "report", "engine", "domain"],
};

const folderOf = (file: string) => (file.includes("/") ? (file.split("/")[0] ?? "") : ".");

/** Files of src that `file` imports, by type or by value. */
function importsOf(file: string): string[] {
  return [...read(file).matchAll(/(?:from|import\() ?"(\.[^"]+)"/g)]
    .map(([, to = ""]) => relative(".", join(file, "..", to)))
    .filter((to) => !to.includes("node_modules/"));
}

/**
 * An entry, what the action does for it and what the engine does for that; the part that each kind of
 * cache has (its API, pushing, pins), and the engine's verb that calls it.
 */
function isOneThing(file: string): boolean {
  const name = basename(file);
  if (["main.ts", "post.ts", "background-push.ts"].includes(name)) {
    return [name, `action/${name}`, `engine/${name}`].includes(file);
  }
  return /^caches\/[a-z0-9]+\/[a-z]+\.ts$/.test(file) || file === "engine/apply/push.ts";
}

/** Sets of files that import each other in a circle. */
function circles(imports: ReadonlyMap<string, readonly string[]>): string[][] {
  const reachedFrom = (start: string): Set<string> => {
    const reached = new Set(imports.get(start));
    for (const file of reached) for (const next of imports.get(file) ?? []) reached.add(next);
    return reached;
  };
  return [...imports.keys()].flatMap((file) => {
    const reached = reachedFrom(file);
    if (!reached.has(file)) return [];
    return [[file, ...[...reached].filter((other) => reachedFrom(other).has(file))]];
  });
}

describe("every file of src", () => {
  test("opens with one sentence that says what is in it", () => {
    const silent = SOURCES.filter((file) => {
      const [, text = ""] = read(file)
        .replace(/^#!.*\n/, "")
        .split(/^\/\*\*|\*\/$/m);
      const words = text.replaceAll("\n *", "").trim();
      // What follows the first sentence is a source, or that the file is pure.
      return !/^["`A-Z].{15,180}?\.(\s|$)/.test(words);
    });
    expect(silent).toEqual([]);
  });

  test("is no longer than three hundred lines", () => {
    expect(SOURCES.filter((file) => read(file).split("\n").length > 301)).toEqual([]);
  });

  test("is one of at most 248", () => {
    expect(SOURCES.length).toBeLessThanOrEqual(248);
  });

  test("makes folders above a folder by makeFolder alone: Node's own way may ask for ever", () => {
    expect(SOURCES.filter((file) => /\bmkdir(Sync)?\([^;]*recursive/.test(read(file)))).toEqual([]);
  });

  test("has a base name of its own, unless it is the same thing at another level", () => {
    const byName = Map.groupBy(SOURCES, (file) => basename(file));
    const shared = [...byName.values()].filter(({ length }) => length > 1);
    const unrelated = shared.filter((files) => !files.every(isOneThing));
    expect(unrelated).toEqual([]);
  });

  test("is in no circle of imports, types included", () => {
    expect(circles(new Map(SOURCES.map((file) => [file, importsOf(file)])))).toEqual([]);
  });

  test("has a name in kebab-case", () => {
    const odd = SOURCES.filter((file) => !/^([a-z0-9-]+\/)*[a-z0-9-]+\.ts$/.test(file));
    expect(odd).toEqual([]);
  });

  test("imports from the folders its own may import from", () => {
    const against = SOURCES.flatMap((file) =>
      importsOf(file)
        .filter((to) => !MAY_IMPORT[folderOf(file)]?.includes(folderOf(to)))
        .map((to) => `${file} imports ${to}`),
    );
    expect(against).toEqual([]);
  });

  test("asks the job's mode for one thing only: which steps it may hold", () => {
    // engine/step.ts says it. The others tell the mode to the user, or list what is legal.
    const telling = ["action/main.ts", "report/json.ts", "report/summary.ts"];
    const asking = SOURCES.filter((file) => !telling.includes(file)).flatMap((file) =>
      [...read(file).matchAll(/^.*\bjob\.mode\b.*$/gm)]
        .map(([line]) => line.replaceAll(/MAY(?:_IN_POST)?\[job\.mode\]\.has\(/g, ""))
        .filter((line) => /\bjob\.mode\b/.test(line))
        .map((line) => `${file}: ${line.trim()}`),
    );
    expect(asking).toEqual([]);
    const comparing = SOURCES.filter((file) =>
      /\{[^{}]*\bmode\b[^{}]*\} = \w*job\b/.test(read(file)),
    );
    expect(comparing).toEqual([]);
  });
});

/** Forbidden imports by folder; `allowed` ones show that it is the rule that speaks. */
const FORBIDDEN: Readonly<Record<string, readonly string[]>> = {
  "domain/planted.ts": ["../engine/run.ts", "../host/exec.ts", "node:fs", "zod", "@actions/core"],
  "engine/planted.ts": [
    "../report/page.ts",
    "../nix/nix.ts",
    "../caches/register.ts",
    "../host/http-client.ts",
    "../compose.ts",
    "node:child_process",
    "@actions/core",
  ],
  "engine/survey/planted.ts": [
    "../plan.ts",
    "../plan/disk-space.ts",
    "../apply/push.ts",
    "../../host/http-client.ts",
    "node:fs",
  ],
  "engine/plan/planted.ts": [
    "../apply.ts",
    "../apply/push.ts",
    "../outcome.ts",
    "../../nix/nix.ts",
  ],
  "engine/matrix/planted.ts": ["../plan/disk-space.ts", "../apply/push.ts", "../../report/page.ts"],
  "engine/apply/planted.ts": ["../plan.ts", "../plan/disk-space.ts", "../../caches/register.ts"],
  "engine/audit/planted.ts": ["../plan/disk-space.ts", "../apply/push.ts", "../../host/project.ts"],
  "report/planted.ts": [
    "../action/inputs.ts",
    "../nix/nix.ts",
    "../caches/register.ts",
    "../host/disk.ts",
    "../compose.ts",
    "node:fs",
    "@actions/core",
  ],
  "host/planted.ts": [
    "../engine/run.ts",
    "../nix/nix.ts",
    "../caches/register.ts",
    "../report/page.ts",
    "../action/main.ts",
    "../compose.ts",
    "@actions/core",
  ],
  "nix/planted.ts": [
    "../engine/run.ts",
    "../caches/register.ts",
    "../report/page.ts",
    "../action/main.ts",
    "@actions/core",
  ],
  "caches/cachix/planted.ts": [
    "../../engine/run.ts",
    "../../nix/nix.ts",
    "../../action/main.ts",
    "@actions/core",
  ],
  "caches/planted.ts": [
    "../engine/run.ts",
    "../nix/nix.ts",
    "../report/page.ts",
    "../action/main.ts",
    "@actions/core",
  ],
  "action/planted.ts": ["../nix/nix.ts", "../caches/register.ts", "../cli/command-line.ts"],
  "cli/planted.ts": [
    "../nix/nix.ts",
    "../caches/register.ts",
    "../action/main.ts",
    "../action/console.ts",
    "@actions/core",
  ],
  "compose.ts": ["./action/main.ts", "./report/page.ts", "@actions/core"],
};
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  "domain/planted.ts": ["./errors.ts", "node:crypto"],
  "engine/planted.ts": ["./run.ts", "../domain/job.ts"],
  "engine/survey/planted.ts": ["./facts.ts", "../step.ts", "../../domain/job.ts"],
  "engine/plan/planted.ts": ["./disk-space.ts", "../step.ts", "../survey/facts.ts"],
  "engine/matrix/planted.ts": ["./matrix.ts", "../survey.ts", "../survey/facts.ts"],
  "engine/apply/planted.ts": ["./push.ts", "../step.ts", "../outcome.ts", "../survey/lookup.ts"],
  "engine/audit/planted.ts": ["./check.ts", "../survey.ts", "../survey/substituters.ts"],
  "report/planted.ts": ["./page.ts", "../engine/run.ts", "../domain/size.ts"],
  "host/planted.ts": ["./disk.ts", "../domain/ports.ts", "node:fs"],
  "nix/planted.ts": ["./nix.ts", "../host/exec.ts", "../domain/hash.ts"],
  "caches/planted.ts": ["./register.ts", "../host/http-client.ts", "../domain/cache.ts"],
  "caches/cachix/planted.ts": ["./api.ts", "../kind.ts", "../../host/retry.ts"],
  "cli/planted.ts": [
    "./command-line.ts",
    "../action/inputs.ts",
    "../compose.ts",
    "../engine/run.ts",
  ],
  "action/planted.ts": [
    "./main.ts",
    "../caches/github/client.ts",
    "../compose.ts",
    "../engine/run.ts",
    "@actions/core",
  ],
  "compose.ts": ["./nix/nix.ts", "./caches/register.ts", "./host/disk.ts"],
};

/** What the linter, with our own rules, says of files with these contents: `FILE:LINE RULE`. */
async function linted(files: Readonly<Record<string, string>>): Promise<string[]> {
  await using folder = await temporaryFolder();
  await folder.write("biome.json", readFileSync(join(ROOT, "biome.json")));
  for (const [file, content] of Object.entries(files)) await folder.write(`src/${file}`, content);
  const biome = join(ROOT, "node_modules", ".bin", "biome");
  const args = ["lint", "--reporter=github", "--max-diagnostics=none", "."];
  const { stdout } = await run(biome, args, { cwd: folder.path }).catch((error) => error);
  return [
    ...String(stdout).matchAll(/^::error title=([^,]+),file=[^,]*\/src\/([^,]+),line=(\d+)/gm),
  ].map(([, rule, file, line]) => `${file}:${line} ${rule?.split("/").at(-1)}`);
}

function planted(imports: Readonly<Record<string, readonly string[]>>): Record<string, string> {
  const content = (from: readonly string[]) =>
    from.map((one, n) => `export { x as x${n} } from ${JSON.stringify(one)};\n`).join("");
  return Object.fromEntries(Object.entries(imports).map(([file, from]) => [file, content(from)]));
}

describe("the linter", () => {
  test("refuses every import that goes the wrong way", async () => {
    const expected = Object.entries(FORBIDDEN).flatMap(([file, from]) =>
      from.map((_, n) => `${file}:${n + 1} noRestrictedImports`),
    );
    expect((await linted(planted(FORBIDDEN))).sort()).toEqual(expected.sort());
  });

  test("lets those pass that go the right way", async () => {
    const witness = { "host/witness.ts": ["../engine/run.ts"] };
    expect(await linted(planted({ ...ALLOWED, ...witness }))).toEqual([
      "host/witness.ts:1 noRestrictedImports",
    ]);
  });

  test("refuses the environment and fetch outside their one door, any, and !", async () => {
    const found = await linted({
      "engine/planted.ts": [
        "export const a = process.env;",
        'export const b = () => fetch("http://x");',
        "export const c: any = 1;",
        "export const d = (e: string | undefined) => e!.length;",
        "",
      ].join("\n"),
    });
    expect(found.sort()).toEqual([
      "engine/planted.ts:1 noProcessEnv",
      "engine/planted.ts:2 noRestrictedGlobals",
      "engine/planted.ts:3 noExplicitAny",
      "engine/planted.ts:4 noNonNullAssertion",
    ]);
  });
});

describe("processes", () => {
  test("are started in four places, by spawn alone, and never through a shell", () => {
    const starting = SOURCES.filter((file) => /["'](node:)?child_process["']/.test(read(file)));
    expect(starting).toEqual([
      "action/background-push.ts",
      "caches/github/client.ts",
      "host/compress.ts",
      "host/exec.ts",
    ]);
    for (const file of starting) {
      const names = /import \{([^}]*)\} from "node:child_process"/.exec(read(file))?.[1];
      expect([file, names?.trim()]).toEqual([
        file,
        expect.stringMatching(/^(type ChildProcess, )?spawn$/),
      ]);
    }
    // It can neither be aborted nor given a deadline, and shows what it runs (docs/adr/0004).
    const running = SOURCES.filter((file) => /["']@actions\/exec["']/.test(read(file)));
    expect(running).toEqual(["action/install-nix.ts"]);
    const shells = SOURCES.filter((file) =>
      /\bshell\s*:\s*(true|["'])|execSync|["']-c["']/.test(read(file)),
    );
    expect(shells).toEqual([]);
  });
});
