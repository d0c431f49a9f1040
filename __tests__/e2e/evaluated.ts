/** Owns a flake in git for the tests of evaluation: what of it is served, and its input, which can be moved away. */

import { execFile } from "node:child_process";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { promisify } from "node:util";
import { lock } from "../../scripts/machine.ts";
import { startJob, type TestJob } from "./job.ts";

export const FLAKE = `{
  inputs.dep.url = "path:/nowhere";
  outputs = { self, dep }: let
    inherit (dep.lib) mk system;
    throws = throw "as it does, on purpose";
  in {
    packages.\${system} = { default = mk "default"; ok = mk "ok"; other = mk "other"; };
    checks.\${system}.tested = mk "tested";
    devShells.\${system}.default = mk "shell";
    nixosConfigurations.host.config.system.build.toplevel = mk "toplevel";
    nested = {
      a = { one = mk "one"; two = mk "two"; };
      b.three = mk "three";
      derivation = mk "no-set";
    };
    large = builtins.listToAttrs (builtins.genList (n: {
      name = "l\${toString n}";
      value = mk "large";
    }) 401);
    some.\${system} = {
      bad = throws;
      good = mk "good";
      lost = mk "lost" // { drvPath = { }.nothing; };
      well = mk "well";
    };
    many.\${system} = builtins.listToAttrs (builtins.genList (n: {
      name = "n\${toString n}";
      value = if builtins.elem n [ 1 3 4 5 6 7 ] then throws else mk "many-\${toString n}";
    }) 12);
  };
}`;

const DEP = `{
  outputs = _: {
    lib.system = "SYSTEM";
    lib.mk = name: derivation {
      inherit name;
      system = "SYSTEM";
      builder = "/bin/bash";
      outputs = [ "out" ];
      args = [ "-c" "echo \${name} > $out" ];
    };
  };
}`;

const DEFAULTS = { mode: "check", "fail-on": "disk" };

/** A checkout in git of a flake with an input, which is in a folder that can be moved away. */
export async function startEvaluation(): Promise<TestJob> {
  const job = await startJob(undefined, { defaults: DEFAULTS });
  const { machine, workspace } = job;
  const system = await systemOf(job);
  const dep = join(machine.root, "dep");
  await mkdir(dep);
  await writeFile(join(dep, "flake.nix"), DEP.replaceAll("SYSTEM", system));
  await writeFile(join(workspace, "flake.nix"), FLAKE);
  await lock(machine, workspace, { dep });
  await commit(job);
  return job;
}

export async function systemOf({ machine }: Pick<TestJob, "machine">): Promise<string> {
  return machine.nix("nix", ["eval", "--impure", "--raw", "--expr", "builtins.currentSystem"]);
}

export async function commit({ machine, workspace }: TestJob): Promise<void> {
  const who = ["-c", "user.name=t", "-c", "user.email=t@localhost"];
  await machine.nix("git", ["init", "--quiet"], workspace);
  await machine.nix("git", ["add", "."], workspace);
  await machine.nix("git", [...who, "commit", "--quiet", "--message", "it"], workspace);
}

/** What a later step sees of a command that may not evaluate; the error's words where it would have to. */
export async function served(
  { machine, workspace }: TestJob,
  command: string,
  environment: Readonly<Record<string, string>> = { NIX_ALLOW_EVAL: "0" },
): Promise<string> {
  try {
    const { stdout, stderr } = await promisify(execFile)("nix", command.split(" "), {
      cwd: workspace,
      env: { ...machine.environment, ...environment },
    });
    return stdout + stderr;
  } catch (error) {
    return String(error);
  }
}

export const NOT_ALLOWED = "evaluation is not allowed";

/** The one file of Nix's eval cache. */
export async function evalCache({ machine }: TestJob): Promise<string> {
  const folder = join(machine.environment["HOME"] ?? "", ".cache/nix");
  const names = await readdir(folder, { recursive: true });
  const files = names.filter((name) => /eval-cache-v\d+\/[0-9a-f]{64}\.sqlite$/.test(name));
  const [file, ...more] = files;
  if (file === undefined || more.length > 0) throw new Error(`eval caches: ${files.join(", ")}`);
  return join(folder, file);
}

/** What somebody who can write there makes of it: whoever wants `ok` gets `other`. */
export async function poison(file: string): Promise<void> {
  using database = new DatabaseSync(file);
  const find = database.prepare("select value, context from Attributes where value like ?");
  const [ok, other] = [find.get("%-ok.drv"), find.get("%-other.drv")];
  database
    .prepare("update Attributes set value = ?, context = ? where value = ?")
    .run(other?.["value"] ?? null, other?.["context"] ?? null, ok?.["value"] ?? null);
}
