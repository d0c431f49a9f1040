/** Finds derivations by name below another one, as a second machine has to that shares no store. */

import { mapLimited } from "../../domain/limit.ts";
import type { DerivationOutputs, Nix } from "../../domain/ports.ts";
import { baseName, derivationName, type StorePath } from "../../domain/store-path.ts";
import { nearest } from "../../domain/suggest.ts";

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
