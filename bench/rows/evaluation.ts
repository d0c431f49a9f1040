/** Owns the rows of `evaluation`: what a commit's first job, its next one, and a broken member cost where evaluation is heavy. */

import { execFile } from "node:child_process";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { lock } from "../../scripts/machine.ts";
import { expression, newSigningKey } from "../fixture.ts";
import { inTurn } from "../measure.ts";
import { pairResult, type Result, type Row } from "../row.ts";
import type { Bench } from "../site.ts";
import { step } from "../step.ts";

const run = promisify(execFile);

export const SYSTEM = "x86_64-linux";
const DERIVATIONS = 2_000;
const MEMBERS = 300;
/** Some 5 s, and some 4 ms, of evaluation on the machine that the table is of. */
const [HEAVY, LIGHT] = [35, 20];

/** A flake whose evaluation takes long, with an input that is all of it; in git, so that Nix keeps what it evaluates. */
async function project(
  bench: Bench,
): Promise<{ readonly workspace: string; readonly dep: string }> {
  const workspace = bench.folder("evaluation");
  const dep = bench.folder("evaluation-dep");
  await mkdir(workspace, { recursive: true });
  await mkdir(dep, { recursive: true });
  const tree = expression(DERIVATIONS).replaceAll("builtins.currentSystem", `"${SYSTEM}"`);
  await writeFile(join(dep, "tree.nix"), tree);
  await writeFile(
    join(dep, "flake.nix"),
    `{ outputs = _: {
  burn = n: drv: let f = n: if n < 2 then n else f (n - 1) + f (n - 2); in builtins.seq (f n) drv;
  root = import ./tree.nix;
  mk = name: derivation { inherit name; system = "${SYSTEM}"; builder = "/bin/sh"; };
}; }`,
  );
  await writeFile(
    join(workspace, "flake.nix"),
    `{ inputs.dep.url = "path:/nowhere"; outputs = { self, dep }: let
  set = bad: builtins.listToAttrs (builtins.genList (n: let name = "m\${toString n}"; in {
    inherit name;
    value = dep.burn ${LIGHT} (if n == bad then dep.mk name // { drvPath = { }.nothing; } else dep.mk name);
  }) ${MEMBERS});
in {
  packages.${SYSTEM}.root = dep.burn ${HEAVY} dep.root;
  whole.${SYSTEM} = set (-1);
  broken.${SYSTEM} = set 150;
}; }`,
  );
  await lock(bench.machine, workspace, { dep });
  await commit(workspace);
  return { workspace, dep };
}

/** Nix keeps what it evaluates of a commit. */
export async function commit(workspace: string): Promise<void> {
  const who = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"];
  for (const args of [
    ["init", "-q"],
    ["add", "."],
    [...who, "commit", "-qm", "it"],
  ]) {
    await run("git", args, { cwd: workspace });
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

async function evaluated(bench: Bench): Promise<readonly Result[]> {
  const { machine } = bench;
  await machine.forget();
  const { workspace, dep } = await project(bench);
  const cache = bench.folder("evaluation-cache");
  const common = {
    cache: `file://${cache}`,
    mode: "check",
    "fail-on": "disk",
    "signing-key": newSigningKey().secret,
  };
  const inputs = { ...common, targets: ".#root" };
  const build = () => machine.nix("nix", ["build", "--dry-run", ".#root"], workspace);
  const alone = async () => {
    await machine.forget();
    return timed(build);
  };
  const job = async () => {
    await machine.forget();
    return timed(async () => {
      await step(bench, "main", inputs, {}, workspace);
      await build();
    });
  };
  const rounds = bench.rounds ?? 3;
  const first = await inTurn(
    rounds,
    async () => {
      await bench.remove(cache);
      return job();
    },
    alone,
  );
  const next = await inTurn(
    rounds,
    async () => {
      await rename(dep, `${dep}-gone`);
      try {
        return await job();
      } finally {
        await rename(`${dep}-gone`, dep);
      }
    },
    alone,
  );
  const members = async (set: string) => {
    await machine.forget();
    await bench.remove(cache);
    return (
      await step(bench, "main", { ...common, targets: `.#${set}.${SYSTEM}.*` }, {}, workspace)
    ).ms;
  };
  const bad = await inTurn(
    rounds,
    () => members("broken"),
    () => members("whole"),
  );
  const peer = "nix build alone";
  return [
    pairResult(
      "evaluation, first job",
      `a flake of 5 s and ${DERIVATIONS} derivations: our step, and \`nix build --dry-run\` of the same target`,
      peer,
      first,
      { kind: "times the peer", atLeast: 0.91 },
    ),
    pairResult(
      "evaluation, next job",
      "the same in the commit's next job: fresh store, fresh home, inputs not to be had",
      peer,
      next,
      { kind: "times the peer", atLeast: 5 },
    ),
    pairResult(
      "evaluation, broken member",
      `a set of ${MEMBERS} of which one cannot be caught: our step`,
      "the same without it",
      bad,
      { kind: "times the peer", atLeast: 0.67 },
    ),
  ];
}

export const evaluation: Row = { name: "evaluation", length: "long", run: evaluated };
