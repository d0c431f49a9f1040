/** Owns the differential suite: each kind of world, judged by real Nix and by us. */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { LoopbackServer } from "../servers/http.ts";
import { builders } from "./builders.ts";
import { cacheInfos } from "./cache-infos.ts";
import { type Comparison, compare, explain, type World } from "./difference.ts";
import { graphs } from "./graphs.ts";
import { installables } from "./installables.ts";
import { type Court, openCourt, serveFolder } from "./judges.ts";
import { narInfos } from "./narinfos.ts";
import { realisations } from "./realisations.ts";
import { serveByManner, servers } from "./servers.ts";
import { ALLOWED, settings } from "./settings.ts";
import { daemonWorlds } from "./untrusted-user.ts";

/** Milliseconds: ten thousand worlds take their time. */
const PATIENCE = 4 * 3_600_000;

let court: Court;
let elsewhere: LoopbackServer;
/** Lets in whoever knows a user and a password. */
let secret: LoopbackServer;
beforeAll(async () => {
  court = await openCourt();
  elsewhere = await serveFolder(court.folder);
  secret = await serveFolder(court.folder, ALLOWED);
}, PATIENCE);
afterAll(async () => {
  await secret[Symbol.asyncDispose]();
  await elsewhere[Symbol.asyncDispose]();
  await court[Symbol.asyncDispose]();
}, PATIENCE);

async function system(): Promise<string> {
  const args = ["--eval", "-E", "builtins.currentSystem"];
  return JSON.parse(await court.machine.nix("nix-instantiate", args));
}

/** Answers named in a run's figures; graphs have hundreds. */
const NAMED = 8;

async function agree<W extends World>(comparison: Comparison<W>): Promise<void> {
  const tally = await compare(comparison);
  const often = [...tally.answers].sort(([, a], [, b]) => b - a);
  const answers = often.slice(0, NAMED).map(([answer, n]) => `${n} ${answer.slice(0, 60)}`);
  if (often.length > NAMED) answers.push(`${often.length - NAMED} other answers`);
  const lines = [...tally.deviated].map(([{ why }, n]) => `  ${n} deviate: ${why}`);
  console.log(
    [
      `${comparison.name}: ${tally.worlds} worlds, ${tally.differences.length} differences (Nix: ${answers.join(", ")})`,
      ...lines,
    ].join("\n"),
  );
  if (tally.differences.length > 0) throw new Error(explain(tally));
  // A judge who always says the same proves nothing.
  if (tally.worlds > 1) expect(tally.answers.size).toBeGreaterThan(1);
}

describe("Nix and we decide alike", () => {
  test("of nix-cache-info", () => agree(cacheInfos(court)), PATIENCE);

  test("by settings", async () => agree(await settings(court, secret.origin)), PATIENCE);

  test("of what a daemon allows", async () => agree(await daemonWorlds(court)), PATIENCE);

  test("of graphs", () => agree(graphs(court)), PATIENCE);

  test("of who can build what", async () => agree(builders(court, await system())), PATIENCE);

  test("of installables", async () => agree(await installables(court, await system())), PATIENCE);

  test("of realisations", async () => agree(await realisations(court, await system())), PATIENCE);

  test(
    "of how servers answer",
    async () => {
      await using answering = await serveByManner(court);
      await agree(servers(court, answering.origin));
    },
    PATIENCE,
  );

  test("of narinfos", () => agree(narInfos(court, elsewhere.origin)), PATIENCE);
});
