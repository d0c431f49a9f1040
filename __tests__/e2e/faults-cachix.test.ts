/** Owns the faults of Cachix, each in a whole run of the bundle on real Nix, and what is there afterwards. */

import { describe, expect, test } from "@jest/globals";
import { hashPart } from "../../src/domain/store-path.ts";
import type { CachixServer, FaultName, Faults } from "../servers/cachix.ts";
import { startCachixJob } from "./cachix-job.ts";
import { NIX } from "./job.ts";
import { slowly, someOf } from "./slow.ts";

const once = { when: "once" } as const;
const always = { when: "always" } as const;
const DAY = { retryAfter: "seconds", seconds: 1 } as const;

/** Every fault of the stand-in; the compiler holds the list complete. */
const CACHIX: Required<{ readonly [Name in FaultName]: Faults[Name] }> = {
  upstreamOnly: once,
  staleAlreadyThere: once,
  gcBeforePin: once,
  narGone: once,
  slowNarInfo: once,
  rootHidden: once,
  rateLimited: { ...once, ...DAY },
  badGateway: once,
  errorAfterCommit: once,
  dropMidPart: once,
  dropConnection: once,
  expiredPartUrl: once,
  missingETag: once,
  truncatedNar: { ...once, how: "cut" },
  flippedNar: once,
  wrongFileHash: once,
  wrongNarHash: once,
  wrongSig: once,
  wrongKeyName: once,
  noContent: once,
  refused: { ...once, status: 403, matching: ({ endpoint }) => endpoint === "create-upload" },
  slowPin: once,
  pinRefused: once,
  // The first question's deadline is 15 s.
  hang: { ...once, matching: ({ endpoint }) => endpoint === "narinfo" },
  delay: { ...once, milliseconds: 300 },
  slowComplete: { ...once, until: new Promise<void>((done) => setTimeout(done, 300)) },
};

/** Whatever is pinned is ours, whole, and has its NAR. */
function expectPinsWhole(server: CachixServer): void {
  const { own, nars, pins } = server.state;
  for (const { name, revisions } of pins.byName.values()) {
    for (const { storePath } of revisions) {
      const narInfo = own.get(hashPart(storePath));
      expect([name, narInfo?.storePath]).toEqual([name, storePath]);
      expect([name, server.state.isClosureWhole(hashPart(storePath))]).toEqual([name, true]);
      expect([name, nars.has(narInfo?.url.slice("nar/".length) ?? "")]).toEqual([name, true]);
    }
  }
}

async function cachixFault(name: FaultName, fault: unknown): Promise<void> {
  await using job = await startCachixJob();
  const { server } = job;
  Object.assign(server.faults, { [name]: fault });
  const inputs = { mode: "warm", targets: "nixpkgs#bws pin=bws", verify: "full" };
  const { report, exitCode } = await job.step(inputs);
  expect(exitCode).toBe(0);
  expectPinsWhole(server);
  // An honest report: what it says is verified or pinned, is.
  const isThere = server.state.pins.byName.has("bws");
  // One that was set and never showed is called failed: then the server knows more than we could see.
  for (const { state } of report.pinned) expect(state === "failed" || isThere).toBe(true);
  const wasPinned = report.pinned.length > 0;
  const toldSo = report.findings.filter(({ level }) => level !== "notice").length > 0;
  const upstreamOnly = report.verified.some(({ outcome }) => outcome === "upstream only");
  expect([name, wasPinned || toldSo || upstreamOnly]).toEqual([name, true]);
  // It struck, or this shows nothing.
  expect([name, server.fired(name) > 0]).toEqual([name, !NEVER_IN_THIS_RUN.has(name)]);
  server.faults[name] = undefined;
  if (upstreamOnly) return;
  const again = await job.step({ ...inputs, force: "true" });
  expect([name, again.exitCode]).toEqual([name, 0]);
  expect([name, again.report.verified.map(({ outcome }) => outcome)]).toEqual([name, ["verified"]]);
  expect([name, again.report.pinned.map(({ state }) => state)]).toEqual([name, ["confirmed"]]);
  expectPinsWhole(server);
}

/** What a run that does everything right gives no occasion to. */
const NEVER_IN_THIS_RUN: ReadonlySet<FaultName> = new Set(["rootHidden"]);

describe(`each fault of Cachix, on ${NIX}`, () => {
  const names = Object.keys(CACHIX) as FaultName[];

  // One of each shape: the answer is cut, wrong, late, or not what was kept.
  const some = someOf(names, [
    "dropConnection",
    "missingETag",
    "flippedNar",
    "expiredPartUrl",
    "errorAfterCommit",
    "gcBeforePin",
  ]);
  test.each(some)(
    "%s, once: nothing is pinned that cannot be fetched, and the next run is good",
    (name) => cachixFault(name, CACHIX[name]),
  );

  for (const name of names) {
    // With it nothing is ours to pin, however long it lasts.
    if (name === "upstreamOnly") continue;
    slowly(`${name}, without end: the run ends, and is honest`, () =>
      cachixFault(name, { ...CACHIX[name], ...always }),
    );
  }
});
