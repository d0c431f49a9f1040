/** Owns what a job of the matrix is thought to take, in seconds: learnt, or by a stated rule. Pure. */

import { derivationName, type StorePath } from "../../domain/store-path.ts";
import type { MatrixRequest } from "./request.ts";

/** Before a job builds anything: its runner, the checkout, Nix, the start of the evaluation. */
export const JOB_SECONDS = 120;

/** What a target takes beside its builds: evaluated, fetched, pushed, read back. */
export const TARGET_SECONDS = 120;

/** A build that nobody has timed. */
const LIGHT_SECONDS = 120;
const HEAVY_SECONDS = 1_800;

export class Weights {
  private readonly request: Pick<MatrixRequest, "derivations" | "seconds">;
  private readonly known = new Map<StorePath, number>();

  constructor(request: Pick<MatrixRequest, "derivations" | "seconds">) {
    this.request = request;
  }

  /** Seconds that one derivation takes to build. */
  of(drvPath: StorePath): number {
    let seconds = this.known.get(drvPath);
    if (seconds === undefined) {
      const derivation = this.request.derivations.get(drvPath);
      seconds =
        this.request.seconds(derivation?.name ?? derivationName(drvPath)) ??
        (derivation?.heavy === "heavy" ? HEAVY_SECONDS : LIGHT_SECONDS);
      this.known.set(drvPath, seconds);
    }
    return seconds;
  }

  sum(drvPaths: Iterable<StorePath>): number {
    let seconds = 0;
    for (const drvPath of drvPaths) seconds += this.of(drvPath);
    return seconds;
  }
}
