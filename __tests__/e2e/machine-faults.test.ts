/** Owns the faults of the machine under a run: its disk, its Nix daemon, another job, the end of the process. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "@jest/globals";
import { parseSigningKey } from "../../src/domain/signature.ts";
import { hashPart } from "../../src/domain/store-path.ts";
import type { CachixServer } from "../servers/cachix.ts";
import { generateSecretKey } from "../servers/cachix-state.ts";
import { fileServer } from "../servers/files.ts";
import { MOUNTING, smallDisk } from "../support/small-disk.ts";
import { startCachixJob } from "./cachix-job.ts";
import { cachedPaths, flake, NIX, pins, startJob, type TestJob } from "./job.ts";

// biome-ignore lint/style/noProcessEnv: `npm run test:slow` asks for more of them, or for others
const { KILLS = "4", SEED = "20261121" } = process.env;

/** Whatever is pinned is ours, whole, and has its NAR. */
function expectPinsWhole({ state }: CachixServer): void {
  for (const { name, revisions } of state.pins.byName.values()) {
    for (const { storePath } of revisions) {
      const hash = hashPart(storePath);
      const file = state.own.get(hash)?.url.slice("nar/".length) ?? "";
      expect([name, state.isClosureWhole(hash), state.nars.has(file)]).toEqual([name, true, true]);
    }
  }
}

/** No narinfo without all the bytes of its NAR, no pin without its path. */
async function expectNoHalf(cache: string): Promise<void> {
  const held = await cachedPaths(cache);
  for (const { path, nar, fields } of held) {
    expect([path, (await stat(nar)).size]).toEqual([path, Number(fields["FileSize"])]);
  }
  const names = held.map(({ path }) => path);
  for (const path of Object.values(await pins(cache))) expect(names).toContain(path);
}

describe(`stopped anywhere, against Cachix, on ${NIX}`, () => {
  const most = Math.max(2, Math.round(Number(KILLS) / 2));

  test(
    "nothing is pinned that is not whole, and the next run completes",
    async () => {
      await using job = await startCachixJob();
      const { server } = job;
      const inputs = {
        mode: "warm",
        targets: "nixpkgs#bws pin=bws",
        verify: "full",
        force: "true",
      };
      const begin = performance.now();
      expect((await job.step(inputs)).report.pinned).toMatchObject([{ state: "confirmed" }]);
      let duration = performance.now() - begin;
      let state = Number(SEED);
      let early = 0;
      for (let n = 0; n < most; n++) {
        state = (state * 48_271) % 2_147_483_647;
        const at = Math.round(((n + state / 2_147_483_647) / most) * duration);
        const signal = n % 2 === 0 ? ("SIGKILL" as const) : ("SIGTERM" as const);
        server.state.pins.byName.clear();
        server.gc();
        await job.machine.forget();
        const started = performance.now();
        const cut = await job.step(inputs, { kill: { at, signal } });
        if (cut.exitCode !== 0) early++;
        // The machine may have been busier when the first one was measured.
        else duration = Math.min(duration, performance.now() - started);
        expectPinsWhole(server);
        const again = await job.step({ ...inputs, force: "false" });
        expect([SEED, n, at, again.exitCode, again.exitCode === 0 ? "" : again.log]).toEqual([
          SEED,
          n,
          at,
          0,
          "",
        ]);
        // Set by either of them: one that was stopped behind its pin leaves nothing to do.
        const [output] = Object.values(again.report.targets).flatMap(
          ({ outputs }) => outputs ?? [],
        );
        const pinned = server.state.pins.byName.get("bws")?.revisions.at(-1)?.storePath;
        expect([SEED, n, at, pinned]).toEqual([SEED, n, at, output]);
        expectPinsWhole(server);
      }
      console.info(`${early} of ${most} runs were stopped before their end, by seed ${SEED}`);
      expect(early).toBeGreaterThan(most / 3);
    },
    60_000 + Number(KILLS) * 60_000,
  );
});

describe(`two jobs at once, on ${NIX}`, () => {
  test("warming the same target to Cachix: both succeed, and it is pinned once, whole", async () => {
    await using job = await startCachixJob();
    const inputs = { mode: "warm", targets: "nixpkgs#bws pin=bws", verify: "full" };
    const both = await Promise.all([
      job.step(inputs),
      job.step(inputs, { temp: join(job.machine.root, "other-temp") }),
    ]);
    for (const { exitCode, report } of both) {
      expect(exitCode).toBe(0);
      expect(report.verified).toMatchObject([{ outcome: "verified" }]);
      expect(report.pinned).toMatchObject([{ state: "confirmed" }]);
    }
    expectPinsWhole(job.server);
  });

  test("warming the same target to a folder: both succeed, and no half file is there", async () => {
    await using job = await startJob(flake("graphs"));
    const inputs = { mode: "warm", targets: ".#top pin=top\n.#many", verify: "full" };
    const both = await Promise.all(
      ["one", "other"].map((name) => job.main(inputs, { temp: join(job.machine.root, name) })),
    );
    for (const step of both) {
      expect(step.exitCode).toBe(0);
      expect(step.report().verified).toMatchObject([
        { outcome: "verified" },
        { outcome: "verified" },
      ]);
    }
    await expectNoHalf(job.cache);
    const names = await readdir(job.cache, { recursive: true });
    expect(names.filter((name) => name.includes(".tmp-"))).toEqual([]);
  });
});

/** Forty paths of 100 kB that do not compress, and one that refers to them all. */
const MANY = `{ outputs = { self }: let
  part = n: derivation { name = "part-\${toString n}"; system = "x86_64-linux"; builder = "/bin/sh";
    args = [ "-c" "/usr/bin/head -c 100000 /dev/urandom > $out" ]; };
in { packages.x86_64-linux.all = derivation { name = "all"; system = "x86_64-linux"; builder = "/bin/sh";
  args = [ "-c" "echo \${toString (builtins.genList part 40)} > $out" ]; }; }; }`;

// Nobody who may mount nothing can run out of disk space on purpose.
const onSmallDisk = MOUNTING ? test : test.skip;

describe(`a full disk, on ${NIX}`, () => {
  onSmallDisk(
    "where NARs are staged: Nix fetches the rest itself, and nothing is left there",
    async () => {
      await using disk = await smallDisk(2);
      await using job = await startJob(undefined);
      await writeFile(join(job.workspace, "flake.nix"), MANY);
      const key = generateSecretKey("ours-1");
      await job.main({ mode: "warm", targets: "path:.#all", "signing-key": key });
      expect(await cachedPaths(job.cache)).toHaveLength(41);
      await job.machine.forget();
      await using server = await fileServer(job.cache);
      const step = await job.main(
        {
          targets: "path:.#all",
          cache: "none",
          substituters: `${server.origin} ${parseSigningKey(key).publicKey.text}`,
          "fail-on": "eval",
        },
        { temp: disk.path },
      );
      expect(step.exitCode).toBe(0);
      // It was tried, and there was no space.
      expect(step.log).toContain("fetching ahead ended early");
      expect(step.report().fetched.paths).toBe(41);
      expect(step.outputs["hit"]).toBe("true");
      const left = await readdir(join(disk.path, "nix-cache-preflight"));
      expect(left.filter((name) => name.startsWith("staging-"))).toEqual([]);
    },
  );

  onSmallDisk(
    "where the cache is: nothing half is served or pinned, and with space again it completes",
    async () => {
      await using disk = await smallDisk(2);
      await using job = await startJob(undefined);
      await writeFile(join(job.workspace, "flake.nix"), MANY);
      const cache = join(disk.path, "cache");
      const inputs = {
        mode: "warm",
        targets: "path:.#all pin=all",
        cache: `file://${cache}`,
        verify: "full",
        "fail-on": "eval",
      };
      const full = await job.main(inputs);
      expect(full.exitCode).toBe(0);
      expect(full.report().pinned).toEqual([]);
      expect(full.report().findings).toContainEqual(
        expect.objectContaining({
          kind: "push",
          message: expect.stringMatching(/ENOSPC|no space/),
        }),
      );
      await expectNoHalf(cache);
      await disk.grow(64);
      const again = await job.main(inputs);
      expect(again.report().verified).toMatchObject([{ outcome: "verified" }]);
      expect(again.report().pinned).toMatchObject([{ state: "confirmed" }]);
      await expectNoHalf(cache);
    },
  );
});

/** A real daemon of the machine's own store, in a process group of its own. */
async function startDaemon(
  job: TestJob,
  environment: Record<string, string>,
): Promise<ChildProcess> {
  const child = spawn("nix-daemon", [], {
    env: { ...environment, NIX_REMOTE: "local" },
    detached: true,
    stdio: "ignore",
  });
  for (;;) {
    try {
      await job.machine.nix("true", []);
      await stat(environment["NIX_DAEMON_SOCKET_PATH"] ?? "");
      return child;
    } catch {
      await wait(20);
    }
  }
}

function endDaemon({ pid }: ChildProcess): void {
  if (pid !== undefined) process.kill(-pid, "SIGKILL");
}

describe(`the Nix daemon, on ${NIX}`, () => {
  test.each([/Look: /, /Build /, /::group::Push/, /^pushed /])(
    "restarted in the middle of a run (%s): no half of anything, and the next run completes",
    async (moment) => {
      await using job = await startJob(flake("graphs"));
      const environment: Record<string, string> = {
        ...job.machine.environment,
        NIX_REMOTE: "daemon",
        NIX_DAEMON_SOCKET_PATH: join(job.machine.root, "daemon.socket"),
      };
      const inputs = { mode: "warm", targets: ".#top pin=top", verify: "full" };
      let daemon = await startDaemon(job, environment);
      let restarted: Promise<void> | undefined;
      const restart = async () => {
        const ended = once(daemon, "exit");
        endDaemon(daemon);
        await ended;
        daemon = await startDaemon(job, environment);
      };
      try {
        const cut = await job.main(inputs, {
          environment,
          onLine: (line) => {
            if (moment.test(line)) restarted ??= restart();
          },
        });
        expect(restarted).toBeDefined();
        await restarted;
        await expectNoHalf(job.cache);
        // It failed in words of Nix's, or it went on: never by a fault of ours.
        expect(cut.raw).not.toContain("A fault of nix-cache-preflight");
        const isPinned = Object.keys(await pins(job.cache)).includes("top");
        expect([cut.exitCode === 0 && isPinned, cut.annotations.length > 0]).toEqual(
          isPinned ? [true, false] : [false, true],
        );
        const again = await job.main(inputs, { environment });
        expect(again.exitCode).toBe(0);
        expect(again.report().verified).toMatchObject([{ outcome: "verified" }]);
        await expectNoHalf(job.cache);
        expect(Object.keys(await pins(job.cache))).toEqual(["top"]);
      } finally {
        endDaemon(daemon);
      }
    },
  );
});

describe(`the clock, on ${NIX}`, () => {
  test("set back by a day in the middle of a run: it waits no longer for that, and the next run remembers", async () => {
    await using job = await startCachixJob();
    const hook = join(job.machine.root, "clock.mjs");
    await writeFile(
      hook,
      `const begun = Date.now();
       const now = Date.now.bind(Date);
       Date.now = () => (now() - begun > 600 ? now() - 86_400_000 : now());`,
    );
    job.server.faults.slowNarInfo = { when: { times: 2 } };
    const inputs = { mode: "warm", targets: "nixpkgs#bws pin=bws", verify: "full" };
    const environment = { NODE_OPTIONS: `--import ${pathToFileURL(hook).href}` };
    const step = await job.step(inputs, { environment });
    expect(step.exitCode).toBe(0);
    expect(step.report.pinned).toMatchObject([{ state: "confirmed" }]);
    expect(step.report.seconds).toBeGreaterThan(0);
    for (const { begin, end } of step.report.steps) expect(end).toBeGreaterThanOrEqual(begin);
    const again = await job.step(inputs);
    expect(again.report.verified).toMatchObject([{ outcome: "verified" }]);
    expectPinsWhole(job.server);
  });
});
