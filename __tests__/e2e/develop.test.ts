/** Owns the proof that `nix develop` after this step builds the shell's environment alone, and fetches and evaluates nothing. */

import { execFile } from "node:child_process";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { generateSecretKey } from "../servers/cachix-state.ts";
import { fileServer } from "../servers/files.ts";
import { commit, NOT_ALLOWED, systemOf } from "./evaluated.ts";
import { MINOR, NIX, startJob, type TestJob } from "./job.ts";

const run = promisify(execFile);

const NIXPKGS = `{ outputs = _: let
  mk = name: script: derivation {
    inherit name;
    system = "SYSTEM";
    builder = "/bin/bash";
    PATH = "/usr/bin:/bin";
    # A program at the end closes its output before it ends, and Nix may kill it then.
    args = [ "-c" "\${script}; true" ];
  };
in { legacyPackages.SYSTEM = {
  bashInteractive = mk "bash-interactive" "mkdir -p $out/bin; ln -s /bin/bash $out/bin/bash";
  stdenv = mk "stdenv" "mkdir $out; echo 'export PATH=/usr/bin:/bin' > $out/setup";
  tool = mk "tool" "mkdir $out";
}; }; }`;

const FLAKE = `{ inputs.nixpkgs.url = "URL"; outputs = { self, nixpkgs }: let
  pkgs = nixpkgs.legacyPackages.SYSTEM;
in { devShells.SYSTEM.default = derivation {
  name = "shell";
  outputs = [ "out" ];
  system = "SYSTEM";
  builder = "/bin/bash";
  inherit (pkgs) stdenv;
  nativeBuildInputs = [ pkgs.tool ];
}; }; }`;

const SECRET = { "signing-key": generateSecretKey("t-1") };

interface Shell extends AsyncDisposable {
  readonly job: TestJob;
  readonly targets: string;
  /** From now on nixpkgs is not to be had from where it comes from. */
  away(): Promise<void>;
}

/** A flake whose nixpkgs is a tarball behind HTTP, as everybody's is. */
async function shell(): Promise<Shell> {
  await using stack = new AsyncDisposableStack();
  const job = stack.use(await startJob(undefined));
  const { machine, workspace } = job;
  const system = await systemOf(job);
  const served = join(machine.root, "served");
  await mkdir(join(served, "nixpkgs"), { recursive: true });
  await writeFile(join(served, "nixpkgs", "flake.nix"), NIXPKGS.replaceAll("SYSTEM", system));
  await run("tar", ["-czf", "nixpkgs.tar.gz", "nixpkgs"], { cwd: served });
  const server = stack.use(await fileServer(served));
  const url = `${server.origin}/nixpkgs.tar.gz`;
  const text = FLAKE.replaceAll("SYSTEM", system).replace("URL", url);
  await writeFile(join(workspace, "flake.nix"), text);
  await machine.nix("nix", ["flake", "lock", `path:${workspace}`]);
  await commit(job);
  const all = stack.move();
  return {
    job,
    targets: `.#devShells.${system}.default`,
    away: () => rename(join(served, "nixpkgs.tar.gz"), join(served, "gone")),
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

/** What `nix develop` says that it does, by Nix's numbers (src/libutil/logging.hh). */
async function develop({ job }: Shell, environment: Readonly<Record<string, string>> = {}) {
  const args = ["develop", "--log-format", "internal-json", "--command", "true"];
  const { stderr } = await run("nix", args, {
    cwd: job.workspace,
    env: { ...job.machine.environment, ...environment },
  });
  const begun = stderr
    .split("\n")
    .filter((line) => line.startsWith("@nix "))
    .map((line) => JSON.parse(line.slice("@nix ".length)))
    .filter(({ action }) => action === "start");
  const of = (type: number) =>
    begun
      .filter((one) => one.type === type)
      .map(({ fields }) => String(fields?.[0]).replace(/^.*\/([0-9a-z]{32}-)?/, ""));
  return { built: of(105), fetched: [...of(100), ...of(101)], stderr };
}

describe(`nix develop after prefetch, on ${NIX}`, () => {
  test.each(["auto", "off"])("fetches nothing (reuse-evaluation: %s)", async (reuse) => {
    await using made = await shell();
    const { job, targets } = made;
    await job.main({ mode: "warm", targets, ...SECRET });
    if (reuse === "auto") await made.away();
    await job.machine.forget();
    const inputs = { mode: "prefetch", targets, "reuse-evaluation": reuse, ...SECRET };
    const step = await job.main(inputs);
    expect(step.report().targets.map(({ verdict }) => verdict.kind)).toEqual(["own"]);
    const done = await develop(made);
    expect(done).toMatchObject({ built: ["shell-env.drv"], fetched: [] });
    // Nor does it evaluate: its environment is built by now.
    const again = await develop(made, { NIX_ALLOW_EVAL: "0" });
    if (MINOR >= 11) expect(again.stderr).not.toContain(NOT_ALLOWED);
  });
});
