/** The pins of a Cachix cache: set once, and listed where the server lists them. */

import * as z from "zod/mini";
import type { Pin, PinKeep, StoredPin } from "../../domain/cache.ts";
import { parseStorePath } from "../../domain/store-path.ts";
import type { CachixApi } from "./api.ts";

/** Seen in a third party's client only (facts: ghaf-givc's cachix-client): not every server may have it. */
const Listed = z.array(
  z.object({
    name: z.string(),
    lastRevision: z.nullable(
      z.object({ storePath: z.string(), createdOn: z.string(), revision: z.number() }),
    ),
  }),
);

/** How a server says that it lists no pins, or not to us. */
const NOT_LISTED = new Set([401, 403, 404, 405]);

export async function listPins(
  api: CachixApi,
  storeDir: string,
  signal: AbortSignal,
): Promise<readonly StoredPin[] | undefined> {
  const answer = await api.ask({ method: "GET", path: "/pin", signal });
  if (NOT_LISTED.has(answer.status)) return undefined;
  if (answer.status !== 200) throw api.failure("GET /pin", answer, api.askPolicy);
  return api.read(answer, Listed, "GET /pin").flatMap(({ name, lastRevision: last }) => {
    const storePath = last && parseStorePath(last.storePath, storeDir);
    if (!last || !storePath) return [];
    return [{ name, storePath, revision: last.revision, createdOn: last.createdOn }];
  });
}

/** Each call adds a revision and may push an older one out, so a lost answer is looked into first. */
export async function setPin(
  api: CachixApi,
  storeDir: string,
  { name, storePath, keep }: Pin,
  signal: AbortSignal,
): Promise<void> {
  const body = { name, storePath, artifacts: [], keep: keepOf(keep) };
  const holds = async () => {
    const pins = await listPins(api, storeDir, signal).catch(() => undefined);
    return pins?.some((pin) => pin.name === name && pin.storePath === storePath) ?? false;
  };
  await api.write({ method: "POST", path: "/pin", body, signal }, holds);
}

/** Aeson's encoding, as in cachix's daemon protocol. */
function keepOf(keep: PinKeep): unknown {
  switch (keep.kind) {
    case "forever":
      return { tag: "Forever" };
    case "days":
      return { tag: "Days", contents: keep.days };
    case "revisions":
      return { tag: "Revisions", contents: keep.revisions };
    default:
      return keep satisfies never;
  }
}
