/** Owns the faults of GitHub's cache: the job goes on without it, says so, and the next one is good. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { MAIN, type Method, startGithubCache } from "../servers/github-cache.ts";
import { json, type Outcome, text } from "../servers/http.ts";
import { PUSH } from "../support/events.ts";
import { NIX, startJob, told } from "./job.ts";
import { ONE, slowly } from "./slow.ts";

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
    expect([...told(bad.main), ...told(bad.post)].join("\n")).toMatch(
      /github: .*was (not saved|restored)/,
    );
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

  for (const [method, name] of rows) {
    slowly(`${method}: ${name}`, () => fault(method, GITHUB[name] ?? "drop"));
  }
});
