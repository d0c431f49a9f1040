/** Owns records for post as one could make them who has the secret: so that each check is tried by itself. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Seal, StateKeeper, type StepState, sealFor } from "../../src/action/state.ts";

export const SEAL: Seal = sealFor({
  secrets: { token: "the-token", signingKey: undefined },
  environment: {},
  job: { cacheName: "cachix:mine" },
  folder: "/runner/nix-cache-preflight",
});

/** Writes main's record into a use of our folder below `shared`; what the runner would hand on. */
export function save(shared: string, state: StepState, seal = SEAL): Promise<string> {
  return new StateKeeper({ sharedFolder: shared, use: "1" }, seal).save(state);
}

interface Pointed {
  readonly sharedFolder: string;
  readonly use: string;
  readonly file: string;
}

export function recordFile(text: string): string {
  const { sharedFolder, use, file } = JSON.parse(text) as Pointed;
  return join(sharedFolder, use, file);
}

/** As the text that points to it would be, had `record` been main's: with a good seal. */
export async function forged(text: string, record: string, seal = SEAL): Promise<string> {
  await writeFile(recordFile(text), record);
  return JSON.stringify({ ...(JSON.parse(text) as object), seal: seal.of(record) });
}
