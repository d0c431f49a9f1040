/** As what Nix knows the content-addressed outputs that were built. */

import type { Derivation } from "../domain/derivation.ts";
import { mapLimited } from "../domain/limit.ts";
import type { DerivationOutputs } from "../domain/ports.ts";
import { type MadeRealisation, parseMade } from "../domain/realisation.ts";
import type { StorePath } from "../domain/store-path.ts";
import { DEADLINES, type NixCommand } from "./command.ts";
import { nixString } from "./nix-file.ts";

/**
 * What became of content-addressed outputs. Up to 2.26 one depends on those of its inputs that it refers
 * to: these, too. Up to 2.8 nothing on the command line names one output of a recipe; an expression does.
 */
export async function realisations(
  nix: NixCommand,
  storeDir: string,
  read: (path: StorePath) => Promise<Derivation>,
  wanted: readonly DerivationOutputs[],
  signal: AbortSignal,
): Promise<readonly MadeRealisation[]> {
  const found = new Map<string, MadeRealisation>();
  const asked = new Set<string>();
  for (let round = wanted; round.length > 0; ) {
    for (const one of await madeOf(nix, storeDir, round, signal)) found.set(one.id, one);
    const paths = new Set([...found.values()].map(({ path }) => path));
    const all = [...found.values()].flatMap(({ dependentPaths }) => dependentPaths);
    const lacking = new Set(all.filter((path) => !paths.has(path)));
    const next: DerivationOutputs[] = [];
    for (const { drvPath } of lacking.size > 0 ? round : []) {
      for (const [input, names] of (await read(drvPath)).inputs) {
        if (asked.has(input)) continue;
        asked.add(input);
        const { outputs } = await read(input);
        const outputNames = names.filter((name) => {
          const path = outputs.get(name)?.path;
          return path === undefined || lacking.has(path);
        });
        if (outputNames.length > 0) next.push({ drvPath: input, outputNames });
      }
    }
    round = next;
  }
  return [...found.values()];
}

/** Of many at once; where one is not built, of each by itself. */
async function madeOf(
  nix: NixCommand,
  storeDir: string,
  wanted: readonly DerivationOutputs[],
  signal: AbortSignal,
): Promise<readonly MadeRealisation[]> {
  const each = wanted.flatMap(({ drvPath, outputNames }) =>
    outputNames.map((name) => `(import ${drvPath}).${nixString(name)};`),
  );
  const ask = async (some: readonly string[]) => {
    const names = some.map((_, index) => `o${index}`);
    const set = `{ ${some.map((one, index) => `${names[index]} = ${one}`).join(" ")} }`;
    const how = ["--json", "--impure", "--option", "substitute", "false", "--expr", set];
    const args = ["realisation", "info", ...how, ...names];
    const { code, stdout } = await nix.try("nix", args, { signal, deadline: DEADLINES.query });
    return code === 0 ? parseMade(stdout, storeDir) : undefined;
  };
  const made: MadeRealisation[] = [];
  for (let at = 0; at < each.length; at += ASKED_MOST) {
    const some = each.slice(at, at + ASKED_MOST);
    const apart = () => mapLimited(some, 2, (one) => ask([one]));
    made.push(...((await ask(some)) ?? (await apart()).flatMap((one) => one ?? [])));
  }
  return made;
}

/** No argument of a process is longer than 128 kB: each takes up to 300 bytes of the expression. */
const ASKED_MOST = 400;
