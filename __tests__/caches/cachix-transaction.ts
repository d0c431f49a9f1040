/** Owns one target's push → verify → pin against the Cachix stand-in, and what came of it in a few words. */

import type { Job } from "../../src/domain/job.ts";
import { Transaction } from "../../src/engine/apply/transaction.ts";
import { Lookup } from "../../src/engine/survey/lookup.ts";
import { clock } from "../../src/host/clock.ts";
import { decompress } from "../../src/host/compress.ts";
import type { CachixServer } from "../servers/cachix.ts";
import type { Endpoint } from "../servers/cachix-routes.ts";
import { Client, type ClientOptions } from "./cachix-client.ts";
import { type MadeUp, storeOf } from "./made-up.ts";

export interface Told {
  readonly outcome: string | undefined;
  readonly detail: string | undefined;
  /** State of the pin; undefined where none was tried. */
  readonly pin: string | undefined;
  readonly findings: readonly string[];
  /** Names of what was pushed, each as often as it was. */
  readonly pushed: readonly string[];
}

export interface TransactOptions extends ClientOptions {
  readonly job?: Partial<Pick<Job, "force" | "verify" | "onPushFailure">>;
  readonly nar?: ReturnType<typeof storeOf>["nar"];
  readonly signal?: AbortSignal;
}

/** Pushes, verifies and pins the last of `paths`; the others are its closure. */
export async function transact(
  server: CachixServer,
  paths: readonly MadeUp[],
  options: TransactOptions = {},
): Promise<Told> {
  const root = paths.at(-1);
  if (!root) throw new Error("no path");
  const signal = options.signal ?? new AbortController().signal;
  using client = new Client(server, options);
  const cache = client.own;
  const pushed: string[] = [];
  const store = storeOf(paths);
  const transaction = new Transaction({
    job: {
      pushFilter: undefined,
      pushMax: undefined,
      force: "trust",
      verify: "nar",
      failOn: [],
      onPushFailure: "warn",
      ...options.job,
    },
    lookup: new Lookup([{ cache, role: "own" }], signal),
    world: {
      clock,
      decompress,
      log: {
        group: () => undefined,
        endGroup: () => undefined,
        debug: () => undefined,
        info: (line) => {
          const name = /^pushed \S{32}-(\S+)/.exec(line)?.[1];
          if (name) pushed.push(name);
        },
      },
    },
    nix: { ...store, nar: options.nar ?? store.nar },
    signal,
    visible: { path: 1_500, pin: 1_500 },
  });
  const roots = { target: "target", paths: [root.info.storePath] };
  await transaction.push({ do: "push", cache, roots });
  await transaction.verify({ do: "verify", cache, roots, onTrouble: "mend" });
  const keep = { kind: "revisions", revisions: 3 } as const;
  const pin = { name: "release", storePath: root.info.storePath, keep };
  await transaction.pin({ do: "pin", cache, pin, target: "target" });
  const verified = transaction.verified.get("target");
  return {
    outcome: verified?.outcome,
    detail: verified?.detail,
    pin: transaction.pinned[0]?.state,
    findings: transaction.findings.map(({ message }) => message),
    pushed: pushed.sort(),
  };
}

/** How many requests there were to an endpoint. */
export function asked(server: CachixServer, endpoint: Endpoint, method?: string): number {
  return server.requests.filter(
    (request) => request.endpoint === endpoint && (method ?? request.method) === request.method,
  ).length;
}
