/** Owns machines as people have them, imitated: homes that are not ours, and a cache that refuses strangers. */

import { execFile } from "node:child_process";
import { chown, mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import type { Machine } from "../../scripts/machine.ts";
import { folderOf } from "../../src/host/programs.ts";
import { listen } from "../servers/http.ts";
import { sshStore } from "../servers/sshd.ts";
import { canMount, mountTmpfs } from "../support/mount.ts";
import { MOUNTING } from "../support/small-disk.ts";
import { BWS, startCachixJob } from "./cachix-job.ts";
import { MINOR, NIX, NIXPKGS, startJob, told } from "./job.ts";

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
      expect(told).toMatchObject([
        { level: "warning", message: expect.stringContaining("NCP-303") },
      ]);
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

  (canMount ? test : test.skip)("a read-only one", async () => {
    await using home = await mountTmpfs("size=1m");
    await home.remount("ro");
    await using job = await startJob(NIXPKGS);
    const environment = { ...job.machine.environment, HOME: home.path };
    const warm = await job.main(WARM, { environment });
    expect([warm.exitCode, warm.exitCode === 0 ? "" : warm.log]).toEqual([0, ""]);
    expect(warm.report().pinned).toMatchObject([{ state: "confirmed" }]);
    const notice = told(warm).find((line) => line.includes(`${home.path}/.cache/nix`));
    expect(notice).toContain('echo "XDG_CACHE_HOME=$RUNNER_TEMP/cache" >> "$GITHUB_ENV"');
    const post = await job.post(WARM, { environment, state: warm.state });
    expect([post.exitCode, post.log]).toEqual([
      0,
      expect.stringMatching(/; 2 store paths \(\d+ B\) pushed/),
    ]);
    // As told, a later step's Nix works there; without, not every version's does.
    const later = { ...environment, XDG_CACHE_HOME: join(job.machine.root, "runner", "cache") };
    const args = ["build", "--no-link", "--no-write-lock-file", ".#bws"];
    await promisify(execFile)("nix", args, { cwd: job.workspace, env: later });
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

/**
 * Newer ones run here through their own dynamic loader, and have no build hook (scripts/setup-nix-version).
 * The builder's store has a root of its own, which takes namespaces.
 */
const withHook = MINOR < 10 && MOUNTING ? test : test.skip;

describe(`a remote builder, on ${NIX}`, () => {
  withHook(
    "builds what wants a feature that only it has, and that is pushed and verified",
    async () => {
      await using job = await startJob(undefined);
      await using store = await sshStore(
        job.machine.storeDir,
        "sandbox-paths = /bin /usr /lib /lib64",
      );
      const { NIX_SSHOPTS = "" } = store.environment;
      const system = `${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux`;
      const flake = `{ outputs = { self }: let d = name: more: derivation ({
      inherit name; system = "${system}"; builder = "/bin/sh";
      args = [ "-c" "echo done > $out" ]; } // more);
      base = d "base" { }; in { inherit base;
      vm = d "vm" { dep = base; requiredSystemFeatures = [ "kvm" ]; }; }; }`;
      await writeFile(join(job.workspace, "flake.nix"), flake);
      const NIX_CONFIG = [
        "system-features = benchmark",
        `builders = ${store.url} ${system} - 2 1 kvm,benchmark`,
      ].join("\n");
      const environment = { ...job.machine.environment, NIX_SSHOPTS, NIX_CONFIG };
      const warm = await job.main(
        { mode: "warm", targets: "path:.#vm", verify: "full" },
        { environment },
      );
      expect([warm.exitCode, warm.exitCode === 0 ? "" : warm.log]).toEqual([0, ""]);
      expect(store.connections()).toBeGreaterThan(0);
      expect(warm.report().verified.map(({ outcome }) => outcome)).toEqual(["verified"]);
      const [built = ""] = Object.values(JSON.parse(warm.outputs["store-paths"] ?? "{}") as object);
      expect(await store.nix("nix-store", ["--check-validity", String(built)])).toBe("");
      // Without the builder the same machine says what it lacks, before it builds the base.
      await job.machine.forget();
      const alone = await job.main(
        { mode: "warm", targets: "path:.#vm", cache: "none" },
        { environment: { ...environment, NIX_CONFIG: "system-features = benchmark" } },
      );
      expect(alone.log).toMatch(/kvm/);
      expect(alone.building).toEqual([]);
    },
  );
});

describe(`a slim image, on ${NIX}`, () => {
  /** PATH with what Nix needs, and without xz. */
  async function slim({ environment, root }: Machine): Promise<Readonly<Record<string, string>>> {
    const bin = join(root, "slim");
    await mkdir(bin);
    for (const name of ["nix", "nix-store", "nix-instantiate", "git", "tar", "sh"]) {
      const folder = folderOf(name, environment["PATH"] ?? "") ?? "/nowhere";
      await symlink(join(folder, name), join(bin, name));
    }
    return { ...environment, PATH: bin };
  }

  test("without xz, a push that needs it is refused by name, before anything is built", async () => {
    await using job = await startJob(NIXPKGS);
    const environment = await slim(job.machine);
    const inputs = { ...WARM, cache: `file://${job.cache}?compression=xz` };
    const warm = await job.main({ ...inputs, "on-push-failure": "error" }, { environment });
    expect([warm.exitCode, warm.building]).toEqual([1, []]);
    const told = warm.annotations.map(({ message }) => message).join("\n");
    expect(told).toContain(
      "to push NARs that are compressed with xz needs xz, which this machine lacks",
    );
    expect(told).not.toMatch(/Premature close|did not answer/);
  });

  test("a Cachix cache that prefers xz gets zstd, which needs no program", async () => {
    await using job = await startCachixJob({ preferredCompression: "xz" });
    const environment = await slim(job.machine);
    const inputs = { mode: "warm", targets: BWS, verify: "full" };
    const warm = await job.step(inputs, { environment });
    expect([warm.exitCode, warm.exitCode === 0 ? "" : warm.log]).toEqual([0, ""]);
    expect(warm.report.pinned).toMatchObject([{ state: "confirmed" }]);
  });
});
