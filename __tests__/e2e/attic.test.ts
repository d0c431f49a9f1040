/** Owns a job whose own cache is Attic or Celler: whole from the first question to an audit, and each way of not being let in. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { type AtticOptions, type AtticServer, atticServer } from "../servers/attic.ts";
import { NIX, startJob, type TestJob, told } from "./job.ts";

/** Larger than a chunk, and of bytes that do not compress: several frames. */
const FLAKE = `{ outputs = { self }: let
  mk = name: more: derivation ({ inherit name; system = "x86_64-linux"; builder = "/bin/sh"; } // more);
  dep = mk "dep-1.0" { args = [ "-c" "/usr/bin/head -c 900000 /dev/urandom > $out" ]; };
in { app = mk "app-1.0" { args = [ "-c" "echo \${dep} > $out" ]; }; }; }`;

interface Site extends AsyncDisposable {
  readonly job: TestJob;
  readonly server: AtticServer;
  readonly inputs: Readonly<Record<string, string>>;
}

async function site(options: AtticOptions = {}): Promise<Site> {
  await using stack = new AsyncDisposableStack();
  const job = stack.use(await startJob(undefined));
  await writeFile(join(job.workspace, "flake.nix"), FLAKE);
  const server = stack.use(await atticServer({ storeDir: job.machine.storeDir, ...options }));
  const cache = `attic:${server.origin}/${server.cache}/`;
  const all = stack.move();
  return {
    job,
    server,
    inputs: { mode: "warm", cache, targets: "path:.#app closure=build", verify: "full" },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

const puts = ({ server }: Site) => server.requests.filter((line) => line.startsWith("PUT"));

describe(`attic: as our own cache, on ${NIX}`, () => {
  test.each([
    ["attic", "public"],
    ["attic", "private"],
    ["celler", "public"],
  ] as const)(
    "%s, %s: pushed, verified to the last byte, fetched again and audited",
    async (kind, visibility) => {
      await using here = await site({ kind, visibility });
      const { job, server, inputs } = here;
      const token = server.token("*", ["r", "w"]);
      const warm = await job.main({ ...inputs, token });
      expect([warm.exitCode, warm.exitCode === 0 ? "" : warm.log]).toEqual([0, ""]);
      expect(warm.report().verified).toMatchObject([{ outcome: "verified" }]);
      expect(server.narInfos.size).toBe(2);
      expect(warm.raw.replaceAll(`::add-mask::${token}`, "")).not.toContain(token);
      await job.machine.forget();
      const again = await job.main({ ...inputs, token, mode: "prefetch" });
      expect([again.exitCode, again.outputs["hit"], again.building]).toEqual([0, "true", []]);
      expect(again.report().fetched.paths).toBeGreaterThan(0);
      const audit = await job.main({
        ...inputs,
        token,
        mode: "audit",
        "fail-on": "missing, unverified",
      });
      expect([audit.exitCode, audit.exitCode === 0 ? "" : audit.log]).toEqual([0, ""]);
    },
  );

  test.each([
    [
      "may only pull",
      (server: AtticServer) => server.token("*", ["r"]),
      /this token may not push there/,
    ],
    [
      "has expired",
      (server: AtticServer) => server.token("*", ["r", "w"], new Date(0)),
      /good until 1970-01-01T00:00:00.000Z, which is over/,
    ],
    ["is garbage", () => "not-a-token-of-anybodys", /refuses our token \(HTTP 401/],
  ] as const)(
    "a token that %s is told before a minute is spent, and ends the run where pushing must not fail",
    async (_, tokenOf, words) => {
      await using here = await site();
      const { job, server, inputs } = here;
      const token = tokenOf(server);
      const strict = await job.main({ ...inputs, token, "on-push-failure": "error" });
      expect([strict.exitCode, strict.building]).toEqual([1, []]);
      expect(told(strict).join("\n")).toMatch(words);
      const lenient = await job.main({ ...inputs, token });
      expect(told(lenient).join("\n")).toMatch(words);
      expect(lenient.exitCode).toBe(0);
      expect(puts(here)).toEqual([]);
    },
  );

  test("a server whose disk is full for a while is asked again, and told of", async () => {
    await using here = await site();
    const { job, server, inputs } = here;
    server.disk = "full";
    server.instead = (method) => {
      if (method === "PUT" && puts(here).length > 2) server.disk = "free";
      return undefined;
    };
    const step = await job.main({ ...inputs, token: server.token("*", ["r", "w"]) });
    expect([step.exitCode, step.exitCode === 0 ? "" : step.log]).toEqual([0, ""]);
    expect(step.report().verified).toMatchObject([{ outcome: "verified" }]);
    expect(told(step).join("\n")).toMatch(/requests had to be tried again \(2 × HTTP 500\)/);
  });
});
