/** Owns the contract's other half: what every cache must make of each fault there is. */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { BinaryCache } from "../../src/domain/cache.ts";
import { UserError } from "../../src/domain/errors.ts";
import { verify } from "../../src/engine/apply/verify.ts";
import { Lookup } from "../../src/engine/survey/lookup.ts";
import { clock } from "../../src/host/clock.ts";
import { decompress } from "../../src/host/compress.ts";
import type { Wire } from "../servers/http.ts";
import {
  type CacheFault,
  FAULT_KINDS,
  type FaultKind,
  NOWHERE,
  type Nowhere,
  SPOILT,
  type Spoilt,
} from "./fault-table.ts";
import { type MadeUp, madeUp } from "./made-up.ts";

/** What caches are reached over: every fault is tried on both. */
export const WIRES: readonly Wire[] = ["HTTP/1.1", "HTTP/2 over TLS"];

export interface FaultSubject extends AsyncDisposable {
  /** A client of the cache behind this fault; `PATH` was pushed to it before. */
  behind(fault: Spoilt | "none"): Promise<BinaryCache>;
  nowhere(where: Nowhere): Promise<BinaryCache>;
  /** What the cache is when it does not say what it is for. */
  readonly withoutInfo: "an error" | "not written yet" | "known from elsewhere";
  /** Whether requests are good for some minutes only. */
  readonly clockMatters?: "yes";
}

export interface FaultSuite {
  readonly kind: keyof typeof FAULT_KINDS;
  start(wire: Wire): Promise<FaultSubject>;
  /** What its servers speak; default: nothing that a test could choose. */
  readonly wires?: readonly Wire[];
}

/** Large enough for a NAR to be cut and flipped in the middle, compressed or not. */
export const PATH: MadeUp = madeUp("faulty", [], {
  bytes: 50_000,
  random: (bytes) => {
    for (const at of bytes.keys()) bytes[at] = (at * at * 31 + (at >> 3)) % 251;
  },
});

const signal = new AbortController().signal;

export function faultContract(name: string, suite: FaultSuite): void {
  const { wires = ["HTTP/1.1"] } = suite;
  for (const wire of wires) suiteOver(wires.length > 1 ? `${name} (${wire})` : name, wire, suite);
}

function suiteOver(name: string, wire: Wire, { start, kind }: FaultSuite): void {
  // All others are tried.
  const { cannotBe }: FaultKind = FAULT_KINDS[kind];
  const possible = <Fault extends CacheFault>(faults: readonly Fault[]) =>
    faults.filter((fault) => cannotBe[fault] === undefined);
  describe(`${name} behind a fault`, () => {
    let subject: FaultSubject;
    beforeAll(async () => {
      subject = await start(wire);
    });
    afterAll(async () => {
      await subject[Symbol.asyncDispose]();
    });

    for (const where of possible(NOWHERE)) {
      test(`${where}: it is left out, and nothing counts as missing`, async () => {
        const cache = await subject.nowhere(where);
        const error = await cache.describe(signal).catch((thrown: unknown) => thrown);
        if (!(error instanceof UserError)) throw error;
        expect(error.code).toMatch(/^NCP-(302|331|333|501)$/);
        expect((await ask(cache)).kind).toBe("unknown");
      });
    }

    for (const fault of possible(SPOILT)) {
      test(fault, async () => {
        expect((await ask(await subject.behind("none"))).kind).toBe("hit");
        await EXPECTED[fault](await subject.behind(fault), subject);
      });
    }
  });
}

type Expectation = (cache: BinaryCache, subject: FaultSubject) => Promise<void>;

const refusal: Expectation = async (cache) => {
  const presence = await ask(cache);
  if (presence.kind !== "unknown") throw new Error(`a refusal looks like a ${presence.kind}`);
  expect((presence.cause as UserError).code).toBe("NCP-303");
  expect((presence.cause as UserError).hint).toMatch(/./);
};

/** Nobody is served it, and no run calls it verified. */
const notVerified =
  (outcomes: readonly string[]): Expectation =>
  async (cache) => {
    expect(outcomes).toContain(await verified(cache));
  };

const EXPECTED: Readonly<Record<Spoilt, Expectation>> = {
  "401": refusal,
  "403": refusal,
  "404 for nix-cache-info": async (cache, { withoutInfo }) => {
    const info = await cache.describe(signal).catch((thrown: unknown) => thrown);
    if (withoutInfo === "an error") expect((info as UserError).code).toBe("NCP-304");
    else if (withoutInfo === "not written yet") expect(info).toMatchObject({ storeDir: undefined });
    else expect((await ask(cache)).kind).toBe("hit");
  },
  "HTML instead of narinfo": async (cache) => {
    expect(["refused", "unknown"]).toContain((await ask(cache)).kind);
    expect(["rejected", "unknown"]).toContain(await verified(cache));
  },
  "truncated NAR": notVerified(["mismatch", "unknown"]),
  "wrong hash": notVerified(["mismatch"]),
  "wrong key name": async (cache) => {
    const presence = await ask(cache);
    if (presence.kind !== "refused") throw new Error(`a stranger's is a ${presence.kind}`);
    expect(presence.why).toMatch(/which Nix does not trust here/);
    expect(await verified(cache)).toBe("rejected");
  },
  "clock far off": async (cache, { clockMatters }) => {
    const presence = await ask(cache);
    if (clockMatters !== "yes") {
      expect(presence.kind).toBe("hit");
      expect(await verified(cache)).toBe("verified");
      return;
    }
    if (presence.kind !== "unknown") throw new Error(`a clock looks like a ${presence.kind}`);
    expect((presence.cause as UserError).code).toBe("NCP-332");
  },
  // Nix may well be able to: nothing is said of the bytes.
  "unknown compression": async (cache) => {
    expect((await ask(cache)).kind).toBe("hit");
    expect(await verified(cache)).toBe("unknown");
  },
  // Heard before anything is built, and of a cache that can be read all the same.
  "no right to write": async (cache) => {
    const { trouble = await cache.mayPush?.(signal) } = await cache.describe(signal);
    expect(trouble?.code).toBe("NCP-303");
    expect(trouble?.hint).toMatch(/./);
    expect((await ask(cache)).kind).toBe("hit");
  },
};

function ask(cache: BinaryCache) {
  return cache.query(PATH.info.storePath, signal);
}

/** What a run would say of it at the level `full`. */
async function verified(cache: BinaryCache): Promise<string> {
  const lookup = new Lookup([{ cache, role: "own" }], signal);
  const { storePath } = PATH.info;
  const { outcome } = await verify(
    { cache, lookup, clock, decompress, good: new Set() },
    {
      roots: [storePath],
      closure: new Map([[storePath, PATH.info]]),
      level: "full",
      pushed: new Set(),
      deadline: 0,
    },
    signal,
  );
  return outcome;
}
