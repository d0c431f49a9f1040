/** Owns a real sshd on loopback with a Nix store of its own behind it, and a client that may log in. */

import { execFile } from "node:child_process";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { promisify } from "node:util";
import { processEnvironment } from "../../src/host/environment.ts";
import { type Folder, temporaryFolder } from "../support/folder.ts";
import { findProgram, freePort, startProgram } from "./program.ts";

const run = promisify(execFile);

export interface SshStore extends AsyncDisposable {
  /** `ssh-ng://USER@127.0.0.1?…`: an empty store, in a folder. */
  readonly url: string;
  /** Where the store folder really is. */
  readonly folder: string;
  readonly port: number;
  /** A client's: its key, the host it knows, a Nix that touches nothing of this machine's. */
  readonly environment: Readonly<Record<string, string>>;
  readonly version: string;
  /** As `environment`, with other options of ssh; of one given twice, the first counts. */
  withSsh(options: readonly string[]): Readonly<Record<string, string>>;
  /** ssh's options of the client that may log in: its key, then the hosts it knows. */
  readonly client: readonly string[];
  /** Those of one whose key nobody knows. */
  readonly strangersClient: readonly string[];
  /** The store's address with another program on the far side. */
  urlOf(remoteProgram: string): string;
  /** Logins so far. */
  connections(): number;
  /** Runs a command of Nix on the store itself, as its host would. */
  nix(program: string, args: readonly string[]): Promise<string>;
}

/** `more`: further lines of the far side's nix.conf. */
export async function sshStore(storeDir = "/nix/store", more = ""): Promise<SshStore> {
  const folder = await temporaryFolder();
  try {
    return await start(folder, storeDir, more);
  } catch (error) {
    await folder[Symbol.asyncDispose]();
    throw error;
  }
}

async function start(folder: Folder, storeDir: string, more: string): Promise<SshStore> {
  const path = processEnvironment()["PATH"] ?? "";
  for (const name of ["host", "user", "stranger"]) {
    await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", folder.at(name)]);
  }
  const port = await freePort();
  const hostKey = await readFile(folder.at("host.pub"), "utf8");
  await folder.write("known", `[127.0.0.1]:${port} ${hostKey}`);
  await folder.write("authorized", await readFile(folder.at("user.pub")));
  const configuration = await folder.write(
    "sshd_config",
    [
      `Port ${port}`,
      "ListenAddress 127.0.0.1",
      `HostKey ${folder.at("host")}`,
      `AuthorizedKeysFile ${folder.at("authorized")}`,
      `PidFile ${folder.at("pid")}`,
      // The folder is below /tmp, which everybody may write to.
      "StrictModes no",
      "UsePAM no",
      "PasswordAuthentication no",
      "KbdInteractiveAuthentication no",
      "PermitRootLogin prohibit-password",
      "",
    ].join("\n"),
  );
  const nixConf = "sandbox = false\nbuild-users-group =\nsubstituters =\n";
  await folder.write("remote/etc/nix.conf", `${nixConf}${more}\n`);
  const theirs = {
    PATH: path,
    HOME: folder.at("remote"),
    NIX_CONF_DIR: folder.at("remote/etc"),
    NIX_STORE_DIR: storeDir,
    NIX_REMOTE: `local?root=${folder.at("remote/root")}`,
  };
  const daemon = await folder.write(
    "nix-daemon",
    [
      "#!/bin/sh",
      ...Object.entries(theirs).map(([name, value]) => `export ${name}='${value}'`),
      'exec nix-daemon "$@"',
      "",
    ].join("\n"),
  );
  await chmod(daemon, 0o755);
  // As root, sshd wants it, and outside of systemd nobody makes it.
  if (process.getuid?.() === 0) await mkdir("/run/sshd", { recursive: true, mode: 0o755 });
  const sshd = await startProgram(
    await findProgram("sshd"),
    ["-D", "-e", "-f", configuration],
    { PATH: path },
    async (log) => log.includes("Server listening"),
  );
  const user = userInfo().username;
  const urlOf = (remoteProgram: string) =>
    `ssh-ng://${user}@127.0.0.1?${new URLSearchParams({ "remote-program": remoteProgram })}`;
  const knownHosts = `-o UserKnownHostsFile=${folder.at("known")}`;
  const client = [`-i ${folder.at("user")}`, knownHosts];
  await mkdir(folder.at("client"));
  await writeFile(folder.at("client", "nix.conf"), nixConf);
  const withSsh = (options: readonly string[]) => ({
    PATH: path,
    HOME: folder.at("client"),
    TMPDIR: folder.at("client"),
    NIX_CONF_DIR: folder.at("client"),
    // Whatever Nix opens on the way, it is not this machine's own store.
    NIX_REMOTE: `local?root=${folder.at("client", "root")}`,
    NIX_SSHOPTS: [...options, `-p ${port}`, "-o IdentitiesOnly=yes", "-F none"].join(" "),
  });
  const { stdout } = await run("nix", ["--version"]);
  return {
    url: urlOf(daemon),
    folder: folder.at("remote/root", storeDir),
    port,
    version: /\d+\.\d+(\.\d+)?/.exec(stdout)?.[0] ?? "",
    environment: withSsh(client),
    withSsh,
    client,
    strangersClient: [`-i ${folder.at("stranger")}`, knownHosts],
    urlOf,
    connections: () => sshd.log().split("Accepted publickey").length - 1,
    async nix(program, args) {
      return (await run(program, args, { env: theirs })).stdout;
    },
    async [Symbol.asyncDispose]() {
      await sshd[Symbol.asyncDispose]();
      // What Nix put into a store may not be written to, folders included.
      await run("chmod", ["-R", "u+w", folder.path]);
      await folder[Symbol.asyncDispose]();
    },
  };
}
