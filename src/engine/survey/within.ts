/** Owns `derivation=`: targets that lie below what the line's installable names. */

import { asError, UserError } from "../../domain/errors.ts";
import type { DerivationOutputs, Nix } from "../../domain/ports.ts";
import { derivationName } from "../../domain/store-path.ts";
import type { Target } from "../../domain/target.ts";
import { type Below, below, idOf } from "./below.ts";
import { type FoundTarget, failedTarget, withDerivation } from "./found-target.ts";

/** `derivation=`: what is called so below each of the line's targets, in its place. */
export async function within(
  found: readonly FoundTarget[],
  target: Target,
  nix: Nix,
  signal: AbortSignal,
): Promise<{ readonly targets: readonly FoundTarget[]; readonly notices: readonly string[] }> {
  const notices: string[] = [];
  const targets: FoundTarget[] = [];
  for (const root of found) {
    if (root.wanted?.kind !== "derivation") {
      targets.push(root);
      continue;
    }
    const answers = await search(nix, root.wanted, target, signal);
    if (answers instanceof Error) {
      const failure = { message: answers.message, nearest: [] };
      targets.push(failedTarget(root.name, target, root.system, failure));
      continue;
    }
    const several = answers.flatMap(({ derivations }) => derivations).length > 1;
    for (const { asked, derivations, nearest, notice } of answers) {
      const name = `${root.name} derivation=${asked}`;
      if (notice !== undefined) notices.push(`${name}: ${notice}`);
      if (derivations.length === 0) {
        const message = `no derivation below ${root.name} is called ${asked}`;
        targets.push(failedTarget(name, target, root.system, { message, nearest }));
      }
      for (const { drvPath, outputNames } of derivations) {
        const shown = derivations.length > 1 ? `${root.name} derivation=${idOf(drvPath)}` : name;
        // Whoever wants it pinned says so: it is on the way to something that has a pin of its own.
        const pin = target.pin === undefined ? "" : root.pinName;
        const own = derivationName(drvPath).replace(/[^0-9A-Za-z_.+-]/g, "-");
        const pinName = pin !== "" && several ? `${pin}-${own}`.slice(0, 200) : pin;
        targets.push(
          await withDerivation({ name: shown, target, pinName }, drvPath, outputNames, nix),
        );
      }
    }
  }
  return { targets, notices };
}

/** A damaged `.drv` below one target is no end of the others. */
async function search(
  nix: Nix,
  root: DerivationOutputs,
  target: Target,
  signal: AbortSignal,
): Promise<Below[] | Error> {
  try {
    return await below(nix, root.drvPath, target.derivations, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof UserError)) throw error;
    return asError(error);
  }
}
