/** Owns the proof that install-nix runs only what has the right SHA-256. */

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { hasNix, type InstallRequest, installNix, RELEASE } from "../../src/action/install-nix.ts";
import { identityOf } from "../../src/host/processes.ts";
import { listen, text } from "../servers/http.ts";

let root = "";
const name = "nix-9.9.9-x86_64-linux.tar.xz";

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "ncp-install-"));
  // @actions/tool-cache reads these itself.
  // biome-ignore lint/style/noProcessEnv: as the runner sets them
  Object.assign(process.env, { RUNNER_TOOL_CACHE: join(root, "tools"), RUNNER_TEMP: root });
});

afterEach(() => rm(root, { recursive: true }));

/** A release whose installer leaves a file with its arguments. */
async function madeUp(script = `echo "$@" > ${root}/installed`): Promise<Buffer> {
  const folder = join(root, "nix-9.9.9-x86_64-linux");
  await mkdir(folder);
  await writeFile(join(folder, "install"), `#!/bin/sh\n${script}\n`);
  await chmod(join(folder, "install"), 0o755);
  execFileSync("tar", ["-cJf", join(root, name), "-C", root, "nix-9.9.9-x86_64-linux"]);
  return readFile(join(root, name));
}

function request(base: string, sha256: string): InstallRequest {
  return {
    release: { version: "9.9.9", base: new URL(`${base}/`), sha256: { "x86_64-linux": sha256 } },
    // biome-ignore lint/style/noProcessEnv: the installer is a shell script
    environment: { PATH: process.env["PATH"] ?? "", RUNNER_TOOL_CACHE: join(root, "tools") },
    platform: "linux",
    arch: "x64",
    folder: root,
    log: { group() {}, endGroup() {}, info() {}, debug() {} },
    signal: AbortSignal.timeout(60_000),
  };
}

function installed(): Promise<string | undefined> {
  return readFile(join(root, "installed"), "utf8").catch(() => undefined);
}

test("a release is downloaded once, checked, and its installer run", async () => {
  const tarball = await madeUp();
  let downloads = 0;
  await using server = await listen(async () => {
    downloads++;
    return { status: 200, headers: {}, body: tarball };
  });
  const right = request(server.origin, createHash("sha256").update(tarball).digest("hex"));
  expect(await installNix(right)).toContain("/nix/var/nix/profiles/default/bin");
  expect(await installed()).toContain("--no-daemon --yes");
  await installNix(right);
  expect(downloads).toBe(1);
});

/** What an installation comes to whose installer does this, and the lines it logged. */
async function installing(script: string, how: Partial<InstallRequest> = {}) {
  const tarball = await madeUp(script);
  await using server = await listen(async () => ({ status: 200, headers: {}, body: tarball }));
  const lines: string[] = [];
  const log = { group() {}, endGroup() {}, info: (line: string) => lines.push(line), debug() {} };
  const given = request(server.origin, createHash("sha256").update(tarball).digest("hex"));
  const error = await installNix({ ...given, log, ...how }).then(
    () => undefined,
    (one: unknown) => String(one),
  );
  return { error, lines };
}

describe("the installer", () => {
  test("writes to the log, out and error, line by line", async () => {
    const { error, lines } = await installing("echo from-out; echo from-error >&2; printf last");
    expect(error).toBeUndefined();
    expect(lines).toEqual(expect.arrayContaining(["from-out", "from-error"]));
  });

  test("that fails is told with its last lines", async () => {
    const { error } = await installing("seq 1 1000; echo no space >&2; exit 7");
    expect(error).toMatch(/Nix's installer ended with 7: /);
    expect(error).toContain("no space");
    expect(error?.length).toBeLessThan(1_000);
  });

  test("finds no secret in its environment", async () => {
    // biome-ignore lint/style/noProcessEnv: as the runner gives the step its inputs
    process.env["INPUT_TOKEN"] = "not-to-be-seen";
    const { lines } = await installing("env");
    // biome-ignore lint/style/noProcessEnv: taken back
    delete process.env["INPUT_TOKEN"];
    expect(lines.some((line) => line.startsWith("PATH="))).toBe(true);
    expect(lines.join("\n")).not.toContain("not-to-be-seen");
  });

  test("that hangs is ended at its deadline", async () => {
    const { error } = await installing("exec sleep 1000", { deadline: 1 });
    expect(error).toContain("Nix's installer took longer than 0.001 s");
  });

  test("is ended with all that it started when the run is interrupted", async () => {
    const controller = new AbortController();
    const pids: number[] = [];
    const log = {
      group() {},
      endGroup() {},
      info(line: string) {
        for (const [, pid] of line.matchAll(/^started (\d+)$/g)) pids.push(Number(pid));
        if (pids.length === 2) controller.abort(new Error("interrupted"));
      },
      debug() {},
    };
    const script = "sleep 1000 & echo started $!; echo started $$; trap '' TERM; wait; wait";
    const { error } = await installing(script, { log, signal: controller.signal });
    expect(error).toContain("interrupted");
    expect(pids).toHaveLength(2);
    for (const pid of pids) expect(await identityOf(pid)).toBeUndefined();
  });
});

test("another SHA-256 is refused, and nothing is run", async () => {
  const tarball = await madeUp();
  await using server = await listen(async () => ({ status: 200, headers: {}, body: tarball }));
  await expect(installNix(request(server.origin, "0".repeat(64)))).rejects.toThrow(
    /has not the SHA-256 0{64}/,
  );
  expect(await installed()).toBeUndefined();
});

test("a wrong file in the tool cache is refused, and nothing is run", async () => {
  const tarball = await madeUp();
  await using server = await listen(async () => text(500, "not asked"));
  const folder = join(root, "tools", "nix-tarball", "9.9.9", "x86_64");
  await mkdir(folder, { recursive: true });
  await writeFile(`${folder}.complete`, "");
  await writeFile(join(folder, name), "something else");
  const right = createHash("sha256").update(tarball).digest("hex");
  await expect(installNix(request(server.origin, right))).rejects.toThrow(/the tool cache's/);
  expect(await installed()).toBeUndefined();
});

test("a machine without a release is told so", async () => {
  const odd = { ...request("http://127.0.0.1:1", ""), arch: "s390x" as const };
  await expect(installNix(odd)).rejects.toThrow(/no release of Nix for s390x-linux/);
});

test("Nix is looked for on PATH alone", async () => {
  await writeFile(join(root, "nix"), "");
  expect(await hasNix({ PATH: `/no-such-folder:${root}` })).toBe(true);
  expect(await hasNix({ PATH: "/no-such-folder" })).toBe(false);
});

test("each sum of the release is a SHA-256", () => {
  for (const sum of Object.values(RELEASE.sha256)) expect(sum).toMatch(/^[0-9a-f]{64}$/);
});
