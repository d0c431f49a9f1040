/** Owns the Nodes that are not GitHub's for glibc: act, Gitea and Forgejo take the image's, and Alpine has one for musl. */

import { execFile } from "node:child_process";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { NIX, NIXPKGS, startJob } from "./job.ts";
import { someOf } from "./slow.ts";

const run = promisify(execFile);

/** npm has them, and PyPI the one for musl: without it these tests are skipped, and jest says so by name. */
const nodes = new Map<string, string>();
const TOO_OLD = someOf(["16", "18", "20", "22.14.0"], ["16", "22.14.0"]);
const GOOD = someOf(["22.15.0", "22", "musl"], ["22.15.0", "musl"]);
for (const version of [...TOO_OLD, ...GOOD]) {
  const found = await run("./scripts/setup-node-version", [version]).catch(() => undefined);
  if (found) nodes.set(version, found.stdout.trim());
}
const withNode = (version: string) => (nodes.has(version) ? test : test.skip);

describe(`another Node, on ${NIX}`, () => {
  for (const version of TOO_OLD) {
    withNode(version)(`${version} is told what is needed, once, as an annotation`, async () => {
      await using job = await startJob(NIXPKGS);
      const node = nodes.get(version) ?? "";
      const { stdout } = await run(node, ["--version"]);
      const main = await job.main({ mode: "check", targets: ".#bws" }, { node });
      expect(main.exitCode).toBe(1);
      expect(main.annotations).toEqual([
        {
          level: "error",
          title: "Node is too old",
          message: expect.stringContaining(
            `needs Node 24, or 22 from 22.15 on, and was started with Node ${stdout.trim().slice(1)}`,
          ),
        },
      ]);
      expect(main.log).not.toContain("SyntaxError");
      const post = await job.post({}, { node, state: main.state });
      expect([post.exitCode, post.raw]).toEqual([0, ""]);
      const command = await run(node, [resolve("dist/cli.js"), "--version"]).catch(
        (error: { code: number; stderr: string }) => error,
      );
      expect(command).toMatchObject({ code: 2, stderr: expect.stringContaining("needs Node 24") });
    });
  }

  for (const version of GOOD) {
    withNode(version)(`${version} warms, finds again and audits, with post`, async () => {
      await using job = await startJob(NIXPKGS);
      const node = nodes.get(version) ?? "";
      const inputs = { targets: ".#bws pin=bws", verify: "full" };
      const warm = await job.main({ ...inputs, mode: "warm" }, { node });
      expect([warm.exitCode, warm.report().pinned]).toMatchObject([0, [{ state: "confirmed" }]]);
      expect(
        (await job.post({ ...inputs, mode: "warm" }, { node, state: warm.state })).exitCode,
      ).toBe(0);
      await job.machine.forget();
      const fetched = await job.main({ ...inputs, mode: "prefetch" }, { node });
      expect([fetched.exitCode, fetched.outputs["hit"], fetched.building]).toEqual([0, "true", []]);
      const audit = await job.main({ ...inputs, mode: "audit", "fail-on": "missing" }, { node });
      expect(audit.exitCode).toBe(0);
    });
  }
});
