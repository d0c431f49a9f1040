/** Owns the rows of `record`: what the evaluation of 50 packages weighs that the next job gets, and what taking it over takes. */

import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startGithubCache } from "../../__tests__/servers/github-cache.ts";
import { lock } from "../../scripts/machine.ts";
import { expression } from "../fixture.ts";
import { spread, timeProcess } from "../measure.ts";
import type { Result, Row } from "../row.ts";
import type { Bench } from "../site.ts";
import { step } from "../step.ts";
import { commit, SYSTEM } from "./evaluation.ts";

const PACKAGES = 50;
/** As 50 packages of nixpkgs 15.09 were over (831 store paths), and as the heavy flake of `evaluation` is. */
const SIZES = [700, 2_000] as const;
/** As many as a nixpkgs has at its top: Nix's eval cache has a row of each. */
const NAMES = 20_000;

/**
 * Besides what all derivations of the bench have, each has an address and a hash of its own, and a quarter of
 * them a patch of some 2 kB, as in nixpkgs: what cannot be compressed away is what a record weighs.
 */
function packages(derivations: number): string {
  const own = `url = "https://example.org/\${name}.tar.gz";
    digest = builtins.hashString "sha256" name;
    patches = if builtins.substring 0 1 (builtins.hashString "md5" name) < "4" then [
      (builtins.toFile "\${name}.patch" (builtins.concatStringsSep "\\n" (builtins.genList
        (line: builtins.hashString "sha256" "\${name} \${toString line}") 30)))
    ] else [ ];`;
  const chosen = Array.from({ length: PACKAGES }, (_, index) => `p${index + 1}`);
  return expression(derivations)
    .replaceAll("builtins.currentSystem", `"${SYSTEM}"`)
    .replace("inherit name deps;", `inherit name deps;\n    ${own}`)
    .replace(/in p0\n$/, `in { inherit ${chosen.join(" ")}; }\n`);
}

async function project(bench: Bench, derivations: number): Promise<string> {
  const workspace = bench.folder(`record-${derivations}`);
  const nixpkgs = bench.folder(`record-nixpkgs-${derivations}`);
  await mkdir(workspace, { recursive: true });
  await mkdir(nixpkgs, { recursive: true });
  await writeFile(join(nixpkgs, "packages.nix"), packages(derivations));
  await writeFile(
    join(nixpkgs, "flake.nix"),
    `{ outputs = _: let
  chosen = import ./packages.nix;
  name = n: "package-\${toString n}-\${builtins.substring 0 6 (builtins.hashString "sha256" (toString n))}";
  others = builtins.genList (n: { name = name n; value = throw "nobody asks for it"; }) ${NAMES};
in {
  inherit chosen;
  all = builtins.listToAttrs others // chosen;
}; }`,
  );
  await writeFile(
    join(workspace, "flake.nix"),
    `{ inputs.nixpkgs.url = "path:/nowhere"; outputs = { self, nixpkgs }: {
  packages.${SYSTEM} = nixpkgs.chosen;
  legacyPackages.${SYSTEM} = nixpkgs.all;
}; }`,
  );
  await lock(bench.machine, workspace, { nixpkgs });
  await commit(workspace);
  return workspace;
}

/** Each in a fresh store and home, from a cache of GitHub's on loopback. */
async function recorded(bench: Bench, derivations: number): Promise<readonly Result[]> {
  const { machine } = bench;
  await machine.forget();
  const workspace = await project(bench, derivations);
  await using server = await startGithubCache();
  const variables = { ...server.variables(), GITHUB_RUN_ID: "1" };
  const inputs = {
    cache: "github",
    mode: "check",
    "fail-on": "disk",
    targets: `.#packages.${SYSTEM}.*`,
  };
  await step(bench, "main", inputs, {}, workspace, variables);
  const [entry] = server.entries.filter(({ key }) => key.startsWith("evaluation-"));
  const key = /^evaluation-([0-9a-z]+)-/.exec(entry?.key ?? "")?.[1];
  if (key === undefined || entry?.size === undefined)
    throw new Error(`no evaluation was left, only ${server.keys().join(", ")}`);
  const rounds = bench.rounds ?? 3;
  const times: number[] = [];
  let taken = "";
  let paths = 0;
  for (let round = 0; round < rounds; round++) {
    await machine.forget();
    const request = { key, version: bench.nixVersion, storeDir: machine.storeDir };
    const home = { ...variables, HOME: machine.environment["HOME"] ?? "" };
    const { ms, stdout } = await bench.ours("evaluation", { ...request, workspace }, home);
    times.push(ms);
    taken = stdout.trim();
    paths = (await readdir(machine.storeDir)).filter((name) => !name.startsWith(".")).length;
    // A record is worth something only where Nix itself needs no evaluation after it.
    await timeProcess({
      command: "nix",
      args: ["build", "--dry-run", "--no-link", `.#p1`, `.#packages.${SYSTEM}.p${PACKAGES}`],
      environment: { ...machine.environment, NIX_ALLOW_EVAL: "0" },
      cwd: workspace,
    });
  }
  const set = `${PACKAGES} packages of a nixpkgs of ${NAMES} names, ${paths} store paths`;
  const shared = { peerIs: "", peer: undefined, ratio: undefined } as const;
  return [
    {
      ...shared,
      row: `record, size, ${derivations}`,
      what: `evaluation of ${set}: what the next job gets`,
      unit: "bytes",
      ours: spread([entry.size]),
      rounds: 1,
      goal: { kind: "bytes", atMost: 3 * 1024 ** 2 },
      note: `${entry.size} bytes`,
    },
    {
      ...shared,
      row: `record, import, ${derivations}`,
      what: `evaluation of ${set}: restored from GitHub's cache and imported, a whole process`,
      unit: "ms",
      ours: spread(times),
      rounds,
      goal: { kind: "milliseconds", atMost: 1_000 },
      note: `${taken}; fresh store, fresh home, loopback; \`NIX_ALLOW_EVAL=0\` holds after it`,
    },
  ];
}

export const record: Row = {
  name: "record",
  length: "short",
  async run(bench) {
    const results: Result[] = [];
    for (const derivations of SIZES) results.push(...(await recorded(bench, derivations)));
    return results;
  },
};
