/** Owns the proof that install-nix runs only what has the right SHA-256. */

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import {
  hasNix,
  type InstallRequest,
  installNix,
  RELEASE,
  releaseOf,
} from "../../src/action/install-nix.ts";
import type { Sha256 } from "../../src/domain/hash.ts";
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
    release: {
      version: "9.9.9",
      base: new URL(`${base}/`),
      sha256: { "x86_64-linux": sha256, "x86_64-darwin": sha256 },
    },
    // biome-ignore lint/style/noProcessEnv: the installer is a shell script
    environment: { PATH: process.env["PATH"] ?? "", RUNNER_TOOL_CACHE: join(root, "tools") },
    platform: "linux",
    arch: "x64",
    folder: root,
    place: { nix: join(root, "place-of-nix"), settings: join(root, "etc/nix/nix.conf") },
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

test("where the runner's folder for tools cannot be made the download is not kept", async () => {
  const RUNNER_TOOL_CACHE = "/proc/tools";
  const { env } = process;
  Object.assign(env, { RUNNER_TOOL_CACHE });
  const environment = { PATH: env["PATH"] ?? "", RUNNER_TOOL_CACHE };
  const { error } = await installing(`echo "$@" > ${root}/installed`, { environment });
  expect(error).toBeUndefined();
  expect(await installed()).toContain("--no-daemon --yes");
});

describe("the machine under it", () => {
  const settings = () => readFile(join(root, "etc/nix/nix.conf"), "utf8");
  /** As in a slim container: what the installer runs, but no sudo. */
  async function without(...programs: string[]): Promise<string> {
    const bin = join(root, "bin");
    await mkdir(bin);
    for (const name of ["sh", "tar", "xz", "install", "mkdir", "env", "sleep"]) {
      if (programs.includes(name)) continue;
      const file = execFileSync("sh", ["-c", `command -v ${name}`], { encoding: "utf8" }).trim();
      await symlink(file, join(bin, name));
    }
    return bin;
  }
  const onlyRoot = process.getuid?.() === 0 ? test : test.skip;

  onlyRoot("root without sudo gets /nix, and later steps flakes and no build users", async () => {
    const environment = { PATH: await without(), RUNNER_TOOL_CACHE: join(root, "tools") };
    const { error } = await installing("exit 0", { environment });
    expect(error).toBeUndefined();
    expect((await stat(join(root, "place-of-nix"))).mode & 0o777).toBe(0o755);
    expect(await settings()).toContain(
      "experimental-features = nix-command flakes\nbuild-users-group =\n",
    );
  });

  test("settings that are there stay as they are", async () => {
    await mkdir(join(root, "etc/nix"), { recursive: true });
    await writeFile(join(root, "etc/nix/nix.conf"), "cores = 3\n");
    await installing("exit 0");
    expect(await settings()).toBe("cores = 3\n");
  });

  test("without xz it is said before the download, with what installs it", async () => {
    const environment = { PATH: await without("xz"), RUNNER_TOOL_CACHE: join(root, "tools") };
    let downloads = 0;
    await using server = await listen(async () => {
      downloads++;
      return text(500, "not asked");
    });
    const given = { ...request(server.origin, "0".repeat(64)), environment };
    await expect(installNix(given)).rejects.toMatchObject({
      code: "NCP-356",
      message: "install-nix needs xz, which this machine lacks",
    });
    expect(downloads).toBe(0);
  });

  test("a user without root and sudo is told, before the download", async () => {
    const environment = { PATH: await without(), RUNNER_TOOL_CACHE: join(root, "tools") };
    const given = request("http://127.0.0.1:9", "0".repeat(64));
    const place = { ...given.place, uid: 1000 };
    await expect(installNix({ ...given, environment, place })).rejects.toMatchObject({
      code: "NCP-201",
      message: expect.stringContaining("place-of-nix cannot be made by this user"),
    });
  });

  test("on macOS the daemon's installer is given flakes and this user", async () => {
    const environment = {
      ...request("http://127.0.0.1:9", "").environment,
      USER: "runner",
    };
    const { error, lines } = await installing(
      'for a in "$@"; do case $a in *.conf) while read -r l; do echo "$l"; done < "$a" ;; esac; done',
      { environment, platform: "darwin" },
    );
    expect(error).toBeUndefined();
    expect(lines).toEqual(
      expect.arrayContaining([
        "experimental-features = nix-command flakes",
        "trusted-users = root runner",
      ]),
    );
  });
});

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
  await expect(installNix(request(server.origin, right))).rejects.toThrow(
    /tools\/nix-tarball\/.* has not the SHA-256/,
  );
  expect(await installed()).toBeUndefined();
});

test("what is unpacked is what was summed: a file that changes after the download is refused", async () => {
  const tarball = await madeUp();
  await using server = await listen(async () => ({ status: 200, headers: {}, body: tarball }));
  const right = request(server.origin, createHash("sha256").update(tarball).digest("hex"));
  await installNix(right);
  await rm(join(root, "installed"));
  // Another archive of the same name, as good to unpack.
  await writeFile(join(root, "nix-9.9.9-x86_64-linux", "more"), "x");
  const kept = join(root, "tools", "nix-tarball", "9.9.9", "x86_64", name);
  execFileSync("tar", ["-cJf", kept, "-C", root, "nix-9.9.9-x86_64-linux"]);
  await expect(installNix(right)).rejects.toThrow(/has not the SHA-256/);
  expect(await installed()).toBeUndefined();
  // Nothing of it is left to be run by somebody else, but what was right before.
  const left = (await readdir(root)).filter(
    (one) => /^nix-[A-Za-z0-9]{6}$/.test(one) && one !== "nix-folder",
  );
  expect(left).toHaveLength(1);
});

test("an archive that is right and cannot be unpacked says what is needed", async () => {
  const body = Buffer.from("no archive");
  await using server = await listen(async () => ({ status: 200, headers: {}, body }));
  const right = request(server.origin, createHash("sha256").update(body).digest("hex"));
  await expect(installNix(right)).rejects.toMatchObject({
    code: "NCP-201",
    message: expect.stringMatching(/cannot be unpacked: .*tar/s),
    hint: expect.stringContaining("xz"),
  });
});

test("the user's own release is taken with the user's own sums", () => {
  const [linux, mac] = ["a".repeat(64), "b".repeat(64)] as [Sha256, Sha256];
  const own = releaseOf({ version: "2.34.7", sha256: new Map([["x86_64-linux", linux]]) });
  expect(own).toEqual({
    version: "2.34.7",
    base: new URL("https://releases.nixos.org/nix/nix-2.34.7/"),
    sha256: { "x86_64-linux": linux },
  });
  const any = releaseOf({ version: "2.34.7", sha256: new Map([["", mac]]) });
  expect(Object.values(any.sha256)).toEqual([mac, mac, mac, mac]);
  expect(releaseOf(undefined)).toBe(RELEASE);
});

test("a machine without a release is told so", async () => {
  const odd = { ...request("http://127.0.0.1:1", ""), arch: "s390x" as const };
  await expect(installNix(odd)).rejects.toThrow(/no release of Nix 9\.9\.9 for s390x-linux/);
});

test("Nix is looked for on PATH alone", async () => {
  await writeFile(join(root, "nix"), "");
  expect(await hasNix({ PATH: `/no-such-folder:${root}` })).toBe(true);
  expect(await hasNix({ PATH: "/no-such-folder" })).toBe(false);
});

test("each sum of the release is a SHA-256", () => {
  for (const sum of Object.values(RELEASE.sha256)) expect(sum).toMatch(/^[0-9a-f]{64}$/);
});

test("the page of the kinds of Nix has a row for the release that is installed", async () => {
  const page = await readFile("docs/kinds-of-nix.md", "utf8");
  const [minor = ""] = /^\d+\.\d+/.exec(RELEASE.version) ?? [];
  const rows = page.split("\n").filter((line) => line.startsWith("| Nix "));
  expect(rows.filter((row) => row.includes(minor))).toEqual([
    expect.stringContaining("`install-nix`"),
  ]);
});
