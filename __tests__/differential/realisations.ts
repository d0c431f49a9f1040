/** Owns content-addressed derivations, whose paths a cache knows by its realisations alone. */

import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startMachine } from "../../scripts/machine.ts";
import { DEFAULTS, parseInputs } from "../../src/action/inputs.ts";
import type { Verdict } from "../../src/domain/verdict.ts";
import { survey } from "../../src/engine/survey.ts";
import { READ_ONLY } from "../support/world.ts";
import type { Comparison } from "./difference.ts";
import { type Court, ended, QUICK } from "./judges.ts";
import { composed } from "./ours.ts";

export interface RealisationWorld {
  readonly what: string;
  /** `deferred`: built of what is floating; `chained`: floating itself, and built of both. */
  readonly wanted: (typeof WANTED)[number];
  readonly held: (typeof HELD)[number];
  /** Its derivations are of this number, and so no other world's. */
  readonly number: number;
}

/** What the cache has. */
const HELD = [
  "all",
  "the floating one alone",
  "all without realisations",
  "realisations alone",
  "no realisation of plain",
  "no realisation of deferred",
  "no realisation of chained",
  "no plain path",
  "no floating path",
  "a realisation that depends on another cache's",
  "an unreadable realisation",
  "nothing",
] as const;
const WANTED = ["floating", "deferred", "plain", "chained"] as const;

export async function realisations(
  court: Court,
  system: string,
): Promise<Comparison<RealisationWorld>> {
  const machine = await startMachine({
    configuration: `${QUICK}\nextra-experimental-features = ca-derivations`,
  });
  const { root, environment } = machine;
  const always = HELD.flatMap((held) => WANTED.map((wanted) => ({ held, wanted }))).map(
    (one, number) => ({ ...one, number, what: `${one.wanted} (${one.held})` }),
  );
  const file = join(root, "worlds.nix");
  await writeFile(
    file,
    `let
  d = name: text: more: derivation ({
    inherit name; system = "${system}"; builder = "/bin/sh"; args = [ "-c" "echo \${text} > $out" ];
  } // more);
in builtins.genList (n: let w = toString n; in rec {
  fixed = derivation {
    name = "fixed-\${w}"; system = "${system}"; builder = "/bin/sh"; args = [ "-c" "echo -n x > $out" ];
    outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = builtins.hashString "sha256" "x";
  };
  plain = d "plain-\${w}" "\${w} \${fixed} \${builtins.toFile "source-\${w}" w}" { };
  floating = d "floating-\${w}" "\\"\\t\\" \${plain}" {
    __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256";
  };
  deferred = d "deferred-\${w}" floating { };
  chained = d "chained-\${w}" "\${floating} \${deferred}" {
    __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256";
  };
}) ${always.length}`,
  );
  const cacheOf = (number: number) => join(court.folder, "realisations", String(number));
  const named = ({ number, wanted }: Pick<RealisationWorld, "number" | "wanted">) =>
    `${number}.${wanted}`;
  await machine.nix("nix-build", ["--no-out-link", file]);
  for (const { held, number } of always) {
    if (held === "nothing") continue;
    const copied = held === "the floating one alone" ? (["floating"] as const) : WANTED;
    const names = copied.map((wanted) => named({ number, wanted }));
    const to = ["--to", `file://${cacheOf(number)}`];
    await machine.nix("nix", ["copy", ...to, "-f", file, ...names]);
    if (held === "all without realisations") {
      await rm(join(cacheOf(number), "realisations"), { recursive: true });
    } else if (held === "realisations alone") {
      await rm(join(cacheOf(number), "nar"), { recursive: true });
      const args = ["-c", 'rm "$1"/*.narinfo', "sh", cacheOf(number)];
      await ended("/bin/sh", args, root, environment);
    }
    await takeAway(cacheOf(number), held);
  }
  await machine.forget();
  const drvOf = async (world: RealisationWorld) =>
    (await machine.nix("nix-instantiate", [file, "-A", named(world)])).trim();
  const settings = ({ number }: RealisationWorld) =>
    `substituters = file://${cacheOf(number)}?trusted=1`;
  return {
    name: "realisations",
    usual: 0,
    share: 0,
    always,
    make() {
      throw new Error("chance makes none of these");
    },
    async nix(world) {
      const env = { ...environment, NIX_CONFIG: settings(world) };
      const drv = await drvOf(world);
      const { code, text } = await ended("nix-store", ["--realise", drv], root, env);
      if (code !== 0) return `ends: ${text.slice(-300)}`;
      return /^building '/m.test(text) ? "builds" : "fetches";
    },
    async ours(world) {
      const env = { ...environment, NIX_CONFIG: settings(world) };
      const targets = `${await drvOf(world)}^out`;
      const { job } = parseInputs({ ...DEFAULTS, cache: "none", targets });
      await using ours = await composed(env, root, root);
      const looked = await survey(job, READ_ONLY, ours.world, AbortSignal.timeout(60_000));
      return looked.targets.map(({ verdict }) => WORDS[verdict.kind]).join("; ");
    },
    end: async () => {
      await machine[Symbol.asyncDispose]();
    },
  };
}

/** Leaves a cache that has everything without the part that its name says. */
async function takeAway(cache: string, held: RealisationWorld["held"]): Promise<void> {
  const [, part, what = ""] = /^no (realisation of|)\s?(\w+)(?: path)?$/.exec(held) ?? [];
  const folder = join(cache, "realisations");
  const named = what || "floating";
  const touched = part !== undefined || held.startsWith("a");
  for (const name of touched && !held.startsWith("all") ? await readdir(folder) : []) {
    const text = await readFile(join(folder, name), "utf8");
    const { outPath, ...others } = JSON.parse(text) as { readonly outPath: string };
    if (!outPath.slice(33).startsWith(`${named}-`)) continue;
    if (part === "realisation of") await rm(join(folder, name));
    else if (part === "") await rm(join(cache, `${outPath.slice(0, 32)}.narinfo`));
    else if (held === "an unreadable realisation") await writeFile(join(folder, name), "{");
    else {
      const dependentRealisations = { [`sha256:${"0".repeat(64)}!out`]: outPath };
      await writeFile(
        join(folder, name),
        JSON.stringify({ ...others, outPath, dependentRealisations }),
      );
    }
  }
}

const WORDS: Readonly<Record<Verdict["kind"], string>> = {
  own: "fetches",
  upstream: "fetches",
  missing: "builds",
  unknown: "unknown",
  failed: "fails",
};
