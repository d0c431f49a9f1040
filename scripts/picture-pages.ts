/** Owns the page of every state that a run can end in, each from a real run of the bundle on real Nix. */

import { execFile } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import {
  FORK,
  HOME,
  type How,
  type Inputs,
  NIXPKGS,
  startJob,
  type TestJob,
} from "../__tests__/e2e/job.ts";
import { text } from "../__tests__/servers/http.ts";
import { putServer } from "../__tests__/servers/put.ts";

const run = promisify(execFile);

/** Names of packages, as they stand in a version of the project that has more or less of them. */
interface Project {
  /** What is another derivation than in the version before. */
  readonly changed?: readonly string[];
  readonly broken?: string;
  readonly throws?: string;
  /** Seconds of one build. */
  readonly long?: number;
  readonly tools?: number;
}

const PACKAGES = ["api", "cli", "docs", "lint", "migrate", "web", "worker"];

/** A project of some size: packages that need each other, homes, machines and a shell. */
function project({ changed = [], broken, throws, long = 0, tools = 0 }: Project): string {
  const version = (name: string) => (changed.includes(name) ? "0.9.5" : "0.9.4");
  const names = [
    ...PACKAGES,
    ...Array.from({ length: tools }, (_, at) => `tool-${String(at).padStart(3, "0")}`),
  ];
  const packages = names.map((name) => {
    if (name === throws) return `    ${name} = throw "the option \`services.foo' does not exist";`;
    const needs = name === "web" ? "inherit (self.packages.x86_64-linux) cli;" : "";
    const seconds = name === "cli" && long > 0 ? long : name === "web" ? 2 : name === "cli" ? 1 : 0;
    const work = [
      ...(seconds > 0 ? [`\${sleep} ${seconds}`] : []),
      ...(name === broken
        ? [
            "echo '   Compiling acme v0.9.4 (/build/source)'",
            "echo 'error[E0308]: mismatched types'",
            "echo '  --> src/main.rs:31:18'",
            "echo '   |     let n: u32 = args.len();'",
            "exit 1",
          ]
        : ["echo $name > $out"]),
    ].join("; ");
    return `    ${name} = build { name = "acme-${name}-${version(name)}"; ${needs} args = [ "-c" "${work}" ]; };`;
  });
  return `{
  outputs = { self }: let
    system = "x86_64-linux";
    sleep = "/bin/sleep";
    build = attributes: derivation ({ inherit system; builder = "/bin/sh"; } // attributes);
    plain = name: build { inherit name; args = [ "-c" "echo $name > $out" ]; };
    machine = host: { config.system.build.toplevel = plain "nixos-system-\${host}-25.11"; };
  in {
    packages.\${system} = {
${packages.join("\n")}
    };
    devShells.\${system}.default = plain "acme-shell";
    nixosConfigurations = { database-primary = machine "database-primary"; mail = machine "mail"; };
  };
}`;
}

const TARGETS = [
  ".#*",
  ".#devShells.x86_64-linux.default",
  ".#nixosConfigurations.*.config.system.build.toplevel",
].join("\n");

async function write(job: TestJob, which: Project): Promise<void> {
  await writeFile(join(job.workspace, "flake.nix"), project(which));
}

async function acme(which: Project = {}): Promise<TestJob> {
  const job = await startJob(undefined, { defaults: { targets: TARGETS } });
  await write(job, which);
  return job;
}

/** Three homes that want a package that is in no binary cache. */
const homes = () =>
  startJob(HOME, {
    inputs: { nixpkgs: NIXPKGS },
    defaults: { heavy: "bws*", targets: ".#homeConfigurations.*.activationPackage\nnixpkgs#bws" },
  });

async function git(job: TestJob, ...args: string[]): Promise<void> {
  const who = ["-c", "user.name=acme", "-c", "user.email=acme@localhost"];
  await run("git", [...who, ...args], { cwd: job.workspace });
}

async function cachedBefore(then: Project, inputs: Inputs, how: How = {}): Promise<string> {
  await using job = await acme();
  await job.main({ mode: "warm" });
  await job.machine.forget();
  await write(job, then);
  return (await job.main(inputs, how)).summary;
}

/** With a server as cache that answers as it likes to what is pushed. */
async function pushedTo(answer: (path: string) => ReturnType<typeof text> | undefined) {
  await using job = await acme();
  await using server = await putServer();
  server.files.set("/nix-cache-info", Buffer.from(`StoreDir: ${job.machine.storeDir}\n`));
  server.refuse = answer;
  const given = { mode: "warm", cache: `${server.origin}?trusted=1`, token: "a-token" };
  return (await job.main(given)).summary;
}

/** By name of the page in the order that they are looked at. */
const PAGES: Readonly<Record<string, () => Promise<string>>> = {
  "01-all-cached": () => cachedBefore({}, { mode: "check" }),
  "02-some-missing": () => cachedBefore({ changed: ["cli", "docs"] }, { mode: "check" }),
  "03-heavy-no-disk-space": async () => {
    await using job = await homes();
    return (await job.main({ mode: "prefetch", "min-free": "900TB" })).summary;
  },
  "03b-heavy": async () => {
    await using job = await homes();
    return (await job.main({ mode: "check" })).summary;
  },
  "04-warm-done": async () => {
    await using job = await homes();
    return (await job.main({ mode: "warm" })).summary;
  },
  "05-fork-read-only": () => cachedBefore({ changed: ["cli"] }, { mode: "warm" }, FORK),
  "06a-push-refused": () => pushedTo(() => text(403, "this token may not push")),
  "06b-push-failed": () =>
    // Of every few paths one, by its name.
    pushedTo((path) =>
      /^\/nar\/.[0-7]/.test(path) ? text(500, "upstream storage timed out") : undefined,
    ),
  "07-build-failed": () =>
    cachedBefore({ changed: ["docs", "cli"], broken: "cli" }, { mode: "warm" }),
  "08-does-not-evaluate": () =>
    cachedBefore({ changed: ["docs"], throws: "web" }, { mode: "check", "fail-on": "eval" }),
  "09-300-targets": async () => {
    await using job = await acme({ tools: 300 });
    await job.main({ mode: "warm" });
    await job.machine.forget();
    const some = Array.from({ length: 12 }, (_, at) => `tool-${String(at * 17).padStart(3, "0")}`);
    await write(job, { tools: 300, changed: some });
    return (await job.main({ mode: "check" })).summary;
  },
  "10-nothing-to-check": async () => {
    await using job = await startJob(undefined);
    return (await job.main({ mode: "check" })).summary;
  },
  "11-one-cache-down": () =>
    cachedBefore({ changed: ["cli"] }, { mode: "check", substituters: "http://127.0.0.1:9" }),
  "11b-one-cache-down-not-needed": () =>
    cachedBefore({}, { mode: "check", substituters: "http://127.0.0.1:9" }),
  "12-main-and-post": async () => {
    await using job = await acme();
    await job.main({ mode: "warm" });
    await job.machine.forget();
    await write(job, { changed: ["cli"] });
    const main = await job.main({ mode: "prefetch" });
    await run("nix", ["build", "--no-link", ".#web"], {
      cwd: job.workspace,
      env: { ...job.machine.environment, ...main.environment },
    });
    const post = await job.post({ mode: "prefetch" }, { state: main.state });
    return `${main.summary}\n\n${post.summary}`;
  },
  "13-audit": async () => {
    await using job = await startJob(resolve("__tests__/fixtures/projects/faulty"));
    await git(job, "init", "--quiet");
    await git(job, "add", "--all");
    const targets = ".#tool pin=tool";
    await job.main({ mode: "warm", targets });
    return (await job.main({ mode: "audit", targets, quota: "5GB" })).summary;
  },
  "13b-audit-of-a-sound-project": async () => {
    await using job = await startJob(resolve("__tests__/fixtures/projects/sound"));
    await git(job, "init", "--quiet");
    await git(job, "add", "--all");
    const targets = ".#tool pin=tool";
    await job.main({ mode: "warm", targets });
    return (await job.main({ mode: "audit", targets, quota: "1GB" })).summary;
  },
  "14-pull-request": () => pullRequest("check"),
  "14b-pull-request-warm": () => pullRequest("warm"),
};

async function pullRequest(mode: "check" | "warm"): Promise<string> {
  await using job = await acme();
  await git(job, "init", "--quiet");
  await git(job, "add", "--all");
  await git(job, "commit", "--quiet", "--message", "before");
  await job.main({ mode: "warm" });
  await job.machine.forget();
  await write(job, { changed: ["cli", "docs"] });
  await git(job, "commit", "--quiet", "--all", "--message", "after");
  const own: How = {
    eventName: "pull_request",
    ref: "refs/pull/7/merge",
    event: {
      repository: { default_branch: "main" },
      pull_request: {
        head: { repo: { id: 1, fork: false } },
        base: { ref: "main", repo: { id: 1 } },
      },
    },
  };
  return (await job.main({ mode }, own)).summary;
}

/** A run of over five minutes, which has a timeline. */
const LONG: typeof PAGES = {
  "04b-warm-of-five-minutes": async () => {
    await using job = await acme({ long: 301 });
    return (await job.main({ mode: "warm" })).summary;
  },
};

/** Writes the pages to a folder that is made anew, and tells of each; those whose names begin so, or all. */
export async function* writePages(folder: string, only: readonly string[]): AsyncGenerator<string> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const [name, page] of Object.entries({ ...PAGES, ...LONG })) {
    if (only.length > 0 ? !only.some((one) => name.startsWith(one)) : name in LONG) continue;
    const file = join(folder, `${name}.md`);
    await writeFile(file, await page());
    yield name;
  }
}
