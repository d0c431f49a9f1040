/** Owns accounts for tests, as a machine has them: a user who runs jobs, and Nix's build users. */

import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export interface Accounts extends AsyncDisposable {
  readonly runner: Account;
  /** The group of the build users. */
  readonly builders: string;
}

/** Making accounts is root's alone; elsewhere what needs them is skipped, and jest says so by name. */
export const canMakeAccounts =
  process.platform === "linux" &&
  process.getuid?.() === 0 &&
  (await run("sh", ["-c", "command -v useradd && command -v userdel && command -v groupadd"]).then(
    () => true,
    () => false,
  ));

const BUILDERS = 3;

/** Names of this process's own: two suites may run at once. They are gone when it is disposed of. */
export async function makeAccounts(): Promise<Accounts> {
  const prefix = `ncp${process.pid}`;
  const builders = `${prefix}-bld`;
  const runner = `${prefix}-run`;
  const users = [runner, ...Array.from({ length: BUILDERS }, (_, n) => `${builders}${n + 1}`)];
  const end = async () => {
    for (const user of users) await change("userdel", user).catch(() => undefined);
    for (const group of [builders, runner]) await change("groupdel", group).catch(() => undefined);
  };
  try {
    await change("groupadd", "--system", builders);
    const nobody = ["--no-create-home", "--home-dir", "/nonexistent", "--shell", "/bin/sh"];
    await change("useradd", "--system", "--user-group", ...nobody, runner);
    for (const user of users.slice(1)) {
      await change("useradd", "--system", "-g", builders, "-G", builders, ...nobody, user);
    }
    const [uid = 0, gid = 0] = await Promise.all(
      ["-u", "-g"].map(async (flag) => Number((await run("id", [flag, runner])).stdout)),
    );
    return { runner: { name: runner, uid, gid }, builders, [Symbol.asyncDispose]: end };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Somebody else may be changing /etc/passwd: then it is locked for a moment. */
async function change(program: string, ...args: string[]): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await run(program, args);
      return;
    } catch (error) {
      if (tries === 20 || !/lock/.test(String(error))) throw error;
      await new Promise((done) => setTimeout(done, 250));
    }
  }
}
