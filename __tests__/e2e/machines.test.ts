/** Owns machines as people have them, imitated: homes that are not ours, and a cache that refuses strangers. */

import { chown, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { listen } from "../servers/http.ts";
import { NIX, NIXPKGS, startJob } from "./job.ts";

const WARM = { mode: "warm", targets: ".#bws pin=bws", verify: "full" };

describe(`a foreign cache that refuses us, on ${NIX}`, () => {
  test.each([401, 403])(
    "%d, as cache.flakehub.com answers without a login: absent, told once, and the work is done",
    async (status) => {
      await using server = await listen(async () => ({ status, headers: {}, body: "no" }));
      await using job = await startJob(NIXPKGS, {
        configuration: `extra-substituters = ${server.origin}`,
      });
      const warm = await job.main(WARM);
      expect(warm.exitCode).toBe(0);
      expect(warm.report().pinned).toMatchObject([{ state: "confirmed" }]);
      const told = warm.annotations.filter(({ message }) => message.includes(server.origin));
      expect(told).toMatchObject([{ level: "warning", title: expect.stringContaining("NCP-303") }]);
      const verdicts = JSON.parse(warm.outputs["verdicts"] ?? "") as Record<string, unknown>;
      expect(JSON.stringify(verdicts)).not.toContain("unknown");
      expect((await job.post(WARM, { state: warm.state })).exitCode).toBe(0);
    },
  );
});

const asRoot = process.getuid?.() === 0 ? test : test.skip;

describe(`homes, on ${NIX}`, () => {
  const GITHUB = { uid: 1001, gid: 116 };

  asRoot("another user's, as /github/home is in a container job", async () => {
    await using job = await startJob(NIXPKGS);
    const home = join(job.machine.root, "github-home");
    await mkdir(home);
    await chown(home, GITHUB.uid, GITHUB.gid);
    await chown(job.workspace, GITHUB.uid, GITHUB.gid);
    const environment = { ...job.machine.environment, HOME: home };
    const warm = await job.main(WARM, { environment });
    expect([warm.exitCode, warm.exitCode === 0 ? "" : warm.log]).toEqual([0, ""]);
    expect(warm.report().pinned).toMatchObject([{ state: "confirmed" }]);
    const post = await job.post(WARM, { environment, state: warm.state });
    expect(post.exitCode).toBe(0);
  });

  test("none", async () => {
    await using job = await startJob(NIXPKGS);
    const { HOME: _, ...environment } = job.machine.environment;
    const more = {
      XDG_CACHE_HOME: join(job.machine.root, "xdg-cache"),
      XDG_CONFIG_HOME: join(job.machine.root, "xdg-config"),
    };
    const warm = await job.main(WARM, { environment: { ...environment, ...more } });
    expect([warm.exitCode, warm.exitCode === 0 ? "" : warm.log]).toEqual([0, ""]);
  });
});
