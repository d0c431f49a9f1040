/** Owns the proof that the next job of a commit evaluates nothing, and believes nobody who may not be believed. */

import { appendFile, mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { lock } from "../../scripts/machine.ts";
import { sealed } from "../../src/caches/records.ts";
import { folderOf } from "../../src/host/programs.ts";
import { pack, unpack } from "../../src/nix/evaluation-file.ts";
import { startCachix } from "../servers/cachix.ts";
import { generateSecretKey } from "../servers/cachix-state.ts";
import { startGithubCache } from "../servers/github-cache.ts";
import { SIGNAL } from "../support/world.ts";
import { startDaemon, USER } from "./daemon.ts";
import {
  commit,
  evalCache,
  FLAKE,
  NOT_ALLOWED,
  poison,
  served,
  startEvaluation,
  systemOf,
} from "./evaluated.ts";
import { FORK, type Inputs, MINOR, NIX, type Step, type TestJob, told } from "./job.ts";
import { evaluations, recordNix } from "./recorder.ts";

const KEY = generateSecretKey("ours-1");
const REUSED = "an earlier job of this commit evaluated";

interface Next {
  readonly step: Step;
  /** Commands of it that evaluated. */
  readonly evaluated: number;
}

/** Another job on a fresh machine; what the flake needs is not to be had there any more. */
async function next(
  job: TestJob,
  inputs: Inputs,
  environment: Readonly<Record<string, string>> = {},
): Promise<Next> {
  await job.machine.forget();
  const recorder = await recordNix(job.machine);
  const step = await job.main(inputs, {
    environment: { ...recorder.environment, ...environment },
    temp: join(job.machine.root, "next"),
  });
  return { step, evaluated: evaluations(await recorder.calls()).length };
}

async function moveInputsAway({ machine }: TestJob): Promise<void> {
  await rename(join(machine.root, "dep"), join(machine.root, "gone"));
}

/** Names of what the targets are found to be. */
function found({ step }: Pick<Next, "step">): (string | undefined)[] {
  return step.report().targets.map(({ outputs }) => outputs?.[0]?.split("-").at(-1));
}

const INPUTS = { targets: ".#ok\n.#other", "signing-key": KEY };

test(`a second job evaluates nothing, and neither does its nix build, without the inputs, on ${NIX}`, async () => {
  await using job = await startEvaluation();
  const system = await systemOf(job);
  const targets = `.#ok\n.#packages.${system}.*\n.#devShells.${system}.default`;
  const first = await job.main({ targets, "signing-key": KEY });
  expect(first.log).not.toContain(REUSED);
  await moveInputsAway(job);
  const second = await next(job, { targets, "signing-key": KEY });
  expect(second.evaluated).toBe(0);
  expect(second.step.log).toContain(`${REUSED} 3 lines`);
  expect(second.step.report().targets).toEqual(first.report().targets);
  for (const name of MINOR >= 11 ? ["ok", "other"] : ["ok"]) {
    expect(
      await served(
        job,
        `build --no-link --print-out-paths .#${name}`.replace(
          MINOR < 9 ? " --print-out-paths" : "",
          "",
        ),
      ),
    ).not.toMatch(/error/);
  }
});

test.each([
  ["packages alone", ""],
  [
    "configurations besides",
    `nixosConfigurations.host.config.system.build.toplevel = dep.lib.mk "host";`,
  ],
])("without targets, of a flake with %s, nothing is evaluated again", async (_, more) => {
  await using job = await startEvaluation();
  const outputs = `builtins.seq dep.lib { packages.\${dep.lib.system}.ok = dep.lib.mk "ok"; ${more} }`;
  const flake = `{ inputs.dep.url = "path:/nowhere"; outputs = { self, dep }: ${outputs}; }`;
  await writeFile(join(job.workspace, "flake.nix"), flake);
  await commit(job);
  const inputs = { targets: "", "signing-key": KEY, "fail-on": "eval" };
  const first = await job.main(inputs);
  expect(found({ step: first })).toEqual(["ok"]);
  await moveInputsAway(job);
  const second = await next(job, inputs);
  expect(found(second)).toEqual(["ok"]);
  // Of Nix before 2.11 the sets themselves are asked for.
  if (MINOR < 11) return;
  expect(second.step.exitCode).toBe(0);
  expect(second.evaluated).toBe(0);
  expect(second.step.report().targets).toEqual(first.report().targets);
  // What was not looked at is told anew.
  expect(told(second.step)).toEqual(told(first));
});

test(`a Cachix cache holds no files, so GitHub's has it, on ${NIX}`, async () => {
  await using server = await startGithubCache();
  await using job = await startEvaluation();
  const token = "eyJhbGciOiJIUzI1NiJ9.Y2FycmllZA.seen-nowhere";
  await using cachix = await startCachix({
    name: "acme",
    storeDir: job.machine.storeDir,
    tokens: { [token]: "Write" },
  });
  const inputs = { targets: ".#ok", cache: `cachix:acme?host=${cachix.origin}`, token };
  await job.main(inputs, { environment: { ...job.machine.environment, ...server.variables() } });
  await moveInputsAway(job);
  const second = await next(job, inputs, server.variables());
  expect(second.step.log).toContain(REUSED);
  expect(second.evaluated).toBe(0);
  expect(found(second)).toEqual(["ok"]);
  expect(await served(job, "build --dry-run .#ok")).not.toContain("error");
});

test(`without a secret a job believes its own workflow run alone, on ${NIX}`, async () => {
  await using server = await startGithubCache();
  await using job = await startEvaluation();
  const inputs = { targets: ".#ok", cache: "github" };
  const run = (id: string) => ({ ...server.variables(), GITHUB_RUN_ID: id });
  await job.main(inputs, { environment: { ...job.machine.environment, ...run("1") } });
  expect((await next(job, inputs, run("2"))).step.log).not.toContain(REUSED);
  const same = await next(job, inputs, run("1"));
  expect(same.step.log).toContain(REUSED);
  expect(same.evaluated).toBe(0);
  // A job with a secret does not believe one without.
  const privileged = await next(job, { ...inputs, "signing-key": KEY }, run("1"));
  expect(privileged.step.log).not.toContain(REUSED);
});

test(`a user whom the daemon does not trust takes it over as well, on ${NIX}`, async () => {
  await using job = await startEvaluation();
  await job.main(INPUTS);
  await moveInputsAway(job);
  await job.machine.forget();
  await using daemon = await startDaemon(job);
  // Git looks into nobody else's repository, and a job's checkout is its own.
  await job.machine.nix("chown", ["-R", `${USER.uid}:${USER.gid}`, job.workspace]);
  const temp = join(job.machine.root, "runner");
  const second = await job.main({ ...INPUTS, mode: "check" }, { ...daemon.how, temp });
  expect(second.log).toContain(`${REUSED} 2 lines`);
  expect(second.report().targets.map(({ verdict }) => verdict.kind)).toEqual([
    "missing",
    "missing",
  ]);
});

test(`what Nix does not take is evaluated here, on ${NIX}`, async () => {
  await using job = await startEvaluation();
  await job.main(INPUTS);
  const folder = join(job.machine.root, "refuses");
  await mkdir(folder);
  const { PATH = "" } = job.machine.environment;
  const real = join(folderOf("nix-store", PATH) ?? "", "nix-store");
  const script = `#!/bin/sh\n[ "$1" != --serve ] || { echo "error: no space left" >&2; exit 1; }\nexec ${real} "$@"\n`;
  await writeFile(join(folder, "nix-store"), script, { mode: 0o755 });
  const other = { PATH: `${folder}:${PATH}` };
  await job.machine.forget();
  const second = await job.main(INPUTS, {
    environment: { ...job.machine.environment, ...other },
    temp: join(job.machine.root, "next"),
  });
  expect(second.exitCode).toBe(0);
  expect(second.log).not.toContain(REUSED);
  expect(second.report().targets.map(({ verdict }) => verdict.kind)).toEqual([
    "missing",
    "missing",
  ]);
  expect(
    await served(
      job,
      "build --dry-run .#packages.SYSTEM.ok".replace("SYSTEM", await systemOf(job)),
    ),
  ).not.toContain(NOT_ALLOWED);
});

test(`where Nix's eval cache cannot be written, what was carried is not evaluated again, on ${NIX}`, async () => {
  await using job = await startEvaluation();
  await job.main(INPUTS);
  const { XDG_CACHE_HOME: before = "", HOME = "" } = job.machine.environment;
  const all = await readdir(join(before || join(HOME, ".cache"), "nix"));
  const folders = all.filter((name) => name.startsWith("eval-cache-v"));
  expect(folders).not.toEqual([]);
  const caches = join(job.machine.root, "another-cache");
  await mkdir(join(caches, "nix"), { recursive: true });
  // Files where there should be folders.
  for (const name of folders) await writeFile(join(caches, "nix", name), "");
  await moveInputsAway(job);
  const second = await next(job, INPUTS, { XDG_CACHE_HOME: caches });
  expect(second.step.log).toContain(`${REUSED} 2 lines`);
  expect(second.evaluated).toBe(0);
  expect(found(second)).toEqual(["ok", "other"]);
});

test(`a stranger's job leaves nothing, on ${NIX}`, async () => {
  await using server = await startGithubCache();
  await using job = await startEvaluation();
  const environment = { ...job.machine.environment, ...server.variables() };
  server.requests();
  await job.main({ targets: ".#ok", cache: "github" }, { ...FORK, environment });
  expect(server.requests().filter((line) => line.startsWith("Create"))).toEqual([]);
});

test.each<[string, (job: TestJob) => Promise<Inputs | undefined>]>([
  [
    "a changed tree",
    async ({ workspace }) => {
      await writeFile(join(workspace, "flake.nix"), FLAKE.replace('ok = mk "ok"', 'ok = mk "new"'));
      return undefined;
    },
  ],
  [
    "another commit",
    async (job) => {
      await appendFile(join(job.workspace, "flake.nix"), "# another\n");
      await commit(job);
      return undefined;
    },
  ],
  [
    "a changed lock",
    async (job) => {
      const dep = join(job.machine.root, "dep");
      await appendFile(join(dep, "flake.nix"), "# another\n");
      await lock(job.machine, job.workspace, { dep });
      await commit(job);
      return undefined;
    },
  ],
  ["another secret", async () => ({ ...INPUTS, "signing-key": generateSecretKey("ours-1") })],
  ["force", async () => ({ ...INPUTS, force: "true" })],
  ["reuse-evaluation: off", async () => ({ ...INPUTS, "reuse-evaluation": "off" })],
])(`%s is evaluated anew, on ${NIX}`, async (_, change) => {
  await using job = await startEvaluation();
  await job.main(INPUTS);
  const inputs = (await change(job)) ?? INPUTS;
  const second = await next(job, inputs);
  expect(second.step.log).not.toContain(REUSED);
  expect(second.evaluated).toBeGreaterThan(0);
  expect(second.step.exitCode).toBe(0);
});

test(`a record that somebody else made steers nothing, on ${NIX}`, async () => {
  await using job = await startEvaluation();
  await job.main(INPUTS);
  await poison(await evalCache(job));
  const folder = join(job.cache, "memos");
  const name = (await readdir(folder)).find((one) => one.startsWith("evaluation-")) ?? "";
  const key = name.slice("evaluation-".length);
  const place = (secret: string | undefined) =>
    sealed(
      {
        read: () => readFile(join(folder, name)),
        write: (_, content) => writeFile(join(folder, name), content),
      },
      secret,
    );
  const carried = unpack(
    (await place(KEY).read(key, SIGNAL)) ?? new Uint8Array(),
    job.machine.storeDir,
  );
  const {
    evalCaches: [kept],
    results,
  } = carried;
  const ok = results.find(([asked]) => asked.includes('"ok"'));
  const other = results.find(([asked]) => asked.includes('"other"'));
  if (!kept || !ok || !other) throw new Error("it is not all there");
  const forged = pack({
    ...carried,
    results: [[ok[0], other[1]], other],
    evalCaches: [{ ...kept, content: await readFile(await evalCache(job)) }],
  });
  // That it would work: with our own secret it does.
  await place(KEY).write(key, forged, SIGNAL);
  const believed = await next(job, INPUTS);
  expect(believed.step.log).toContain(REUSED);
  expect(found(believed)).toEqual(["other"]);
  for (const secret of [undefined, generateSecretKey("ours-1")]) {
    await place(secret).write(key, forged, SIGNAL);
    const second = await next(job, INPUTS);
    expect(found(second)).toEqual(["ok", "other"]);
    expect(second.step.log).not.toContain(REUSED);
    expect(await served(job, "path-info --derivation .#ok")).toContain("-ok.drv");
    expect(await served(job, "path-info --derivation .#ok")).not.toContain(NOT_ALLOWED);
  }
});
