/** Owns the proof that our client does right by every fault the Cachix stand-in can show. */

import { describe, expect, test } from "@jest/globals";
import { hashPart } from "../../src/domain/store-path.ts";
import { type CachixServer, type FaultName, type Faults, startCachix } from "../servers/cachix.ts";
import type { CachixOptions } from "../servers/cachix-context.ts";
import { Client, TOKEN } from "./cachix-client.ts";
import { asked, type Told, type TransactOptions, transact } from "./cachix-transaction.ts";
import { type MadeUp, madeUp } from "./made-up.ts";

const dependency = madeUp("dependency");
const subject = madeUp("subject", [dependency]);
const closure = [dependency, subject];
const hash = hashPart(subject.info.storePath);
const all = ["dependency", "subject"];

const once = { when: "once" } as const;
const always = { when: "always" } as const;
const ofSubject = { matching: (target: { hash?: string | undefined }) => target.hash === hash };
const at = (endpoint: string, method = "POST") => ({
  matching: (target: { endpoint: string; method: string }) =>
    target.endpoint === endpoint && target.method === method,
});

interface Row {
  readonly title: string;
  readonly faults: Faults;
  readonly server?: CachixOptions;
  readonly paths?: readonly MadeUp[];
  readonly options?: TransactOptions;
  readonly comesTo: Partial<Told>;
  /** What else has to hold of the server afterwards. */
  readonly and?: (server: CachixServer, told: Told) => void;
}

const good: Partial<Told> = {
  outcome: "verified",
  pin: "confirmed",
  findings: [],
  pushed: all,
};
const once1 = (server: CachixServer) => {
  expect(server.state.pins.byName.get("release")?.revisions).toHaveLength(1);
};
/** Reported under its name, and not pinned. */
const unproven = (outcome: string, why: RegExp): Partial<Told> => ({
  outcome,
  pin: undefined,
  detail: expect.stringMatching(why) as unknown as string,
  findings: [expect.stringContaining(`not verified in cachix:mycache: ${outcome}`)] as never,
});
/** The push failed: neither verified nor pinned. */
const failed = (...why: RegExp[]): Partial<Told> => ({
  outcome: undefined,
  pin: undefined,
  findings: why.map((one) => expect.stringMatching(one)) as never,
});

const table: Readonly<
  Record<Exclude<FaultName, "hang" | "delay" | "rootHidden" | "slowComplete">, readonly Row[]>
> = {
  upstreamOnly: [
    {
      title: "an upload that ends up with the upstream is upstream only: told, and nothing fails",
      faults: { upstreamOnly: { ...once, ...ofSubject } },
      comesTo: {
        outcome: "upstream only",
        detail: expect.stringContaining("upstream.example.org-1") as unknown as string,
        pin: undefined,
        findings: [],
      },
      and: (server) => expect(asked(server, "pin", "POST")).toBe(0),
    },
  ],
  staleAlreadyThere: [
    {
      title: "bulk's 'already there' is believed of nothing that is not served",
      faults: { staleAlreadyThere: always },
      paths: ((leaves) => [...leaves, madeUp("many", leaves)])(
        Array.from({ length: 40 }, (_, n) => madeUp(`leaf-${n}`)),
      ),
      comesTo: { outcome: "verified", pin: "confirmed", findings: [] },
      and: (_, { pushed }) => expect(pushed).toHaveLength(41),
    },
  ],
  gcBeforePin: [
    {
      title: "what was collected between the proof and the pin is pushed and proven again",
      faults: { gcBeforePin: once },
      comesTo: { ...good, pushed: [...all, ...all].sort() },
    },
  ],
  narGone: [
    {
      title: "a NAR that is gone is pushed again, once, and then told",
      faults: { narGone: { ...always, ...ofSubject } },
      comesTo: { ...unproven("gone", /its NAR is not there/), pushed: [...all, "subject"] },
    },
    {
      title: "a NAR that is there the second time is verified",
      faults: { narGone: { ...once, ...ofSubject } },
      comesTo: { ...good, pushed: [...all, "subject"] },
    },
  ],
  slowNarInfo: [
    {
      title: "a narinfo that comes late is waited for",
      faults: { slowNarInfo: { when: { times: 2 } } },
      comesTo: good,
    },
    {
      title: "one that does not come is pushed again, once, and then told",
      faults: { slowNarInfo: { ...always, ...ofSubject } },
      comesTo: {
        ...unproven("not yet visible", /uploaded and is not served/),
        pushed: [...all, "subject"],
      },
    },
  ],
  rateLimited: (["seconds", "date", "json"] as const).map((retryAfter) => ({
    title: `429 with its time as ${retryAfter} is waited out`,
    faults: { rateLimited: { ...once, retryAfter, seconds: 1, ...at("complete") } },
    comesTo: good,
  })),
  badGateway: [
    ...["create-upload", "sign-part", "complete", "pin"].map((endpoint) => ({
      title: `502 of ${endpoint} is tried again`,
      faults: { badGateway: { when: { times: 3 }, ...at(endpoint) } },
      comesTo: good,
    })),
    {
      title: "502 of storage, narinfos and NARs is tried again",
      faults: {
        badGateway: {
          when: { times: 9 },
          matching: ({ method }) => method === "GET" || method === "PUT",
        },
      },
      comesTo: good,
    },
    {
      title: "a pin that was accepted, and a list that cannot be had: set, and not confirmed",
      faults: { badGateway: { ...always, ...at("pin-list", "GET") } },
      comesTo: { ...good, pin: "set" },
    },
    {
      title: "502 without end ends, and says for how long it was tried",
      faults: { badGateway: { ...always, ...at("complete") } },
      comesTo: failed(
        /answers 502 \(an HTML page\), tried again for at most 1 s; 1 path .* is not pushed either$/,
      ),
      and: (server) => expect(server.uploads("aborted")).toHaveLength(2),
    },
  ],
  errorAfterCommit: [
    {
      title: "500 behind a completion that was done is no failure",
      faults: { errorAfterCommit: { when: { times: 2 }, ...at("complete") } },
      comesTo: good,
      and: (server) => expect(server.uploads("completed")).toHaveLength(2),
    },
    {
      title: "500 behind a pin that was set adds no second revision",
      faults: { errorAfterCommit: { ...once, ...at("pin") } },
      comesTo: good,
      and: once1,
    },
    {
      title: "500 behind every kind of write",
      faults: { errorAfterCommit: { when: { times: 6 } } },
      comesTo: good,
      and: once1,
    },
  ],
  dropMidPart: [
    {
      title: "a part whose connection drops is sent again",
      faults: { dropMidPart: { when: { times: 3 } } },
      comesTo: good,
    },
  ],
  dropConnection: [
    {
      title: "connections that drop are tried again",
      faults: { dropConnection: { when: { times: 8 } } },
      comesTo: good,
    },
    {
      title: "connections that always drop end, with the bound in the error",
      faults: { dropConnection: { ...always, ...at("complete") } },
      comesTo: failed(/tried \d+ times, for at most 1 s.*; 1 path .* is not pushed either$/),
    },
  ],
  expiredPartUrl: [
    {
      title: "an expired part URL is signed anew",
      faults: { expiredPartUrl: { when: { times: 2 } } },
      comesTo: good,
      and: (server) => expect(asked(server, "sign-part")).toBe(4),
    },
    {
      title: "403 of the storage is not asked about for ever",
      faults: { expiredPartUrl: always },
      comesTo: failed(/PUT of part 1 answers 403/),
      and: (server) => expect(asked(server, "put-part")).toBe(6),
    },
  ],
  missingETag: [
    {
      title: "without an ETag the completion names no parts",
      faults: { missingETag: { when: { times: 2 } } },
      comesTo: good,
    },
  ],
  truncatedNar: [
    {
      title: "a NAR that is shorter than it says is a mismatch",
      faults: { truncatedNar: { ...always, ...ofSubject, how: "short" } },
      options: { job: { verify: "full" } },
      comesTo: unproven("mismatch", /its NAR/),
    },
    {
      title: "a NAR whose connection breaks off is read again",
      faults: { truncatedNar: { ...once, ...ofSubject, how: "cut" } },
      options: { job: { verify: "full" } },
      comesTo: good,
    },
    {
      title: "one that always breaks off is unknown, not wrong",
      faults: { truncatedNar: { ...always, ...ofSubject, how: "cut" } },
      options: { job: { verify: "full" } },
      comesTo: unproven("unknown", /nar/),
    },
  ],
  flippedNar: [
    {
      title: "a flipped bit is a mismatch",
      faults: { flippedNar: { ...always, ...ofSubject } },
      options: { job: { verify: "full" } },
      comesTo: unproven("mismatch", /its NAR/),
    },
  ],
  wrongFileHash: [
    {
      title: "a file that is not what FileHash names is a mismatch",
      faults: { wrongFileHash: { ...always, ...ofSubject } },
      options: { job: { verify: "full" } },
      comesTo: unproven("mismatch", /FileHash/),
    },
  ],
  wrongNarHash: [
    {
      title: "another NarHash, well signed, is a mismatch",
      faults: { wrongNarHash: { ...always, ...ofSubject } },
      comesTo: unproven("mismatch", /NarHash is sha256:/),
    },
  ],
  wrongSig: [
    {
      title: "a signature that is not good is rejected",
      faults: { wrongSig: { ...always, ...ofSubject } },
      comesTo: unproven("rejected", /wrong signature by mycache\.cachix\.org-1/),
    },
  ],
  wrongKeyName: [
    {
      title: "a stranger's signature is rejected",
      faults: { wrongKeyName: { ...always, ...ofSubject } },
      comesTo: unproven("rejected", /stranger\.example-1, which Nix does not trust/),
    },
  ],
  noContent: [
    ...(["put-part PUT", "complete POST", "pin POST"] as const).map((request) => ({
      title: `204 of ${request} says that it was done`,
      faults: { noContent: { ...always, ...at(...(request.split(" ") as [string, string])) } },
      comesTo: good,
    })),
    {
      title: "204 where an answer is needed is told as what it is",
      faults: { noContent: { ...always, ...at("create-upload") } },
      comesTo: failed(/POST \/multipart-nar answers 204 with something else/),
    },
  ],
  refused: ([401, 403, 404] as const).map((status) => ({
    title: `${status} is never tried again`,
    faults: { refused: { ...always, status, ...at("complete") } },
    // A token that is refused ends whatever else is under way, with the same words.
    ...(status === 404 ? {} : { paths: [dependency] }),
    comesTo:
      status === 404
        ? failed(/answers 404.*; 1 path .* is not pushed either$/)
        : failed(/the token is refused \(HTTP 40/),
    and: (server) => expect(asked(server, "complete")).toBe(1),
  })),
  slowPin: [
    {
      title: "a pin that shows late is waited for",
      faults: { slowPin: { when: { times: 2 } } },
      comesTo: good,
      and: once1,
    },
    {
      title: "a pin that never shows is told",
      faults: { slowPin: always },
      comesTo: {
        outcome: "verified",
        pin: "failed",
        findings: [expect.stringMatching(/pin release was not set: asked for 1\.5 s/)] as never,
      },
    },
  ],
  pinRefused: [
    {
      title: "400 of a pin is told in the server's words, and not tried again",
      faults: { pinRefused: always },
      comesTo: {
        outcome: "verified",
        pin: "failed",
        findings: [expect.stringMatching(/subject not in binary cache/)] as never,
      },
      and: (server) => expect(asked(server, "pin", "POST")).toBe(1),
    },
  ],
};

describe("each fault, and what our client makes of it", () => {
  const rows = Object.entries(table).flatMap(([fault, list]) =>
    list.map((row) => [fault as FaultName, row.title, row] as const),
  );
  test.each(rows)("%s: %s", async (fault, _title, row) => {
    await using server = await startCachix({ tokens: { [TOKEN]: "Write" }, ...row.server });
    Object.assign(server.faults, row.faults);
    const told = await transact(server, row.paths ?? closure, row.options);
    expect(server.fired(fault)).toBeGreaterThan(0);
    expect(told).toMatchObject(row.comesTo);
    row.and?.(server, told);
    // Whatever happened: with the fault gone, the next run brings it to its end.
    for (const name of Object.keys(row.faults) as FaultName[]) delete server.faults[name];
    const isUpstream = fault === "upstreamOnly";
    const next = await transact(server, row.paths ?? closure);
    expect(next).toMatchObject(
      isUpstream
        ? { outcome: "upstream only", findings: [] }
        : { outcome: "verified", pin: "confirmed", findings: [] },
    );
  });

  test("rootHidden: nobody ever sees a root whose closure is not there", async () => {
    await using server = await startCachix({ tokens: { [TOKEN]: "Write" } });
    server.faults.rootHidden = always;
    using client = new Client(server, { token: undefined });
    const end = new AbortController();
    const looking = (async () => {
      while (!end.signal.aborted) await client.cache.query(subject.info.storePath, end.signal);
    })().catch(() => undefined);
    const told = await transact(server, closure, {
      nar: async function* (path) {
        if (path === dependency.info.storePath) await new Promise((done) => setTimeout(done, 150));
        yield path === dependency.info.storePath ? dependency.nar : subject.nar;
      },
    });
    end.abort();
    await looking;
    expect(told).toMatchObject(good);
    expect(server.fired("rootHidden")).toBe(0);
  });

  test("hang: a run that is interrupted takes its uploads back", async () => {
    await using server = await startCachix({ tokens: { [TOKEN]: "Write" } });
    server.faults.hang = { ...always, ...at("put-part", "PUT") };
    const controller = new AbortController();
    const running = transact(server, closure, { signal: controller.signal });
    while (server.fired("hang") < 2) await new Promise((done) => setTimeout(done, 5));
    controller.abort(new Error("interrupted by SIGTERM"));
    await expect(running).rejects.toThrow("interrupted by SIGTERM");
    expect(server.uploads("aborted")).toHaveLength(2);
  });

  test("slowComplete: the others are uploaded meanwhile, and it is waited for", async () => {
    await using server = await startCachix({ tokens: { [TOKEN]: "Write" } });
    const all = Array.from({ length: 200 }, (_, n) => madeUp(`meanwhile-${n}`));
    const until = (async () => {
      while (server.requests.filter(({ status }) => status === 200).length < 3 * all.length) {
        await new Promise((done) => setTimeout(done, 5));
      }
    })();
    server.faults.slowComplete = { ...once, until };
    const told = await transact(server, [...all, madeUp("all-meanwhile", all)]);
    expect(told).toMatchObject({ outcome: "verified", findings: [] });
    expect(server.fired("slowComplete")).toBe(1);
  });

  test("delay: uploads go side by side", async () => {
    await using server = await startCachix({ tokens: { [TOKEN]: "Write" } });
    server.faults.delay = { ...always, milliseconds: 20 };
    const leaves = Array.from({ length: 60 }, (_, n) => madeUp(`side-by-side-${n}`));
    const told = await transact(server, [...leaves, madeUp("all-of-them", leaves)]);
    expect(told).toMatchObject({ outcome: "verified", findings: [] });
    expect(server.peakConcurrency).toBeGreaterThan(30);
  });
});
