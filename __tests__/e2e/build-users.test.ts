/** Owns a daemon with build users and a sandbox, as install-nix-action leaves it, and a job that is not root. */

import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { canMakeAccounts, makeAccounts } from "../support/accounts.ts";
import { canMount, mountTmpfs } from "../support/mount.ts";
import { startDaemon } from "./daemon.ts";
import { MINOR, NIX, startJob } from "./job.ts";

const NAMESPACES = ["--mount", "--pid", "--net", "--ipc", "--uts", "--fork"];
/** Root may make what Nix's sandbox is made of; where it may not, these tests are skipped by name. */
const sandboxed =
  canMount &&
  canMakeAccounts &&
  (await promisify(execFile)("unshare", [...NAMESPACES, "true"]).then(
    () => true,
    () => false,
  ));

/** Says who builds and where, and keeps 40 MB beside it long enough to be seen. */
const FLAKE = `{ outputs = { self }: { big = derivation {
  name = "big-1.0"; system = "x86_64-linux"; builder = "/bin/sh";
  args = [ "-c" "/bin/sleep 1; /usr/bin/head -c 40000000 /dev/zero > scratch; /bin/sleep 2; echo $(/usr/bin/id -un) $PWD > $out" ];
}; }; }`;

(sandboxed ? describe : describe.skip)(`a daemon with build users, on ${NIX}`, () => {
  test("a trusted user who is not root warms; what the build took is learnt, and reckoned with", async () => {
    await using accounts = await makeAccounts();
    // Nobody else writes there, and no folder above it is open to everybody, which newer Nix refuses.
    await using builds = await mountTmpfs("size=200m", "/run");
    await using job = await startJob(undefined);
    await writeFile(join(job.workspace, "flake.nix"), FLAKE);
    const { runner, builders } = accounts;
    await using daemon = await startDaemon(job, { user: runner });
    await daemon.configure([
      `build-users-group = ${builders}`,
      "sandbox = true",
      "sandbox-fallback = false",
      "sandbox-paths = /bin /usr /lib /lib64",
      "max-jobs = auto",
      ...(MINOR >= 19 ? ["always-allow-substitutes = true"] : []),
      `trusted-users = root ${runner.name}`,
      ...(MINOR >= 22 ? [`build-dir = ${builds.path}`] : []),
    ]);
    const inputs = { mode: "warm", targets: "path:.#big pin=big", verify: "full" };
    const warm = await job.main(inputs, daemon.how);
    expect([warm.exitCode, warm.exitCode === 0 ? "" : warm.log]).toEqual([0, ""]);
    expect(warm.building).toEqual(["big-1.0"]);
    expect(warm.log).not.toContain("unknown setting");
    expect(warm.report().pinned).toMatchObject([{ state: "confirmed" }]);
    // Nix's own: who builds in a sandbox is called so, and is nobody of this machine.
    const [path = ""] = Object.values(JSON.parse(warm.outputs["store-paths"] ?? "{}"));
    expect(await readFile(String(path), "utf8")).toBe("nixbld /build\n");

    const [figures] = warm.report().figures;
    expect(figures).toMatchObject({ name: "big" });
    // The folder is the build user's alone: what its file system lost meanwhile is what there is to see. An
    // older daemon builds in /tmp, where others write, too.
    if (MINOR >= 22) {
      expect(figures?.buildBytes).toBeGreaterThan(30e6);
      expect(figures?.buildBytes).toBeLessThan(60e6);
    }
    expect(figures?.seconds).toBeGreaterThan(2.5);
    expect((await job.post(inputs, { ...daemon.how, state: warm.state })).exitCode).toBe(0);

    // Another build of that name, on the next machine: it is known before what it will take.
    await writeFile(join(job.workspace, "flake.nix"), FLAKE.replace("sleep 1", "sleep 0"));
    const check = await job.main({ ...inputs, mode: "check" }, daemon.how);
    const needs = check.report().diskSpace.flatMap((one) => one.needs);
    expect(needs).toContainEqual(
      expect.objectContaining({
        what: "build directory",
        directory: MINOR >= 22 ? builds.path : "/tmp",
        bytes: figures?.buildBytes,
      }),
    );
  });
});
