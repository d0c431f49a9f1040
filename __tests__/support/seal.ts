/** Owns records for post as one could make them who has the secret: so that each check is tried by itself. */

import { type Seal, sealFor } from "../../src/action/state.ts";

export const SEAL: Seal = sealFor({
  secrets: { token: "the-token", signingKey: undefined },
  environment: {},
  job: { cacheName: "cachix:mine" },
  folder: "/runner/nix-cache-preflight",
});

/** The record with a good seal, whatever is in it; text that is no record stays as it is. */
export function resealed(text: string, seal = SEAL): string {
  try {
    const { seal: _, ...record } = JSON.parse(text) as Record<string, unknown>;
    return JSON.stringify({ ...record, seal: seal.of(JSON.stringify(record)) });
  } catch {
    return text;
  }
}
