/** Owns the pages that docs/images/rebuilds and docs/images/forecast are drawn of: a pull request, the merge of it, and why. */

import { execFile, execFileSync } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { startMachine } from "./machine.ts";
import { runStage } from "./runner.ts";

const run = promisify(execFile);
const OUT = resolve("demo-out");
const SLEEP = execFileSync("sh", ["-c", "command -v sleep"], { encoding: "utf8" }).trim();
const DD = execFileSync("sh", ["-c", "command -v dd"], { encoding: "utf8" }).trim();

/** What the project is built of: each sleeps as long as its build would take, and is as large as is said. */
const parts = (openssl: string, megabytes: number) => `{
  outputs = _: {
    build = system: name: { seconds ? 1, megabytes ? 1 }: attributes: derivation ({
      inherit name system;
      builder = "/bin/sh";
      args = [ "-c" "${SLEEP} \${toString seconds}; ${DD} if=/dev/urandom of=$out bs=1000000 count=\${toString megabytes} 2>&1; echo $uses >> $out" ];
    } // attributes);
    packages = build: rec {
      openssl = build "openssl-${openssl}" { seconds = 3; megabytes = ${megabytes}; } { version = "${openssl}"; };
      zlib = build "zlib-1.3.1" { megabytes = 2; } { };
      curl = build "curl-8.15.0" { seconds = 2; megabytes = 5; } { uses = [ openssl zlib ]; };
      git = build "git-2.50.1" { seconds = 2; megabytes = 30; } { uses = [ curl zlib ]; };
    };
  };
}`;

const flake = (system: string) =>
  `{
  inputs.parts.url = "parts";
  outputs = { self, parts }: let
    build = parts.build "${system}";
    p = parts.packages build;
  in {
    packages.${system} = { inherit (p) openssl curl git; } // {
      web = build "acme-web-2.3.2" { seconds = 14; megabytes = 18; } { src = ./web; uses = [ p.curl ]; };
      cli = build "acme-cli-0.9.4" { seconds = 9; megabytes = 7; } { uses = [ p.openssl p.git ]; };
      docs = build "acme-docs-1.0" { seconds = 2; } { src = ./docs; };
    };
  };
}`;

await mkdir(OUT, { recursive: true });
// A place that looks the same on every machine.
const cache = join(tmpdir(), "binary-cache");
await rm(cache, { recursive: true, force: true });
await using machine = await startMachine({ configuration: "max-jobs = 2" });
const workspace = join(machine.root, "project");
const system = (await machine.nix("nix-instantiate", ["--eval", "-E", "builtins.currentSystem"]))
  .trim()
  .replaceAll('"', "");
for (const folder of ["web", "docs"]) await mkdir(join(workspace, folder), { recursive: true });
const git = (cwd: string, ...args: string[]) =>
  run("git", ["-c", "user.name=a", "-c", "user.email=a@localhost", ...args], { cwd });
async function commit(folder: string): Promise<void> {
  await git(folder, "add", ".");
  await git(folder, "commit", "--quiet", "-m", "change");
}
await git(workspace, "init", "--quiet");

/** A repository of its own, so that the lock has a revision. */
const library = join(machine.root, "parts");
await mkdir(library);
await git(library, "init", "--quiet");

async function change(openssl: string, megabytes: number, source: string): Promise<void> {
  await writeFile(join(library, "flake.nix"), parts(openssl, megabytes));
  await commit(library);
  await writeFile(join(workspace, "flake.nix"), flake(system));
  await writeFile(join(workspace, "web", "main.rs"), source);
  await writeFile(join(workspace, "docs", "a.md"), "how it works\n");
  await git(workspace, "add", ".");
  const input = ["--override-input", "parts", `git+file://${library}`];
  await machine.nix("nix", ["flake", "lock", workspace, ...input]);
  await commit(workspace);
}

async function page(
  name: string,
  eventName: "push" | "pull_request",
  inputs: Readonly<Record<string, string>>,
): Promise<void> {
  const repository = { default_branch: "main" };
  const ours = { repo: { id: 1 }, ref: "openssl-3.5.1" };
  const { exitCode, log, summary } = await runStage("main", {
    action: resolve("."),
    inputs: { cache: `file://${cache}`, "min-free": "100MB", ...inputs },
    workspace,
    temp: join(machine.root, "runner-temp"),
    eventName,
    event:
      eventName === "push"
        ? { repository }
        : { repository, pull_request: { head: ours, base: { ...ours, ref: "main" } } },
    ref: eventName === "push" ? "refs/heads/main" : "refs/pull/7/merge",
    environment: machine.environment,
  });
  if (exitCode !== 0) throw new Error(`${name} ended with ${exitCode}\n${log}`);
  await writeFile(join(OUT, `${name}.md`), summary);
  console.log(`\n===== ${name} =====\n\n${summary}`);
}

await change("3.5.0", 20, "1");
await page("0-main", "push", { mode: "warm" });
await change("3.5.1", 24, "2");
// Another branch has built the new openssl, and what of it everybody uses.
await page("1-other", "push", { mode: "warm", targets: ".#openssl\n.#curl\n.#git" });
await page("rebuilds", "pull_request", { mode: "check" });
await page("forecast", "push", { mode: "warm" });

// And at a desk, with a file changed.
await writeFile(join(workspace, "web", "main.rs"), "mine");
const { stdout } = await run(
  process.execPath,
  [resolve("dist/cli.js"), "why", ".#web", "--cache", `file://${cache}`],
  { cwd: workspace, env: machine.environment },
);
const shown = stdout.replaceAll(cache, "/mnt/cache");
console.log(`\n===== why =====\n\n${shown}`);
await writeFile(
  join(OUT, "why.md"),
  `\`\`\`text\n$ nix-cache-preflight why .#web --cache file:///mnt/cache\n${shown}\`\`\`\n`,
);
await rm(cache, { recursive: true, force: true });
