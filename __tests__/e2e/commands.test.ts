/** Owns the proof that every command the documents show is one that works, or says why it is not run here. */

import { execFile } from "node:child_process";
import { access, cp, readFile, stat } from "node:fs/promises";
import { delimiter, join, resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { lock, type Machine, startMachine } from "../../scripts/machine.ts";
import { type Command, commandsOf, documents } from "../docs/documents.ts";
import { NIX } from "./job.ts";

const run = promisify(execFile);

/** Where a reader would type it: `here`, in this repository; `project`, in one of their own. */
type Rule = { readonly pattern: RegExp } & (
  | { readonly where: "here" | "project"; readonly output?: RegExp }
  | { readonly notRun: string }
);

const RULES: readonly Rule[] = [
  { pattern: /^(npx )?nix-cache-preflight( |$)/, where: "project" },
  { pattern: /^nix run github:/, notRun: "it asks GitHub; nix-run.test.ts runs the flake" },
  { pattern: /^sha256sum /, where: "project", output: /^[0-9a-f]{16}\b/ },
  {
    pattern: /^\.\/scripts\/demo$/,
    where: "here",
    output: /after: {2}4 of 4 targets cached; to build from source: nothing/,
  },
  { pattern: /^\.\/scripts\/demo --cachix$/, where: "here" },
  { pattern: /^\.\/scripts\/setup$/, where: "here" },
  { pattern: /^\.\/scripts\/setup-tools$/, notRun: "act's tests begin with it" },
  { pattern: /^export PATH=/, where: "here" },
  { pattern: /^npm run docs$/, where: "here" },
  { pattern: /^node scripts\/known-actions\.ts$/, notRun: "it asks GitHub for each action" },
  { pattern: /^npm run check$/, notRun: "the whole run begins with it" },
  { pattern: /^\.\/scripts\/test$/, notRun: "it runs this test" },
  {
    pattern: /^\.\/scripts\/(test-nix-versions|check-dist)( differential)?$/,
    notRun: "it runs this test, or beside it",
  },
  { pattern: /setup-nix-version trixie/, notRun: "test-nix-versions runs it" },
  {
    pattern: /^(WORLDS=\d+ )?(WORLDS_SEED=\d+ )?npm (test|run test:nix)( -- \S+)?$/,
    notRun: "it runs this test, or beside it",
  },
  { pattern: /^npm run (build|fix)$/, notRun: "it writes what is compared and linted meanwhile" },
  { pattern: /^npm (ci|audit|publish|pack)\b/, notRun: "it asks the registry" },
  { pattern: /^npm run bench( -- .+)?$/, notRun: "minutes, and figures of a busy machine" },
  { pattern: /^npm run (soak|test:slow)\b/, notRun: "hours" },
  { pattern: /^eval "\$\(nix-cache-preflight /, where: "project" },
  { pattern: /^\.\/scripts\/picture /, notRun: "ten minutes, and a browser" },
  { pattern: /^git (clone|tag|push)\b/, notRun: "it asks the server of the repository" },
  { pattern: /^cd nix-cache-preflight$/, notRun: "goes into the clone" },
];

const COMMANDS: readonly Command[] = (await documents()).flatMap(commandsOf);

/** What stands for the reader's own: `MODE`, `[TARGET …]`, `NAME…`. */
const PLACEHOLDER = /…|\[[A-Z]|\b(MODE|NAME|TARGET|PATTERN|INPUT|VALUE|SUITE)\b/;

const ruleOf = (command: string) => RULES.find(({ pattern }) => pattern.test(command));
/** Each once, under the first document that has it. */
const runnable = COMMANDS.filter(({ command }, at) => {
  const rule = ruleOf(command);
  const first = COMMANDS.findIndex((one) => one.command === command) === at;
  return first && rule && "where" in rule && !PLACEHOLDER.test(command);
});

async function project(machine: Machine): Promise<string> {
  const folder = join(machine.root, "project");
  const nixpkgs = join(machine.root, "nixpkgs");
  await cp(resolve("examples/quickstart/home"), folder, { recursive: true });
  await cp(resolve("examples/quickstart/nixpkgs"), nixpkgs, { recursive: true });
  await lock(machine, folder, { nixpkgs });
  return folder;
}

/** As a shell would, with our command in place of the published one. */
async function typed(command: string, cwd: string, machine: Machine) {
  const ours = `"${process.execPath}" "${resolve("dist/cli.js")}" `;
  const line = command.replace(/(?<=^|\()(npx )?nix-cache-preflight(@\S+)?( |$)/, ours);
  const { PATH = "" } = machine.environment;
  const path = [resolve("node_modules/.bin"), PATH].join(delimiter);
  return run("bash", ["--norc", "-euo", "pipefail", "-c", line], {
    cwd,
    env: { ...machine.environment, PATH: path },
    maxBuffer: 2 ** 26,
  }).then(
    ({ stdout }) => ({ code: 0, stdout, stderr: "" }),
    (error: { code?: number; stdout?: string; stderr?: string }) => ({
      code: error.code ?? -1,
      stdout: error.stdout ?? "",
      stderr: error.stderr ?? String(error),
    }),
  );
}

describe(`commands in the documents, on ${NIX}`, () => {
  test("are all known to this test", () => {
    const unknown = COMMANDS.filter(({ command }) => !ruleOf(command));
    expect(unknown).toEqual([]);
  });

  test("name scripts that exist", async () => {
    const { scripts } = JSON.parse(await readFile("package.json", "utf8")) as {
      scripts: Record<string, string>;
    };
    for (const { file, command } of COMMANDS) {
      for (const [script = ""] of command.matchAll(/\.\/scripts\/[\w-]+/g)) {
        await expect(access(script).then(() => file)).resolves.toBe(file);
      }
      const [, name] = /^npm run ([\w:-]+)/.exec(command) ?? [];
      if (name !== undefined)
        expect([file, Object.keys(scripts)]).toEqual([file, expect.arrayContaining([name])]);
    }
  });

  test.each(runnable)("$file: $command", async ({ command }) => {
    const rule = ruleOf(command);
    if (!rule || !("where" in rule)) throw new Error("filtered above");
    // Otherwise `npm ci` would take away the packages this test runs on.
    const [wanted, there] = await Promise.all(
      ["package-lock.json", "node_modules/.package-lock.json"].map((name) => stat(name)),
    );
    if ((there?.mtimeMs ?? 0) < (wanted?.mtimeMs ?? 0))
      throw new Error("run ./scripts/setup first");
    await using machine = await startMachine();
    const cwd = rule.where === "here" ? resolve(".") : await project(machine);
    const { code, stdout, stderr } = await typed(command, cwd, machine);
    // On the command line, 1 means that there is something to tell, and 2 that the command is wrong.
    const legal = rule.where === "project" ? [0, 1] : [0];
    expect(legal.includes(code) ? "" : `exit ${code}: ${stderr}\n${stdout}`).toBe("");
    if (rule.output) expect(stdout).toMatch(rule.output);
  });
});

test("an older Node is told so in a sentence, though it could not load what follows", async () => {
  const older = `data:text/javascript,Object.defineProperty(process.versions,"node",{value:"20.20.2"})`;
  const args = ["--import", older, "dist/cli.js", "check"];
  await expect(run(process.execPath, args)).rejects.toMatchObject({
    code: 2,
    stdout: "",
    stderr:
      "nix-cache-preflight needs Node 24, or 22 from 22.15 on, and was started with Node 20.20.2\n",
  });
});
