/** Owns the faults of caches, each in a whole run of the bundle on real Nix, and what is there afterwards. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { hashPart } from "../../src/domain/store-path.ts";
import type { CachixServer, FaultName, Faults } from "../servers/cachix.ts";
import { generateSecretKey } from "../servers/cachix-state.ts";
import { MAIN, type Method, startGithubCache } from "../servers/github-cache.ts";
import { json, type Outcome, text } from "../servers/http.ts";
import { type PutServer, putServer } from "../servers/put.ts";
import { PUSH } from "../support/events.ts";
import { startCachixJob, TOKEN } from "./cachix-job.ts";
import { NIX, startJob, type TestJob } from "./job.ts";

// biome-ignore lint/style/noProcessEnv: `npm run test:slow` asks for all of them
const SLOW = process.env["SLOW"] === "1";
/** A fault that lasts is tried again for up to 90 s: those wait for the slow suite. */
const slowly = SLOW ? test : test.skip;
const LONG = 600_000;

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
  for (const { state } of report.pinned)
    expect([state !== "failed", isThere]).toEqual([isThere, isThere]);
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
const NEVER_IN_THIS_RUN: ReadonlySet<FaultName> = new Set(["rootHidden", "staleAlreadyThere"]);

describe(`each fault of Cachix, on ${NIX}`, () => {
  const names = Object.keys(CACHIX) as FaultName[];

  test.each(names)(
    "%s, once: nothing is pinned that cannot be fetched, and the next run is good",
    (name) => cachixFault(name, CACHIX[name]),
  );

  describe("without end", () => {
    slowly.each(names)(
      "%s: the run ends, and is honest",
      async (name) => {
        if (name !== "upstreamOnly") await cachixFault(name, { ...CACHIX[name], ...always });
      },
      LONG,
    );
  });
});

/** What a server, a proxy or a network does in place of an answer. */
const HTTP: Readonly<Record<string, Outcome>> = {
  "401": text(401, "who are you"),
  "403": text(403, "no"),
  "404": text(404, "gone"),
  "410": text(410, "gone for good"),
  "413": text(413, "too large"),
  "429": { status: 429, headers: { "retry-after": "1" } },
  "500": text(500, "oops"),
  "502 with a page": text(502, "<html>Bad Gateway</html>", "text/html"),
  "503": text(503, "later"),
  "200 with a login page": text(200, "<html>please log in</html>", "text/html"),
  "200 and empty": text(200, ""),
  "200, cut": { status: 200, body: "StorePath: /nix/store/x", cutAfter: 5 },
  "a redirect to nowhere": { status: 302, headers: { location: "http://127.0.0.1:9/x" } },
  "a redirect without end": { status: 302, headers: { location: "" } },
  "204": { status: 204 },
  "a dropped connection": "drop",
};

type Place = readonly [name: string, method: string, path: RegExp];
const PLACES: readonly Place[] = [
  ["nix-cache-info", "GET", /^\/nix-cache-info$/],
  ["a narinfo", "GET", /\.narinfo$/],
  ["the size of a NAR", "HEAD", /^\/nar\//],
  ["a NAR", "GET", /^\/nar\//],
  ["the upload of a NAR", "PUT", /^\/nar\//],
  ["the upload of a narinfo", "PUT", /\.narinfo$/],
];

const OURS = generateSecretKey("ours-1");

async function httpSite(job: TestJob): Promise<PutServer> {
  const server = await putServer();
  server.files.set("/nix-cache-info", Buffer.from(`StoreDir: ${job.machine.storeDir}\n`));
  return server;
}

/** No narinfo without its NAR, in all its bytes. */
function expectNoHalf(server: PutServer): void {
  for (const [path, body] of server.files) {
    if (!path.endsWith(".narinfo")) continue;
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(body.toString())?.[1];
    expect([path, server.files.get(`/${field("URL")}`)?.length]).toEqual([
      path,
      Number(field("FileSize")),
    ]);
  }
}

async function warm(job: TestJob, server: PutServer) {
  return job.main({
    mode: "warm",
    targets: "path:.#one",
    cache: server.origin,
    token: TOKEN,
    "signing-key": OURS,
    verify: "full",
  });
}

const ONE = `{ outputs = { self }: { packages.x86_64-linux = rec {
  zero = derivation { name = "zero"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo zero > $out" ]; };
  one = derivation { name = "one"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo \${zero} > $out" ]; };
}; }; }`;

async function httpFault(outcome: Outcome, [, method, path]: Place, times: number): Promise<void> {
  await using job = await startJob(undefined);
  await writeFile(join(job.workspace, "flake.nix"), ONE);
  await using server = await httpSite(job);
  let left = times;
  let struck = 0;
  server.spoil = (asked, where) => {
    if (left <= 0 || asked !== method || !path.test(where)) return undefined;
    left--;
    struck++;
    return outcome;
  };
  const run = await warm(job, server);
  expect(struck).toBeGreaterThan(0);
  expect(run.exitCode).toBe(0);
  expectNoHalf(server);
  const report = run.report();
  const isVerified = report.verified.some(({ outcome: how }) => how === "verified");
  const narinfos = [...server.files.keys()].filter((name) => name.endsWith(".narinfo"));
  if (isVerified) expect(narinfos).toHaveLength(2);
  else expect(report.findings.filter(({ level }) => level !== "notice")).not.toEqual([]);
  server.spoil = undefined;
  const again = await warm(job, server);
  expect(again.exitCode).toBe(0);
  expect(again.report().verified).toMatchObject([{ outcome: "verified" }]);
  expectNoHalf(server);
}

/** Asks for 120 s whether it is there after all. */
const LIES = new Set(["204", "200 with a login page", "200 and empty"]);
const EVERYWHERE = new Set(["500", "a dropped connection"]);

describe.each(PLACES)(`%s of a cache over HTTP, on ${NIX}`, (...place) => {
  const [name, method] = place;
  const names = Object.keys(HTTP);
  const isQuick = (fault: string) => name === "a narinfo" || EVERYWHERE.has(fault);
  const fault = (which: string, times: number) => httpFault(HTTP[which] ?? "drop", place, times);

  test.each(names.filter(isQuick))("%s, once", (which) => fault(which, 1));

  slowly.each(names.filter((which) => !isQuick(which)))(
    "%s, once: like all others",
    (which) => fault(which, 1),
    LONG,
  );

  // What takes an upload and keeps nothing of it lies as well the first time as ever after.
  slowly.each(names.filter((which) => method !== "PUT" || !LIES.has(which)))(
    "%s, without end",
    (which) => fault(which, Number.POSITIVE_INFINITY),
    LONG,
  );
});

const GITHUB: Readonly<Record<string, Outcome>> = {
  "500": text(500, "oops"),
  "401": json(401, { code: "unauthenticated", msg: "no" }),
  "404": json(404, { code: "not_found", msg: "no such service" }),
  "429": { status: 429, headers: { "retry-after": "1" }, body: "{}" },
  "200 with a page": text(200, "<html></html>", "text/html"),
  "a dropped connection": "drop",
  "no answer": "hang",
};
const METHODS: readonly (Method | "blob")[] = [
  "GetCacheEntryDownloadURL",
  "CreateCacheEntry",
  "FinalizeCacheEntryUpload",
  "blob",
];

describe(`GitHub's cache, gone, on ${NIX}`, () => {
  const rows = METHODS.flatMap((method) =>
    Object.keys(GITHUB).map((name) => [method, name] as const),
  );
  const fault = async (method: Method | "blob", outcome: Outcome) => {
    await using job = await startJob(undefined);
    await using server = await startGithubCache();
    await writeFile(join(job.workspace, "flake.nix"), ONE);
    const inputs = { cache: "", mode: "warm", targets: "path:.#one" };
    const round = async (number: number) => {
      const temp = join(job.machine.root, `runner-${number}`);
      const environment = {
        ...job.machine.environment,
        ...server.variables(MAIN),
        GITHUB_RUN_ID: String(number),
      };
      const how = { event: PUSH.event, temp, environment };
      const main = await job.main(inputs, how);
      const post = await job.post(inputs, { ...how, state: main.state });
      return { main, post };
    };
    server.fail(method, outcome);
    const bad = await round(1);
    // The job goes on without it, and says so.
    expect([bad.main.exitCode, bad.post.exitCode]).toEqual([0, 0]);
    const notices = [...bad.main.annotations, ...bad.post.annotations].map(
      ({ message }) => message,
    );
    expect(notices.join("\n")).toMatch(/github: .*was (not saved|restored)/);
    for (const { size } of server.entries)
      if (method !== "FinalizeCacheEntryUpload") expect(size).not.toBe(0);
    server.fail(method, undefined);
    await job.machine.forget();
    const good = await round(2);
    expect([good.main.exitCode, good.post.exitCode]).toEqual([0, 0]);
    expect(server.keys().length).toBeGreaterThan(0);
  };

  test("the whole service, dropped: the job goes on, and says so", () =>
    fault("CreateCacheEntry", "drop"));

  slowly.each(rows)("%s: %s", (method, name) => fault(method, GITHUB[name] ?? "drop"), LONG);
});
