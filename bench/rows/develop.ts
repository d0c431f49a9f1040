/** Owns the row `develop`: what `nix develop` still builds and fetches once the step has fetched its shell, counted. */

import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { expression } from "../fixture.ts";
import { spread } from "../measure.ts";
import type { Result, Row } from "../row.ts";
import type { Bench } from "../site.ts";
import { step } from "../step.ts";
import { commit, SYSTEM } from "./evaluation.ts";

const run = promisify(execFile);

/** Of the shell: each is built by the first job, and refers to others. */
const TOOLS = 40;

/** Its input is a tarball, as nixpkgs is: Nix says of each file that it loads. */
async function project(bench: Bench, input: string, folder: string): Promise<string> {
  const workspace = bench.folder("develop");
  const nixpkgs = join(folder, "nixpkgs");
  await mkdir(workspace, { recursive: true });
  await mkdir(nixpkgs, { recursive: true });
  const tools = expression(TOOLS).replaceAll("builtins.currentSystem", `"${SYSTEM}"`);
  await writeFile(join(nixpkgs, "tools.nix"), tools);
  await writeFile(
    join(nixpkgs, "flake.nix"),
    `{ outputs = _: let
  mk = name: script: derivation {
    inherit name;
    system = "${SYSTEM}";
    builder = "/bin/bash";
    PATH = "/usr/bin:/bin";
    # A program at the end closes its output before it ends, and Nix may kill it then.
    args = [ "-c" "\${script}; true" ];
  };
in { legacyPackages.${SYSTEM} = {
  bashInteractive = mk "bash-interactive" "mkdir -p $out/bin; ln -s /bin/bash $out/bin/bash";
  stdenv = mk "stdenv" "mkdir $out; echo 'export PATH=/usr/bin:/bin' > $out/setup";
  tools = import ./tools.nix;
}; }; }`,
  );
  await run("tar", ["-czf", join(folder, "nixpkgs.tar.gz"), "-C", folder, "nixpkgs"]);
  await writeFile(
    join(workspace, "flake.nix"),
    `{ inputs.nixpkgs.url = "${input}"; outputs = { self, nixpkgs }: {
  devShells.${SYSTEM}.default = derivation {
    name = "shell";
    outputs = [ "out" ];
    system = "${SYSTEM}";
    builder = "/bin/bash";
    inherit (nixpkgs.legacyPackages.${SYSTEM}) stdenv;
    nativeBuildInputs = [ nixpkgs.legacyPackages.${SYSTEM}.tools ];
  };
}; }`,
  );
  await run("nix", ["flake", "lock", `path:${workspace}`], { env: bench.environment });
  await commit(workspace);
  return workspace;
}

interface Work {
  readonly built: readonly string[];
  /** Store paths that were copied here, and files that were loaded. */
  readonly fetched: readonly string[];
  /** Builds of `-env`, which Nix makes of the shell itself, on each machine anew. */
  readonly environments: number;
}

/** Nix's numbers of what it does: src/libutil/logging.hh. */
const ACTIVITY = { copyPath: 100, fileTransfer: 101, build: 105 } as const;

/** Reads what `--log-format internal-json` says was begun. */
function workOf(said: string): Work {
  const begun = said
    .split("\n")
    .filter((line) => line.startsWith("@nix "))
    .map((line) => JSON.parse(line.slice("@nix ".length)))
    .filter(({ action }) => action === "start");
  const of = (type: number) =>
    begun.filter((one) => one.type === type).map(({ fields }) => String(fields?.[0]));
  const all = of(ACTIVITY.build);
  const built = all.filter((path) => !path.endsWith("-env.drv"));
  return {
    built,
    fetched: [...of(ACTIVITY.copyPath), ...of(ACTIVITY.fileTransfer)],
    environments: all.length - built.length,
  };
}

async function develop(
  bench: Bench,
  workspace: string,
  substituter: string,
): Promise<Work & { readonly ms: number }> {
  // What is not here could be fetched: it would be counted, and not hidden in a failure.
  const options = ["--log-format", "internal-json", "--option", "substituters", substituter];
  const begun = performance.now();
  const { stderr } = await run("nix", ["develop", ...options, "--command", "true"], {
    cwd: workspace,
    env: bench.environment,
    maxBuffer: 1024 ** 3,
  });
  return { ms: performance.now() - begun, ...workOf(stderr) };
}

/** Where this step evaluates, and where it takes over what an earlier job evaluated, as it does unless told otherwise. */
const WAYS = [
  { reuse: "auto", row: "develop", when: "" },
  { reuse: "off", row: "develop, evaluated anew", when: " with `reuse-evaluation: off`" },
] as const;

type Job = Awaited<ReturnType<typeof develop>>;

function check({ environments }: Job): void {
  if (environments !== 1)
    throw new Error("Nix did not say that it built the shell's -env: nothing was counted");
}

async function counted(bench: Bench): Promise<readonly Result[]> {
  const { machine } = bench;
  await machine.forget();
  const folder = bench.folder("develop-input");
  await mkdir(folder, { recursive: true });
  await using served = await bench.serve([{ directory: folder, delay: 0 }]);
  const workspace = await project(bench, `${served.origins[0]}/nixpkgs.tar.gz`, folder);
  const cache = `file://${bench.folder("develop-cache")}`;
  const inputs = { cache, targets: `.#devShells.${SYSTEM}.default`, "signing-key": bench.secret };
  await step(bench, "main", { ...inputs, mode: "warm" }, {}, workspace);
  const job = async (reuse: "auto" | "off" | "no step") => {
    await machine.forget();
    const prefetch = { ...inputs, mode: "prefetch", "reuse-evaluation": reuse };
    if (reuse !== "no step") await step(bench, "main", prefetch, {}, workspace);
    const done = await develop(bench, workspace, cache);
    check(done);
    return done;
  };
  const rounds = bench.rounds ?? 3;
  const results: Result[] = [];
  for (const { reuse, row, when } of WAYS) {
    const ours: Job[] = [];
    const peer: Job[] = [];
    for (let round = 0; round < rounds; round++) {
      ours.push(await job(reuse));
      peer.push(await job("no step"));
    }
    if (peer.some(({ fetched }) => fetched.length < TOOLS))
      throw new Error("without the step hardly anything was fetched: the count shows nothing");
    const counts = (all: readonly Job[]) =>
      spread(all.map(({ built, fetched }) => built.length + fetched.length));
    const wall = (all: readonly Job[]) => `${spread(all.map(({ ms }) => ms)).median.toFixed(0)} ms`;
    const extra = new Set(
      ours.flatMap(({ built, fetched }) => [
        ...built.map((path) => `built ${nameOf(path)}`),
        ...fetched.map((path) => `fetched ${nameOf(path)}`),
      ]),
    );
    results.push({
      row,
      what: `\`nix develop --command true\` after \`prefetch\`${when}, fresh store: builds beside \`-env\`, and fetches`,
      peerIs: "the same without the step",
      unit: "count",
      ours: counts(ours),
      peer: counts(peer),
      ratio: undefined,
      rounds,
      goal: { kind: "count", atMost: 0 },
      note: [`by the clock ${wall(ours)}, without the step ${wall(peer)}`, ...extra].join("; "),
    });
  }
  return results;
}

/** Of a store path or a file: its hash is another in every run of the bench. */
function nameOf(path: string): string {
  return basename(path).replace(/^[0-9a-z]{32}-/, "");
}

export const developed: Row = { name: "develop", length: "short", run: counted };
