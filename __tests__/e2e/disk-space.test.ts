/** Owns the disk space plan on real file systems: where this Nix writes, and the bytes this run needs there. */

import { mkdir, mkdtemp, rm, stat, statfs } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { cached, flake, HOME, MINOR, NIX, NIXPKGS, startJob } from "./job.ts";

const SHM = "/dev/shm";
const device = async (path: string) => (await stat(path).catch(() => undefined))?.dev;
/** A second file system, which every Linux has; without one there is nothing to tell apart. */
const apart = (await device(SHM)) !== undefined && (await device(SHM)) !== (await device(tmpdir()));

describe(`disk space, on ${NIX}`, () => {
  test("what is fetched needs its unpacked bytes in the store, to the byte", async () => {
    await using job = await startJob(HOME, { inputs: { nixpkgs: NIXPKGS } });
    const targets = "nixpkgs#bws\nnixpkgs#hello";
    await job.main({ mode: "warm", targets });
    const held = await cached(job.cache);
    const bytes = ["bws-1.0.0", "hello-2.12"]
      .map((name) => Number(held.get(name)?.fields["NarSize"]))
      .reduce((a, b) => a + b);
    expect(bytes).toBeGreaterThan(4e6);
    await job.machine.forget();
    const check = await job.main({ mode: "check", targets });
    expect(check.outputs["bytes-needed"]).toBe(String(bytes));
    const fetch = await job.main({ mode: "prefetch", targets });
    expect(fetch.report().fetched).toMatchObject({ paths: 2, bytes });
    // Now they are here: this machine needs nothing more, though a fresh one would.
    const again = await job.main({ mode: "check", targets });
    expect(again.outputs["bytes-needed"]).toBe("0");
    expect(again.outputs["hit"]).toBe("true");
  });

  test("builds are where this version builds: its build-dir, its state, or TMPDIR", async () => {
    await using job = await startJob(flake("graphs"));
    const { diskSpace } = (await job.main({ mode: "check", targets: ".#leaf space=2MB" })).report();
    const needs = diskSpace.flatMap((one) => one.needs);
    const { root } = job.machine;
    const expected = MINOR >= 30 ? join(root, "var", "builds") : join(root, "tmp");
    expect(needs.find(({ what }) => what === "build directory")).toMatchObject({
      what: "build directory",
      directory: expected,
      bytes: 2_000_000,
    });
    expect(needs.find(({ what }) => what === "store")?.directory).toBe(job.machine.storeDir);
    expect(needs.find(({ what }) => what === "workspace")?.directory).toBe(job.workspace);
  });

  (apart ? test : test.skip)(
    "a build directory on another file system is counted there, and named when it is too small",
    async () => {
      const folder = await mkdtemp(join(SHM, "ncp-disk-space-"));
      try {
        await using job = await startJob(flake("graphs"), {
          configuration: MINOR >= 26 ? `build-dir = ${folder}` : "",
        });
        const environment = { ...job.machine.environment, TMPDIR: folder };
        const { bavail, bsize } = await statfs(SHM);
        const tooMuch = Math.ceil((bavail * bsize) / 1e6) + 5;
        const targets = `.#leaf space=${tooMuch}MB`;
        const step = await job.main({ mode: "check", targets }, { environment });
        expect(step.exitCode).toBe(1);
        const [error] = step.annotations.filter(({ level }) => level === "error");
        expect(error?.message).toMatch(
          /^not enough disk space on \/dev\/shm: this run needs .* there \(build directory/,
        );
        expect(step.building).toEqual([]);
        expect(step.report().diskSpace.map(({ mountPoint }) => mountPoint)).toContain(SHM);
        const enough = await job.main(
          { mode: "warm", targets: ".#leaf space=1MB" },
          { environment },
        );
        expect(enough.exitCode).toBe(0);
        expect(enough.building).toEqual(["leaf"]);
      } finally {
        await rm(folder, { recursive: true });
      }
    },
  );

  test("a build directory that is not there is told, and builds go elsewhere, or Nix makes it", async () => {
    await using job = await startJob(flake("graphs"));
    const absent = join(job.machine.root, "no", "such", "folder");
    const environment = {
      ...job.machine.environment,
      // Where it is no setting, it is the process's own.
      ...(MINOR >= 26 ? { NIX_CONFIG: `build-dir = ${absent}` } : { TMPDIR: absent }),
    };
    const step = await job.main(
      { mode: "warm", targets: ".#leaf" },
      { environment, runner: "self-hosted" },
    );
    const told = step.annotations.filter(({ message }) => message.includes("NCP-405"));
    expect(told.map(({ level }) => level)).toEqual(MINOR >= 30 ? [] : ["warning"]);
    expect(step.exitCode).toBe(0);
    expect(step.building).toEqual(["leaf"]);
  });

  test("a lack of disk space is a warning where fail-on leaves out disk, and the run goes on", async () => {
    await using job = await startJob(flake("graphs"));
    const inputs = { mode: "warm", targets: ".#leaf", "min-free": "900TB", "fail-on": "eval" };
    const step = await job.main(inputs);
    expect(step.exitCode).toBe(0);
    expect(step.building).toEqual(["leaf"]);
    expect(step.annotations).toContainEqual(
      expect.objectContaining({ level: "warning", message: expect.stringContaining("NCP-401") }),
    );
  });
});

describe(`a cache that does not answer, on ${NIX}`, () => {
  test("is left out by name, and what only it could have is unknown, never missing", async () => {
    await using job = await startJob(flake("graphs"));
    await mkdir(job.cache);
    // A port on which nobody listens: it was somebody's a moment ago.
    const server = createServer().listen(0, "127.0.0.1");
    await new Promise((done) => server.once("listening", done));
    const { port } = server.address() as { port: number };
    await new Promise((done) => server.close(done));
    const substituters = `http://127.0.0.1:${port}`;
    const step = await job.main({ mode: "check", targets: ".#leaf", substituters });
    expect(step.exitCode).toBe(0);
    expect(step.report().caches).toContainEqual(
      expect.objectContaining({ name: substituters, reachable: false }),
    );
    expect(JSON.parse(step.outputs["verdicts"] ?? "")).toMatchObject({
      ".#leaf": { kind: "unknown" },
    });
    expect(step.outputs["any-missing"]).toBe("false");
  });
});
