import { execFile } from "node:child_process";
import { mkdir, symlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { findGnuTar, howToInstall, missingProgram, searchPath } from "../../src/host/programs.ts";
import { busyboxTar } from "../support/busybox.ts";
import { temporaryFolder } from "../support/folder.ts";

const run = promisify(execFile);

describe("where programs are looked for", () => {
  const here = (...folders: string[]) => {
    return (folder: string) => folders.includes(folder);
  };

  test("behind PATH, where Nix, NixOS and Homebrew keep them", () => {
    const found = searchPath(
      { PATH: "/a:/b", HOME: "/home/me", USER: "me" },
      here(
        "/nix/var/nix/profiles/default/bin",
        "/home/me/.nix-profile/bin",
        "/run/wrappers/bin",
        "/etc/profiles/per-user/me/bin",
        "/run/current-system/sw/bin",
        "/opt/homebrew/bin",
      ),
    );
    expect(found.split(":")).toEqual([
      "/a",
      "/b",
      "/nix/var/nix/profiles/default/bin",
      "/home/me/.nix-profile/bin",
      "/run/wrappers/bin",
      "/etc/profiles/per-user/me/bin",
      "/run/current-system/sw/bin",
      "/opt/homebrew/bin",
    ]);
  });

  test("none twice, none that is not there, and no working folder by an empty entry", () => {
    const path = "/opt/homebrew/bin::/b:";
    expect(searchPath({ PATH: path }, here("/opt/homebrew/bin"))).toBe("/opt/homebrew/bin:/b");
  });

  test.each([{}, { PATH: "" }])("without a PATH (%j), where execvp looks", (environment) => {
    expect(searchPath(environment, here())).toBe("/usr/local/bin:/usr/bin:/bin");
  });

  test("a process that was started without PATH finds xz", async () => {
    const program = `
      import { compress } from ${JSON.stringify(join(import.meta.dirname, "../../src/host/compress.ts"))};
      async function* content() { yield Buffer.from("text"); }
      const chunks = [];
      const signal = new AbortController().signal;
      for await (const chunk of compress({ compression: "xz" }, content(), signal)) chunks.push(chunk);
      console.log(Buffer.concat(chunks).subarray(1, 4).toString());`;
    const args = ["--input-type=module", "--eval", program];
    const { stdout } = await run(process.execPath, args, { env: {} });
    expect(stdout).toBe("7zX\n");
  });
});

describe("what to install", () => {
  const machine = (file: string) => (one: string) => one === file;

  test.each([
    ["/sbin/apk", "apk add tar", "apk add xz"],
    ["/usr/bin/apt-get", "apt-get install -y tar", "apt-get install -y xz-utils"],
    ["/usr/bin/dnf", "dnf install -y tar", "dnf install -y xz"],
    ["/opt/homebrew/bin/brew", "brew install gnu-tar", "brew install xz"],
    ["nothing of these", "nix profile install nixpkgs#gnutar", "nix profile install nixpkgs#xz"],
  ])("with %s", (file, tar, xz) => {
    expect(howToInstall("GNU tar", machine(file))).toBe(tar);
    expect(howToInstall("xz", machine(file))).toBe(xz);
  });

  test("on NixOS, the runner's packages", () => {
    const how = howToInstall("GNU tar", machine("/etc/NIXOS"));
    expect(how).toContain("extraPackages");
    expect(how).toContain("pkgs.gnutar");
  });

  test("is the hint of the error that names the program", () => {
    const { code, message, hint } = missingProgram("xz", "this");
    expect([code, message]).toEqual(["NCP-356", "this needs xz, which this machine lacks"]);
    expect(hint).toContain("xz");
  });
});

/** On macOS tar is another, which GitHub's cache client knows how to talk to. */
const onLinux = process.platform === "linux" ? test : test.skip;

describe("GNU tar", () => {
  onLinux("is found behind another's, by either name, or not at all", async () => {
    await using root = await temporaryFolder();
    const busybox = dirname(await busyboxTar(root));
    await mkdir(root.at("gnu"));
    const { stdout } = await run("sh", ["-c", "command -v tar"]);
    await symlink(stdout.trim(), root.at("gnu", "gtar"));
    expect(await findGnuTar(busybox)).toBeUndefined();
    expect(await findGnuTar(`${busybox}:${root.at("gnu")}`)).toBe(root.at("gnu", "gtar"));
  });
});
