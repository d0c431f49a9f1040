/** Owns what is not Nix's own release on a common machine: Lix, Determinate, 2.3, one without /nix, one off PATH. */

import { execFile } from "node:child_process";
import { appendFile, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { processEnvironment } from "../../src/host/environment.ts";
import { folderOf } from "../../src/host/programs.ts";
import { listen } from "../servers/http.ts";
import { temporaryFolder } from "../support/folder.ts";
import { otherNix, withOther } from "../support/other-nix.ts";
import { BWS, startCachixJob, TOKEN } from "./cachix-job.ts";
import { listing, MINOR, NIX, NIXPKGS, startJob } from "./job.ts";

const run = promisify(execFile);
const WARM = { mode: "warm", targets: ".#bws pin=bws", verify: "full" };

describe(`other kinds, imitated on ${NIX}`, () => {
  test.each(["lix", "determinate"] as const)(
    "%s: warms, and a fresh machine finds it again",
    async (kind) => {
      await using job = await startJob(NIXPKGS);
      await using folder = await temporaryFolder();
      const { environment: real } = job.machine;
      const bin = await otherNix(kind, folder, real["PATH"] ?? "");
      const environment = withOther(real, bin);
      const warm = await job.main(WARM, { environment });
      expect([warm.exitCode, warm.log]).toEqual([0, expect.any(String)]);
      expect(warm.report().pinned).toMatchObject([{ state: "confirmed" }]);
      expect(warm.annotations.map(({ message }) => message).join("\n")).not.toMatch(
        /build-dir|404/,
      );
      const post = await job.post(WARM, { environment, state: warm.state });
      expect(post.exitCode).toBe(0);
      await job.machine.forget();
      const again = await job.main({ targets: ".#bws" }, { environment });
      expect([again.exitCode, again.outputs["hit"]]).toEqual([0, "true"]);
    },
  );

  test("determinate: what its own netrc lets in stays in force beside our private cache, renewed or not", async () => {
    await using job = await startCachixJob({ isPrivate: true });
    await using folder = await temporaryFolder();
    const { machine, server } = job;
    const bin = await otherNix("determinate", folder, machine.environment["PATH"] ?? "");
    const theirs = join(machine.root, "determinate", "netrc");
    await mkdir(dirname(theirs));
    const renew = (token: string) =>
      writeFile(theirs, `machine localhost login me password ${token}\n`);
    let known = "first";
    let asked = 0;
    // As cache.flakehub.com, for which its nixd keeps the token.
    await using flakehub = await listen(async ({ headers, url }) => {
      const basic = `Basic ${Buffer.from(`me:${known}`).toString("base64")}`;
      if (headers.authorization !== basic) return { status: 401, body: "no" };
      asked++;
      if (url !== "/nix-cache-info") return { status: 404 };
      return { status: 200, body: `StoreDir: ${machine.storeDir}\n` };
    });
    await appendFile(
      join(machine.root, "etc", "nix.conf"),
      `netrc-file = ${theirs}\nextra-substituters = http://localhost:${flakehub.port}\n`,
    );
    const environment = withOther(machine.environment, bin);
    const inputs = { mode: "warm", targets: BWS, verify: "full" };
    for (const token of ["first", "renewed"]) {
      known = token;
      await renew(token);
      asked = 0;
      const step = await job.step(inputs, { environment });
      expect([step.exitCode, step.exitCode === 0 ? "" : step.log]).toEqual([0, ""]);
      expect(step.annotations.map(({ message }) => message).join()).not.toContain("NCP-303");
      expect(asked).toBeGreaterThan(0);
      expect(step.report.caches.map(({ reachable }) => reachable)).toEqual([true, true]);
      // Later steps' Nix gets in to both by the one file there can be.
      const [ours = ""] = (step.environment["NIX_USER_CONF_FILES"] ?? "").split(":");
      const netrc = /^netrc-file = (.*)$/m.exec(await readFile(ours, "utf8"))?.[1] ?? "";
      expect(await readFile(netrc, "utf8")).toBe(
        `machine 127.0.0.1 login "" password ${TOKEN}\nmachine localhost login me password ${token}\n`,
      );
    }
    expect(server.uploads("completed").length).toBeGreaterThan(0);
  });

  test("Nix 2.3 is told that it is too old, and nothing of what it answers to flags", async () => {
    await using job = await startJob(NIXPKGS);
    await using folder = await temporaryFolder();
    const bin = await otherNix("nix-2.3", folder, job.machine.environment["PATH"] ?? "");
    const step = await job.main(WARM, { environment: withOther(job.machine.environment, bin) });
    expect(step.exitCode).toBe(1);
    expect(step.annotations).toEqual([
      expect.objectContaining({
        level: "error",
        message: expect.stringMatching(/^Nix 2\.3\.16 is too old/),
      }),
    ]);
    expect(await listing(job.cache)).toEqual([]);
  });
});

/** A user's namespace in which this user is not root, below one in which /nix is empty. */
async function withoutNixFolder(command: readonly string[], how: { cwd: string; env: object }) {
  const inner = ["unshare", "--user", "--map-user=1000", "--map-group=1000", ...command];
  const script = 'mount -t tmpfs tmpfs /nix && exec "$@"';
  const args = ["--mount", "sh", "-c", script, "sh", ...inner];
  return run("unshare", args, { ...how, env: how.env as NodeJS.ProcessEnv });
}

const mayUnshare = await withoutNixFolder(["true"], {
  cwd: "/",
  env: { PATH: "/usr/bin:/bin" },
}).then(
  () => true,
  () => false,
);
/** The chroot store that Nix makes of itself came with 2.10. */
const rootless = mayUnshare && MINOR >= 10 ? test : test.skip;

describe(`a machine without /nix, ${NIX}`, () => {
  rootless("a user's own chroot store is built into and pushed from", async () => {
    await using folder = await temporaryFolder();
    const sandbox = "sandbox-paths = /bin /usr /lib /lib64 /root";
    await folder.write(
      "home/.config/nix/nix.conf",
      `substituters =\nexperimental-features = nix-command flakes\n${sandbox}\n`,
    );
    const builder = `builder = "/bin/sh"; args = [ "-c" "echo hi > $out" ];`;
    await folder.write(
      "work/flake.nix",
      `{ outputs = { self }: { one = derivation { name = "one"; system = builtins.head [ "${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux" ]; ${builder} }; }; }`,
    );
    const env = { PATH: processEnvironment()["PATH"] ?? "", HOME: folder.at("home") };
    const cli = [process.execPath, resolve("dist/cli.js")];
    const cache = `file://${folder.at("cache")}`;
    const args = ["warm", "path:.#one", "--cache", cache, "--min-free", "1MB", "--json"];
    const how = { cwd: folder.at("work"), env };
    const { stdout } = await withoutNixFolder([...cli, ...args], how);
    expect(JSON.parse(stdout)).toMatchObject({
      pushed: [{ path: expect.stringMatching(/-one$/) }],
    });
  });
});

describe(`Nix that is not on PATH, ${NIX}`, () => {
  test("is found in the user's profile, and later steps are told how to find it", async () => {
    await using job = await startJob(NIXPKGS);
    const { environment } = job.machine;
    const real = folderOf("nix", environment["PATH"] ?? "") ?? "";
    const home = environment["HOME"] ?? "";
    await mkdir(join(home, ".nix-profile"));
    await symlink(real, join(home, ".nix-profile/bin"));
    const bare = join(job.machine.root, "bare");
    await mkdir(bare);
    const step = await job.main(
      { mode: "check", targets: ".#bws" },
      { environment: { ...environment, PATH: bare } },
    );
    expect(step.exitCode).toBe(0);
    expect(step.annotations).toContainEqual(
      expect.objectContaining({
        level: "warning",
        message: expect.stringContaining(`${join(home, ".nix-profile/bin")}, which is not on PATH`),
      }),
    );
  });
});
