/** Owns the faults of a cache over HTTP, each in a whole run of the bundle, and what is there afterwards. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { generateSecretKey } from "../servers/cachix-state.ts";
import { type Outcome, text } from "../servers/http.ts";
import { type PutServer, putServer } from "../servers/put.ts";
import { TOKEN } from "./cachix-job.ts";
import { NIX, startJob, type TestJob } from "./job.ts";
import { ONE, slowly } from "./slow.ts";

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
  // Its size is asked for in the same way: with its first byte.
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

async function httpFault(which: string, place: Place, times: number): Promise<void> {
  const outcome = HTTP[which] ?? "drop";
  const [, method, path] = place;
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
  // Nix itself builds nothing while one of its caches answers with what is no narinfo: told, in its words.
  const isNoNarinfo = place[0] === "a narinfo" && times > 1 && LIES.has(which);
  if (isNoNarinfo && run.exitCode === 1) {
    expect(run.annotations.filter(({ level }) => level === "error")).not.toEqual([]);
    expect(run.raw).not.toContain("A fault of nix-cache-preflight");
  } else expect(run.exitCode).toBe(0);
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

const OF_A_NARINFO = new Set(["403", "429", "200 with a login page", "200, cut"]);

describe.each(PLACES)(`%s of a cache over HTTP, on ${NIX}`, (...place) => {
  const [name, method] = place;
  const names = Object.keys(HTTP);
  // Of a narinfo one of each shape; how each answer is read stands in __tests__/caches.
  const isQuick = (fault: string) =>
    EVERYWHERE.has(fault) || (name === "a narinfo" && OF_A_NARINFO.has(fault));
  const fault = (which: string, times: number) => httpFault(which, place, times);

  test.each(names.filter(isQuick))("%s, once", (which) => fault(which, 1));

  for (const which of names) {
    if (!isQuick(which)) slowly(`${which}, once, like all others`, () => fault(which, 1));
    // What takes an upload and keeps nothing of it lies as well the first time as ever after.
    if (method !== "PUT" || !LIES.has(which)) {
      slowly(`${which}, without end`, () => fault(which, Number.POSITIVE_INFINITY));
    }
  }
});
