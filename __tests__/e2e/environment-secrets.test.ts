/** Owns the proof that nothing the job evaluates or builds finds a secret in its environment. */

import { execFile } from "node:child_process";
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "@jest/globals";
import type { Machine } from "../../scripts/machine.ts";
import { generateSecretKey } from "../servers/cachix-state.ts";
import { NIX, startJob } from "./job.ts";

/** What a runner, an input or a workflow's `env:` may hold; each has a value of its own. */
const SECRETS = {
  INPUT_TOKEN: "token-7f3a",
  ACTIONS_RUNTIME_TOKEN: "runtime-7f3a",
  ACTIONS_ID_TOKEN_REQUEST_TOKEN: "identity-7f3a",
  ACTIONS_RESULTS_URL: "https://results-7f3a.example",
  GITHUB_TOKEN: "github-7f3a",
  AWS_SECRET_ACCESS_KEY: "aws-7f3a",
  CACHIX_AUTH_TOKEN: "cachix-7f3a",
  NODE_AUTH_TOKEN: "registry-7f3a",
  SSH_PRIVATE_KEY: "ssh-7f3a",
  MY_OWN_PASSWORD: "password-7f3a",
  STATE_secret: "state-7f3a",
} as const;

/** Everything a step is given: inputs, the runner's own, and made-up ones that nobody sets. */
const NAMES = [
  ...Object.keys(SECRETS),
  "INPUT_SIGNING-KEY",
  "INPUT_CACHE",
  "GITHUB_EVENT_PATH",
  "GITHUB_STATE",
  "GITHUB_ENV",
  "RUNNER_TEMP",
  "PATH",
];

const flake = `{
  outputs = { self }: let
    names = [ ${NAMES.map((name) => `"${name}"`).join(" ")} ];
    read = builtins.concatStringsSep " " (map (name: "\${name}=<\${builtins.getEnv name}>") names);
    build = name: more: derivation ({
      inherit name;
      system = "x86_64-linux";
      builder = "/bin/sh";
      args = [ "-c" ''
        echo "environment of ${"$"}{name}:" >&2
        export -p >&2
        echo ok > $out
      '' ];
    } // more);
  in {
    packages.x86_64-linux = {
      evaluated = build "evaluated" { inherit read; };
      # A fixed output is allowed to see what it names.
      fetched = build "fetched" {
        impureEnvVars = names;
        outputHashMode = "flat";
        outputHashAlgo = "sha256";
        outputHash = builtins.hashString "sha256" "ok\\n";
      };
    };
  };
}`;

/** A Nix that evaluates impurely whatever it is asked: we never ask it to. */
async function impureNix(machine: Machine): Promise<string> {
  const folder = join(machine.root, "impure");
  await mkdir(folder);
  const found = await promisify(execFile)("/bin/sh", ["-c", "command -v nix"], {
    env: machine.environment,
  });
  const lines = [
    "#!/bin/sh",
    `case " $* " in *" eval "* | *" path-info --derivation "*) exec ${found.stdout.trim()} "$@" --impure ;; esac`,
    `exec ${found.stdout.trim()} "$@"`,
  ];
  await writeFile(join(folder, "nix"), `${lines.join("\n")}\n`);
  await chmod(join(folder, "nix"), 0o755);
  return `${folder}:${machine.environment["PATH"]}`;
}

test(`an impure evaluation and a build that prints its environment find no secret, on ${NIX}`, async () => {
  await using job = await startJob(undefined);
  const { machine, workspace } = job;
  await writeFile(join(workspace, "flake.nix"), flake);
  const signingKey = generateSecretKey("ours-1");
  const { INPUT_TOKEN: token, ...environment } = SECRETS;
  const inputs = {
    mode: "warm",
    targets: "path:.#evaluated\npath:.#fetched",
    token,
    "signing-key": signingKey,
  };
  const PATH = await impureNix(machine);
  const how = { environment: { ...machine.environment, ...environment, PATH } };
  const main = await job.main(inputs, how);
  const post = await job.post(inputs, { ...how, state: main.state });
  expect([main.exitCode, post.exitCode]).toEqual([0, 0]);

  const drvs = (await readdir(machine.storeDir)).filter((name) => name.endsWith("evaluated.drv"));
  expect(drvs).toHaveLength(1);
  const drv = await readFile(join(machine.storeDir, drvs[0] ?? ""), "utf8");
  // It was impure indeed: what every program has, it read.
  expect(drv).toContain(`PATH=<${PATH}>`);
  expect(drv).toContain("RUNNER_TEMP=<>");
  for (const name of ["evaluated", "fetched"]) {
    expect(main.raw).toContain(`environment of ${name}:`);
  }
  const secrets = [...Object.values(SECRETS), signingKey.split(":")[1] ?? ""];
  const said = main.raw.split("\n").filter((line) => !line.startsWith("::add-mask::"));
  for (const secret of secrets) {
    expect(drv).not.toContain(secret);
    expect(
      [...said, post.log, main.summary, ...Object.values(main.state)].join("\n"),
    ).not.toContain(secret);
  }
});
