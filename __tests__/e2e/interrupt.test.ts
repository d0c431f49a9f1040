/** Owns being stopped anywhere: nothing half-written is taken for whole, and running again completes. */

import { createHash } from "node:crypto";
import { copyFile, readFile, rm, stat, utimes } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import {
  cached,
  cachedPaths,
  HOME,
  NIX,
  NIXPKGS,
  pins,
  startJob,
  type TestJob,
  told,
} from "./job.ts";

const inputs = {
  mode: "warm",
  targets: ".#homeConfigurations.*.activationPackage\nnixpkgs#bws pin=bws closure=build",
  heavy: "bws-*",
  verify: "full",
};

// biome-ignore lint/style/noProcessEnv: `npm run test:slow` asks for more of them, or for others
const { KILLS: kills = "4", SEED: seed = "20261121" } = process.env;
const KILLS = Number(kills);
const SEED = Number(seed);

const NIX32 = "0123456789abcdfghijklmnpqrsvwxyz";

/** A SHA-256 as a narinfo writes it; by hand, so that our own code does not judge itself. */
function nix32(bytes: Buffer): string {
  let number = 0n;
  for (const byte of [...bytes].reverse()) number = (number << 8n) | BigInt(byte);
  let text = "";
  for (let n = 51; n >= 0; n--) text += NIX32[Number((number >> BigInt(n * 5)) & 31n)];
  return text;
}

/** What is served is whole: every field is there, the NAR with every byte, and every reference. */
async function expectWhole(job: TestJob): Promise<void> {
  const held = await cachedPaths(job.cache);
  const served = new Set(held.map(({ path }) => path));
  for (const { path: name, fields, nar } of held) {
    expect([name, Object.keys(fields).slice(0, 8)]).toEqual([
      name,
      [
        "StorePath",
        "URL",
        "Compression",
        "FileHash",
        "FileSize",
        "NarHash",
        "NarSize",
        "References",
      ],
    ]);
    const bytes = await readFile(nar);
    expect([name, bytes.length]).toEqual([name, Number(fields["FileSize"])]);
    const hash = nix32(createHash("sha256").update(bytes).digest());
    expect([name, `sha256:${hash}`]).toEqual([name, fields["FileHash"]]);
    for (const reference of fields["References"]?.split(" ").filter(Boolean) ?? []) {
      expect([name, served.has(reference)]).toEqual([name, true]);
    }
  }
  // A pin that cannot be read would throw here.
  for (const path of Object.values(await pins(job.cache)))
    expect([path, served.has(path)]).toEqual([path, true]);
}

async function paths(job: TestJob): Promise<string[]> {
  return (await cachedPaths(job.cache)).map(({ path }) => path).sort();
}

/** The same numbers each time: a failure can be run again. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** What Nix made here and holds whole: `HASH-NAME`, no recipes. */
async function builtHere(job: TestJob): Promise<string[]> {
  const text = await job.machine.nix("nix", ["path-info", "--all", "--sigs"]);
  return text
    .split("\n")
    .filter((line) => /\bultimate\b/.test(line))
    .map((line) => line.split(/\s/)[0]?.split("/").at(-1) ?? "")
    .filter((name) => !name.endsWith(".drv"))
    .sort();
}

/** In the slow suite 50 kills and 20 cancellations; a few of each in every run. */
const STOPS = {
  SIGKILL: KILLS >= 10 ? KILLS : 2,
  SIGINT: KILLS >= 10 ? Math.ceil(KILLS * 0.4) : 2,
} as const;

describe(`stopped anywhere, and then post, on ${NIX}`, () => {
  test.each(["SIGKILL", "SIGINT"] as const)(
    "%s: what was built by then is in the cache, whole",
    async (signal) => {
      const most = STOPS[signal];
      await using job = await startJob(HOME, { inputs: { nixpkgs: NIXPKGS } });
      const begin = performance.now();
      expect((await job.main(inputs)).exitCode).toBe(0);
      let duration = performance.now() - begin;
      const random = seeded(SEED);
      let [early, kept] = [0, 0];
      for (let n = 0; n < most; n++) {
        await rm(job.cache, { recursive: true, force: true });
        await job.machine.forget();
        const at = Math.round(((n + random()) / most) * duration);
        const started = performance.now();
        const cut = await job.main(inputs, { kill: { at, signal } });
        if (cut.exitCode === 0) duration = Math.min(duration, performance.now() - started);
        else early++;
        const built = await builtHere(job);
        const before = await paths(job);
        const post = await job.post(inputs, { state: cut.state });
        expect([SEED, n, at, post.exitCode, told(post)]).toEqual([SEED, n, at, 0, []]);
        const held = await paths(job);
        expect([SEED, n, at, held]).toEqual([SEED, n, at, expect.arrayContaining(built)]);
        await expectWhole(job);
        if (built.some((path) => !before.includes(path))) kept++;
      }
      console.info(`${most} times ${signal}: ${early} before the end, ${kept} with work for post`);
      expect(early).toBeGreaterThan(most / 3);
    },
    60_000 + STOPS.SIGKILL * 60_000,
  );

  test("cancelled while the second of two is built: the first one is kept, pinned where it is a target", async () => {
    await using job = await startJob(HOME, { inputs: { nixpkgs: NIXPKGS } });
    const targets = "nixpkgs#bws-deps pin=deps\nnixpkgs#bws pin=bws";
    const at = /^building '.*-bws-1\.0\.0\.drv'/;
    const cut = await job.main({ ...inputs, targets }, { kill: { at, signal: "SIGINT" } });
    expect(cut.exitCode).toBe(1);
    const post = await job.post({ ...inputs, targets }, { state: cut.state });
    expect([post.exitCode, told(post)]).toEqual([0, []]);
    const deps = (await cached(job.cache)).get("bws-deps-1.0.0")?.path;
    expect((await pins(job.cache))["deps"]).toBe(deps);
    expect(deps).toMatch(/-bws-deps-1\.0\.0$/);
  });
});

describe(`stopped anywhere, on ${NIX}`, () => {
  test(
    "the next run completes, and at no moment is half a path served",
    async () => {
      await using job = await startJob(HOME, { inputs: { nixpkgs: NIXPKGS } });
      const begin = performance.now();
      const whole = await job.main(inputs);
      let duration = performance.now() - begin;
      expect(whole.exitCode).toBe(0);
      await expectWhole(job);
      const names = await paths(job);
      const pinned = await pins(job.cache);
      const random = seeded(SEED);
      const stopped: (number | undefined)[] = [];
      for (let n = 0; n < KILLS; n++) {
        await rm(job.cache, { recursive: true });
        await job.machine.forget();
        // One moment in each part of the run, so that all of it is hit.
        const at = Math.round(((n + random()) / KILLS) * duration);
        const signal = n % 2 === 0 ? ("SIGKILL" as const) : ("SIGTERM" as const);
        const started = performance.now();
        const cut = await job.main(inputs, { kill: { at, signal } });
        // The machine may have been busier when the first one was measured.
        if (cut.exitCode === 0) duration = Math.min(duration, performance.now() - started);
        stopped.push(cut.exitCode);
        await expectWhole(job);
        const again = await job.main(inputs);
        expect([SEED, n, at, again.exitCode]).toEqual([SEED, n, at, 0]);
        await expectWhole(job);
        expect(again.report().verified.map(({ outcome }) => outcome)).toEqual(
          Array(4).fill("verified"),
        );
        expect(await paths(job)).toEqual(names);
        expect(await pins(job.cache)).toEqual(pinned);
      }
      // Most of them were stopped before their end, or this would prove nothing.
      const early = stopped.filter((code) => code !== 0).length;
      console.info(`${early} of ${KILLS} runs were stopped before their end, by seed ${SEED}`);
      expect(early).toBeGreaterThan(KILLS >= 10 ? KILLS / 3 : 0);
    },
    60_000 + KILLS * 60_000,
  );

  test.each(["SIGTERM", "SIGINT"] as const)(
    "%s ends the run with a word and a failure",
    async (signal) => {
      await using job = await startJob(HOME, { inputs: { nixpkgs: NIXPKGS } });
      const cut = await job.main(inputs, { kill: { at: /Build bws-deps/, signal } });
      expect(cut.exitCode).toBe(1);
      expect(cut.annotations).toContainEqual(
        expect.objectContaining({
          level: "error",
          message: expect.stringMatching(
            /^interrupted by SIG(TERM|INT) \(NCP-501\)\nFix: .*what was finished is kept/,
          ),
        }),
      );
      expect(cut.log).not.toMatch(/^\s+at /m);
    },
  );

  test("a temporary file of a run that was killed is never read, and is swept when it is old", async () => {
    await using job = await startJob(HOME, { inputs: { nixpkgs: NIXPKGS } });
    await job.main({ ...inputs, targets: "nixpkgs#hello" });
    const hello = (await cached(job.cache)).get("hello-2.12");
    if (!hello) throw new Error("hello was not pushed");
    const left = `${hello.file}.tmp-0123456789ab`;
    await copyFile(hello.file, left);
    await rm(hello.file);
    const check = await job.main({ mode: "check", targets: "nixpkgs#hello" });
    expect(check.outputs["hit"]).toBe("false");
    await utimes(left, 1, 1);
    await job.main({ ...inputs, targets: "nixpkgs#hello" });
    await expect(stat(left)).rejects.toThrow("ENOENT");
  });
});
