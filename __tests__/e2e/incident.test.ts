/** Owns the incident: `bws` was in no cache, nobody knew, and CI built it three times. Never again. */

import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { lock } from "../../scripts/machine.ts";
import { cached, FORK, HOME, listing, NIX, NIXPKGS, pins, startJob, told } from "./job.ts";

const HOMES = ".#homeConfigurations.*.activationPackage";
const options = {
  inputs: { nixpkgs: NIXPKGS },
  defaults: { heavy: "bws", targets: HOMES },
};

describe(`the incident, on ${NIX}`, () => {
  test("check names bws once, heavy, needed by three targets, and builds nothing", async () => {
    await using job = await startJob(HOME, options);
    const step = await job.main({ mode: "check" });
    expect(step.exitCode).toBe(0);
    const missing = JSON.parse(step.outputs["missing"] ?? "") as Record<string, unknown>[];
    const bws = missing.filter(({ name }) => name === "bws-1.0.0");
    expect(bws).toHaveLength(1);
    expect(bws[0]).toMatchObject({
      heavy: true,
      wantedBy: [
        ".#homeConfigurations.alice.activationPackage",
        ".#homeConfigurations.bob.activationPackage",
        ".#homeConfigurations.carol.activationPackage",
      ],
    });
    expect(told(step).filter((line) => line.includes("bws-1.0.0 "))).toEqual([
      "warning: bws-1.0.0 is in no binary cache and would be built from source (heavy), needed by 3 targets",
    ]);
    expect(step.outputs).toMatchObject({ hit: "false", "hit-rate": "0", "any-missing": "true" });
    expect(step.building).toEqual([]);
    expect(await listing(job.cache)).toEqual([]);
  });

  test("check fails the step where fail-on names heavy", async () => {
    await using job = await startJob(HOME, options);
    const step = await job.main({ mode: "check", "fail-on": "heavy" });
    expect(step.exitCode).toBe(1);
    expect(told(step)).toContainEqual(
      "error: bws-1.0.0 is in no binary cache and would be built from source (heavy), needed by 3 targets",
    );
  });

  test("push-max: what is above it stays out of the cache with what refers to it; the rest is there", async () => {
    await using job = await startJob(HOME, options);
    const inputs = { mode: "warm", "push-max": "900kB", targets: `${HOMES}\n.#hello` };
    const warm = await job.main(inputs);
    const post = await job.post(inputs, { state: warm.state });
    expect([warm.exitCode, post.exitCode]).toEqual([0, 0]);
    expect([...(await cached(job.cache)).keys()].sort()).toEqual([
      "bws-1.0.0-vendor",
      "hello-2.12",
    ]);
    expect(Object.keys(await pins(job.cache))).toHaveLength(1);
    expect(warm.summary).toContain(
      "are above push-max and not pushed, nor 3 paths that refer to that.",
    );
    for (const { log } of [warm, post]) {
      expect(log).toMatch(/^Push \.#homeConfigurations\.bob/m);
      expect(log).not.toMatch(/^(Verify|Pin) \.?#?homeConfigurations/m);
      expect(log).toMatch(/^Verify \.#hello$/m);
    }
    expect(warm.log.trim()).toMatch(
      /Nix cache: 3 of 4 targets needed a build; .*, 1 of 4 targets verified and pinned, 3 kept out by push-max; [^;]*$/,
    );
    expect(post.log.trim()).toMatch(
      /Nix cache: push-max kept 3 of 4 targets out of the cache; 1 of 4 targets verified; [^;]*$/,
    );
    const again = await job.main({ ...inputs, targets: HOMES });
    expect(again.log.trim()).toMatch(/; 3 targets kept out by push-max; [^;]*$/);
    const out = warm.report().findings.filter(({ code }) => code === "NCP-314");
    expect(out.map(({ level, message }) => [level, message])).toEqual([
      [
        "notice",
        "bws-1.0.0 (4.19 MB), bws-deps-1.0.0 (1.05 MB) are above push-max and not pushed, nor 3 paths that refer to that",
      ],
    ]);
  });

  test("warm builds it once, pushes, verifies and pins; a fresh machine fetches it", async () => {
    await using job = await startJob(HOME, options);
    const warm = await job.main({ mode: "warm", verify: "full" });
    expect(warm.exitCode).toBe(0);
    expect(warm.building.filter((name) => name === "bws-1.0.0")).toHaveLength(1);
    expect(new Set(warm.building).size).toBe(warm.building.length - 2); // three generations share a name
    const report = warm.report();
    expect(report.verified.map(({ outcome }) => outcome)).toEqual(Array(3).fill("verified"));
    expect(report.pinned.map(({ state }) => state)).toEqual(Array(3).fill("confirmed"));
    const held = await cached(job.cache);
    expect([...held.keys()]).toContain("bws-1.0.0");
    const pinned = Object.values(await pins(job.cache));
    const store = JSON.parse(warm.outputs["store-paths"] ?? "") as Record<string, string>;
    expect(pinned.sort()).toEqual(
      Object.values(store)
        .map((path) => path.split("/").at(-1))
        .sort(),
    );

    await job.machine.forget();
    const fresh = await job.main({ mode: "prefetch" });
    expect(fresh.exitCode).toBe(0);
    expect(fresh.outputs).toMatchObject({ hit: "true", "hit-rate": "1", missing: "[]" });
    expect(fresh.building).toEqual([]);
    const [bws] = JSON.parse(warm.outputs["missing"] ?? "") as { drvPath: string }[];
    const path = held.get("bws-1.0.0")?.fields["StorePath"] ?? "";
    expect(bws?.drvPath).toContain("bws-");
    expect(fresh.report().fetched.paths).toBe(2); // bws and hello; the generations are trivial
    expect(await job.machine.nix("nix-store", ["--check-validity", path])).toBe("");

    const again = await job.main({ mode: "warm" });
    expect(again.building).toEqual([]);
    expect(again.report().pushed).toEqual([]);
    expect(again.report().pinned).toEqual([]); // a pin that is right keeps its revisions
  });

  test("closure=build caches the dependency layer: a change in the leaf builds the leaf", async () => {
    await using job = await startJob(HOME, options);
    const targets = "nixpkgs#bws pin=bws closure=build";
    const first = await job.main({ mode: "warm", targets });
    expect(first.exitCode).toBe(0);
    expect([...first.building].sort()).toEqual(["bws-1.0.0", "bws-1.0.0-vendor", "bws-deps-1.0.0"]);
    const held = await cached(job.cache);
    expect(held.get("bws-1.0.0")?.fields["References"]).not.toContain("bws-deps");
    expect([...held.keys()].sort()).toEqual(["bws-1.0.0", "bws-1.0.0-vendor", "bws-deps-1.0.0"]);

    const nixpkgs = join(job.machine.root, "inputs", "nixpkgs");
    const file = join(nixpkgs, "flake.nix");
    const before = await readFile(file, "utf8");
    const after = before.replace('echo \\"bws $s', 'echo \\"a newer bws $s');
    expect(after).not.toBe(before);
    await writeFile(file, after);
    await lock(job.machine, job.workspace, { nixpkgs });
    await job.machine.forget();
    const second = await job.main({ mode: "warm", targets });
    expect(second.exitCode).toBe(0);
    expect(second.building).toEqual(["bws-1.0.0"]);
    expect(second.report().verified).toMatchObject([{ outcome: "verified" }]);
  });

  test("without closure=build the dependency layer is not pushed for the target's sake", async () => {
    await using job = await startJob(HOME, options);
    const targets = "nixpkgs#bws pin=bws";
    const first = await job.main({ mode: "warm", targets, heavy: ">1GB", push: "targets" });
    expect(first.exitCode).toBe(0);
    expect([...(await cached(job.cache)).keys()]).toEqual(["bws-1.0.0"]);
  });

  test("a NAR deleted behind the cache's back is gone, and nothing is pinned", async () => {
    await using job = await startJob(HOME, options);
    const targets = "nixpkgs#bws pin=bws";
    await job.main({ mode: "warm", targets, pin: "off" });
    expect(await pins(job.cache)).toEqual({});
    const bws = (await cached(job.cache)).get("bws-1.0.0");
    await rm(bws?.nar ?? "");
    const before = await listing(job.cache);

    const audit = await job.main({ mode: "audit", targets });
    expect(audit.report().verified).toMatchObject([{ target: "nixpkgs#bws", outcome: "gone" }]);
    expect(audit.report().pinned).toEqual([]);
    expect(told(audit)).toContainEqual(
      expect.stringMatching(/^warning: nixpkgs#bws is not verified in .*: gone: .*bws-1\.0\.0/),
    );
    const strict = await job.main({ mode: "audit", targets, "fail-on": "unverified" });
    expect(strict.exitCode).toBe(1);

    const readOnly = await job.main({ mode: "warm", targets, trust: "read-only" });
    expect(readOnly.report().verified).toMatchObject([{ outcome: "gone" }]);
    expect(readOnly.report().pinned).toEqual([]);
    expect(await listing(job.cache)).toEqual(before);

    const mended = await job.main({ mode: "warm", targets });
    expect(mended.report().verified).toMatchObject([{ outcome: "verified" }]);
    expect(mended.report().pinned).toMatchObject([{ name: "bws", state: "confirmed" }]);
  });

  test("audit finds a pinned path gone that no target names", async () => {
    await using job = await startJob(HOME, options);
    await job.main({ mode: "warm", targets: "nixpkgs#bws pin=bws" });
    await rm((await cached(job.cache)).get("bws-1.0.0")?.nar ?? "");
    const audit = await job.main({ mode: "audit", targets: "nixpkgs#hello" });
    expect(audit.report().verified).toMatchObject([{ target: "pin bws", outcome: "gone" }]);
  });

  test("a pull request from a fork writes nothing and says what it would have pushed", async () => {
    await using job = await startJob(HOME, options);
    const inputs = { mode: "warm", targets: "nixpkgs#hello" };
    // With its end: what it watches the store for is not to be this step's work.
    await job.post(inputs, { state: (await job.main(inputs)).state });
    const before = await listing(job.cache);
    const step = await job.main({ mode: "warm" }, FORK);
    expect(step.exitCode).toBe(0);
    expect(step.outputs["read-only"]).toBe("true");
    expect(step.building).toContain("bws-1.0.0");
    expect(await listing(job.cache)).toEqual(before);
    const report = step.report();
    expect(report.pushed).toEqual([]);
    expect(report.pinned).toEqual([]);
    expect(report.withheld.map(({ target }) => target)).toEqual([
      ".#homeConfigurations.alice.activationPackage",
      ".#homeConfigurations.bob.activationPackage",
      ".#homeConfigurations.carol.activationPackage",
    ]);
    expect(step.summary).toContain("nothing was pushed: ");
    expect(step.summary).toContain("warm, read-only");
  });
});
