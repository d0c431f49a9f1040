/** Owns the steps a plan is made of: one shape each, and what relief is called. */

import type { BinaryCache, Can, Pin } from "../domain/cache.ts";
import type { DerivationOutputs } from "../domain/ports.ts";
import { formatBytes } from "../domain/size.ts";
import type { StorePath } from "../domain/store-path.ts";
import type { Survey } from "./survey.ts";

/** What is to be in our cache for a target: its outputs, and with `closure=build` more. */
export interface PushRoots {
  readonly target: string;
  readonly paths: readonly StorePath[];
}

/** Room made where it lacks (docs/adr/0015). */
export type Reclaim =
  | { readonly kind: "build directory"; readonly from: string; readonly to: string }
  | { readonly kind: "tool folder"; readonly path: string; readonly bytes: number }
  | {
      readonly kind: "garbage";
      readonly bytes: number;
      /** What the plan needs of what is in the store. */
      readonly keep: readonly StorePath[];
    };

export type Step =
  | { readonly do: "reclaim"; readonly reclaim: Reclaim }
  | { readonly do: "configure"; readonly caches: readonly BinaryCache[] }
  | { readonly do: "substitute"; readonly paths: readonly StorePath[]; readonly bytes: number }
  | {
      readonly do: "build";
      readonly derivations: readonly DerivationOutputs[];
      readonly why: string;
    }
  | { readonly do: "push"; readonly cache: Can<"push">; readonly roots: PushRoots }
  | {
      readonly do: "verify";
      readonly cache: BinaryCache;
      readonly roots: PushRoots;
      /** What follows a bad answer: one more push, or only the word. */
      readonly onTrouble: "mend" | "tell";
    }
  /** Everything that could lose what was pushed: the last step, because it goes by what was verified. */
  | { readonly do: "audit"; readonly survey: Survey }
  | { readonly do: "pin"; readonly cache: Can<"pin">; readonly pin: Pin; readonly target: string };

export function reclaimWords(reclaim: Reclaim): string {
  switch (reclaim.kind) {
    case "build directory":
      return `Build in ${reclaim.to} instead of ${reclaim.from}`;
    case "tool folder":
      return `Delete ${reclaim.path} (${formatBytes(reclaim.bytes)})`;
    case "garbage":
      return `Collect ${formatBytes(reclaim.bytes)} of garbage in the store`;
    default:
      return reclaim satisfies never;
  }
}
