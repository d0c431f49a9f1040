/** Owns the proof that a debugged run shows every request and command, that no other does, and no secret. */

import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { generateSecretKey } from "../servers/cachix-state.ts";
import { BWS, type CachixStep, startCachixJob, TOKEN } from "./cachix-job.ts";
import { NIX } from "./job.ts";

const REQUEST =
  /^::debug::(background push: )?(GET|HEAD|POST|PUT) https?:\/\/[^ ?@]+: \d{3}, HTTP\/[\d.]+, (new|kept) connection, \d+ ms$/;
const COMMAND = /^::debug::(background push: )?(nix|nix-store) .*: status \d+, \d+ ms$/;

function counted({ raw }: CachixStep) {
  const lines = raw.split("\n");
  return {
    requests: lines.filter((line) => REQUEST.test(line)),
    commands: lines.filter((line) => COMMAND.test(line)),
  };
}

describe(`in a job, ${NIX}`, () => {
  test("RUNNER_DEBUG=1 shows them in main, post and the background push, and no secret", async () => {
    const signingKey = generateSecretKey("mycache.cachix.org-1");
    await using job = await startCachixJob({ isPrivate: true, selfSignedBy: signingKey });
    const inputs = { mode: "warm", targets: BWS, "signing-key": signingKey };
    const environment = { RUNNER_DEBUG: "1" };
    const main = await job.step(inputs, { environment });
    const post = await job.step(inputs, { stage: "post", state: main.state, environment });
    expect(main.report.verified).toMatchObject([{ outcome: "verified" }]);

    const [inMain, inPost] = [counted(main), counted(post)];
    const asked = inMain.requests;
    for (const seen of [/GET .*\.narinfo: 200/, /POST .*: 200/, /PUT /]) {
      expect(asked.find((line) => seen.test(line))).toBeDefined();
    }
    expect(asked.some((line) => line.includes("new connection"))).toBe(true);
    expect(asked.some((line) => line.includes("kept connection"))).toBe(true);
    expect(inMain.commands.some((line) => /nix-store .*--realise .*: status 0/.test(line))).toBe(
      true,
    );
    expect(inPost.commands.length).toBeGreaterThan(0);
    expect(inPost.commands.some((line) => line.includes("background push: "))).toBe(true);

    const bare = signingKey.slice(signingKey.indexOf(":") + 1);
    for (const { raw, log } of [main, post]) {
      const lines = raw.split("\n").filter((line) => !line.startsWith("::add-mask::"));
      for (const secret of [TOKEN, signingKey, bare]) {
        expect(lines.filter((line) => line.includes(secret))).toEqual([]);
      }
      // Where nobody debugs, the runner shows none of them.
      expect(log).not.toContain("HTTP/1.1");
    }
  });

  test("without it none is written", async () => {
    await using job = await startCachixJob();
    const inputs = { mode: "warm", targets: BWS };
    const main = await job.step(inputs);
    const post = await job.step(inputs, { stage: "post", state: main.state });
    for (const step of [main, post]) {
      expect(counted(step)).toEqual({ requests: [], commands: [] });
      expect(step.raw).not.toMatch(/\d ms$/m);
    }
  });
});

describe(`on the command line, ${NIX}`, () => {
  async function check(more: readonly string[]): Promise<{ stdout: string; stderr: string }> {
    await using job = await startCachixJob({ isPrivate: true });
    const args = ["check", BWS, "--cache", job.cache, "--json", ...more];
    const env = { ...job.machine.environment, NIX_CACHE_PREFLIGHT_TOKEN: TOKEN };
    return await promisify(execFile)(process.execPath, [resolve("dist/cli.js"), ...args], {
      cwd: `${job.machine.root}/quickstart/home`,
      env,
    });
  }

  test("--verbose shows them on standard error, and the report stays a document", async () => {
    const { stdout, stderr } = await check(["--verbose"]);
    expect(stderr).toMatch(
      /^ {2}GET http:\/\/127\.0\.0\.1:\d+\/\S+: \d{3}, HTTP\/\S+, \w+ connection, \d+ ms$/m,
    );
    expect(stderr).toMatch(/^ {2}nix .*: status 0, \d+ ms$/m);
    expect(`${stdout}${stderr}`).not.toContain(TOKEN);
    expect(JSON.parse(stdout)).toMatchObject({ mode: "check" });
  });

  test("without it there are none", async () => {
    const { stderr } = await check([]);
    expect(stderr).not.toMatch(/ connection, \d+ ms|status \d+, \d+ ms/);
  });
});
