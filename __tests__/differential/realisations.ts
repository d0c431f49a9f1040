/** Owns content-addressed derivations, whose paths a cache knows by its realisations alone. */

import { rm, writeFile } from "node:fs/promises";
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
  /** `deferred`: built of what is floating. */
  readonly wanted: "floating" | "deferred" | "plain";
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
  "nothing",
] as const;
const WANTED = ["floating", "deferred", "plain"] as const;

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
  floating = d "floating-\${w}" w {
    __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256";
  };
  deferred = d "deferred-\${w}" floating { };
  plain = d "plain-\${w}" w { };
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

const WORDS: Readonly<Record<Verdict["kind"], string>> = {
  own: "fetches",
  upstream: "fetches",
  missing: "builds",
  unknown: "unknown",
  failed: "fails",
};
