/** Owns whether a target is to be pinned: trust, the job and the cache allow it, and the pin is not there yet. Pure. */

import { type BinaryCache, can, type Pin, type StoredPin } from "../../domain/cache.ts";
import type { Job, Trust } from "../../domain/job.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Step } from "../step.ts";

export interface PinWish {
  /** Its name. */
  readonly target: string;
  readonly pinName: string;
  /** The first one is pinned. */
  readonly outputs: readonly StorePath[] | undefined;
}

export function pinSteps(
  job: Pick<Job, "pin" | "pinKeep" | "force">,
  trust: Trust,
  pins: readonly StoredPin[] | undefined,
  cache: BinaryCache,
  { target, pinName, outputs }: PinWish,
): Step[] {
  const [storePath] = outputs ?? [];
  if (job.pin === "off" || trust.kind !== "write" || trust.pins !== "move") return [];
  if (!storePath || pinName === "" || !can(cache, "pin")) return [];
  // Every pin adds a revision and pushes an older one out: one that is right stays as it is.
  const now = pins?.find(({ name }) => name === pinName)?.storePath;
  if (now === storePath && job.force !== "force") return [];
  const pin: Pin = { name: pinName, storePath, keep: job.pinKeep };
  return [{ do: "pin", cache, pin, target }];
}
