/** Owns a job against the Cachix stand-in: a machine with the incident's flake, and steps of the bundle. */

import { appendFile, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type Machine, quickstart, startMachine } from "../../scripts/machine.ts";
import { runStage, type StageResult, type StepRequest } from "../../scripts/runner.ts";
import { baseName, parseStorePath } from "../../src/domain/store-path.ts";
import type { jsonReport } from "../../src/report/json.ts";
import { type CachixOptions, type CachixServer, startCachix } from "../servers/cachix.ts";

/** Found nowhere but where it is meant to be. */
export const TOKEN = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0LXRva2Vu.nowhere-to-be-seen";
export const BITWARDEN = "nixpkgs#bitwarden-cli pin=bitwarden-cli";
export const BWS = "nixpkgs#bws pin=bws";

export type Report = ReturnType<typeof jsonReport>;

export interface CachixStep extends StageResult {
  readonly report: Report;
}

export interface CachixJob extends AsyncDisposable {
  readonly server: CachixServer;
  readonly machine: Machine;
  /** RUNNER_TEMP. */
  readonly temp: string;
  /** `cachix:mycache?host=…`. */
  readonly cache: string;
  step(inputs: Readonly<Record<string, string>>, how?: StepHow): Promise<CachixStep>;
  /** Builds an attribute of nixpkgs, puts it where it is said, and forgets it here. */
  seed(attribute: string, into: "own" | "upstream"): Promise<string>;
}

export interface StepHow {
  readonly stage?: "main" | "post";
  readonly state?: Readonly<Record<string, string>>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly temp?: string;
  readonly kill?: NonNullable<StepRequest["kill"]>;
}

export async function startCachixJob(options: CachixOptions = {}): Promise<CachixJob> {
  const machine = await startMachine();
  const workspace = await quickstart(machine, resolve("examples/quickstart"));
  const server = await startCachix({
    storeDir: machine.storeDir,
    tokens: { [TOKEN]: "Write" },
    ...options,
  });
  const temp = join(machine.root, "runner-temp");
  const cache = `cachix:${server.name}?host=${server.origin}`;
  // As cache.nixos.org's is: Nix trusts the upstream whatever we do.
  await appendFile(
    join(machine.root, "etc", "nix.conf"),
    `trusted-public-keys = ${server.upstreamPublicKey}\n`,
  );
  return {
    server,
    machine,
    temp,
    cache,
    async step(inputs, how = {}) {
      const result = await runStage(how.stage ?? "main", {
        action: resolve("."),
        inputs: { cache, token: TOKEN, "min-free": "1MB", ...inputs },
        workspace,
        temp: how.temp ?? temp,
        eventName: "push",
        event: { repository: { default_branch: "main" } },
        environment: { ...machine.environment, ...how.environment },
        ...(how.state ? { state: how.state } : {}),
        ...(how.kill ? { kill: how.kill } : {}),
      });
      const file = result.outputs["report"];
      const text = file === undefined ? "{}" : await readFile(file, "utf8");
      return { ...result, report: JSON.parse(text) as Report };
    },
    async seed(attribute, into) {
      const nixpkgs = join(machine.root, "quickstart", "nixpkgs");
      const expression = `(builtins.getFlake "path:${nixpkgs}").legacyPackages.x86_64-linux.${attribute}`;
      const flags = ["--extra-experimental-features", "nix-command flakes"];
      const out = await machine.nix("nix", [
        ...flags,
        "build",
        "--no-link",
        "--impure",
        "--json",
        "--expr",
        expression,
      ]);
      const [built] = JSON.parse(out) as { outputs: Record<string, string> }[];
      const storePath = parseStorePath(built?.outputs["out"] ?? "", machine.storeDir);
      if (!storePath) throw new Error(`built ${out}`);
      const narFile = join(machine.root, "tmp", "seed.nar");
      await machine.nix("sh", ["-c", `nix-store --dump ${storePath} > ${narFile}`]);
      const references = await machine.nix("nix-store", ["--query", "--references", storePath]);
      const seeded = {
        storePath,
        nar: await readFile(narFile),
        references: references.split("\n").filter((line) => line !== ""),
      };
      await (into === "own" ? server.addOwn(seeded) : server.addUpstream(seeded));
      await machine.forget();
      return baseName(storePath);
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await machine[Symbol.asyncDispose]();
    },
  };
}
