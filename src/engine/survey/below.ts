/** Finds derivations by name below another one, as a second machine has to that shares no store. */

import { asError, UserError } from "../../domain/errors.ts";
import { mapLimited } from "../../domain/limit.ts";
import type { DerivationOutputs, Nix } from "../../domain/ports.ts";
import { baseName, derivationName, type StorePath } from "../../domain/store-path.ts";
import { nearest } from "../../domain/suggest.ts";
import type { Target } from "../../domain/target.ts";
import { type FoundTarget, failedTarget, pinOf, withDerivation } from "./found.ts";

export interface Below {
  /** As the target line has it: `NAME` or `HASH-NAME`. */
  readonly asked: string;
  /** With all their outputs: one build makes them, and others may want another one. */
  readonly derivations: readonly DerivationOutputs[];
  /** Names near to one that is not there. */
  readonly nearest: readonly string[];
  /** Why it is not quite what was asked for. */
  readonly notice: string | undefined;
}

/** Files read at once. */
const PARALLEL = 64;

/** `HASH-NAME`: one derivation among those of its name, and the same on every machine. */
export function idOf(drvPath: StorePath): string {
  return baseName(drvPath).slice(0, -".drv".length);
}

/**
 * Walks all that the root is built from, cached or not: whoever asks knows of no cache. A hash that
 * is not there, because another Nix names the same recipe differently, is looked for by its name.
 */
export async function below(
  nix: Pick<Nix, "derivation">,
  root: StorePath,
  asked: readonly string[],
  signal: AbortSignal,
): Promise<Below[]> {
  const outputs = new Map<StorePath, readonly string[]>();
  const seen = new Set<StorePath>([root]);
  for (let wave: readonly StorePath[] = [root]; wave.length > 0; ) {
    signal.throwIfAborted();
    const next: StorePath[] = [];
    for (const derivation of await mapLimited(wave, PARALLEL, (path) => nix.derivation(path))) {
      outputs.set(derivation.path, [...derivation.outputs.keys()]);
      for (const input of derivation.inputs.keys()) {
        if (seen.has(input)) continue;
        seen.add(input);
        next.push(input);
      }
    }
    wave = next;
  }
  const paths = [...outputs.keys()];
  return asked.map((word) => {
    const exact = paths.filter((path) => idOf(path) === word);
    const name = /^[0-9a-df-np-sv-z]{32}-/.test(word) ? word.slice(33) : word;
    const found = exact.length > 0 ? exact : paths.filter((path) => derivationName(path) === name);
    const none = found.length === 0;
    return {
      asked: word,
      derivations: found.map((drvPath) => ({ drvPath, outputNames: outputs.get(drvPath) ?? [] })),
      nearest: none ? nearest(name, new Set(paths.map(derivationName))) : [],
      notice:
        !none && exact.length === 0 && name !== word
          ? `it is not there by this hash: what is called ${name} is taken (another Nix, or other sources?)`
          : undefined,
    };
  });
}

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
      const name = `${root.written} derivation=${asked}`;
      if (notice !== undefined) notices.push(`${name}: ${notice}`);
      if (derivations.length === 0) {
        const message = `no derivation below ${root.name} is called ${asked}`;
        targets.push(failedTarget(name, target, root.system, { message, nearest }));
      }
      for (const { drvPath, outputNames } of derivations) {
        const shown = derivations.length > 1 ? `${root.written} derivation=${idOf(drvPath)}` : name;
        // Whoever wants it pinned says so: it is on the way to something that has a pin of its own.
        const pin = target.pin === undefined ? "" : root.pinName;
        const pinName = pin !== "" && several ? pinOf(`${pin}-${derivationName(drvPath)}`) : pin;
        targets.push(
          await withDerivation({ written: shown, target, pinName }, drvPath, outputNames, nix),
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
