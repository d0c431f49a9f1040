/** Owns what is done as root: a hosted runner's user may, by sudo, and another may not. Real sudo, in a mount namespace. */

import { execFile } from "node:child_process";
import { chmod, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { canMakeAccounts, makeAccounts } from "../support/accounts.ts";
import { canMount, type Mounted, mountTmpfs } from "../support/mount.ts";
import { nixFor } from "./daemon.ts";
import { flake, type How, MINOR, NIX, startJob, type TestJob, told } from "./job.ts";

const run = promisify(execFile);

/** Debian's sudo as its package has it; undefined where nobody could fetch it. */
const SUDO = await (async () => {
  if (!canMount || !canMakeAccounts) return undefined;
  const { stdout } = await run("./scripts/setup-tools");
  const tree = join(dirname(stdout.trim()), "debian");
  return stat(join(tree, "usr/bin/sudo")).then(
    () => tree,
    () => undefined,
  );
})().catch(() => undefined);

/**
 * For bash, which hands on variables with a hyphen in their name.
 * Shows sudo and its rules to what is started, at their own places, and folders of the test's at others:
 * $1 a folder for the rules, $2 sudo's tree, $3 in place of /opt, $4 of /mnt; $5 and $6 are who to become.
 */
const ENTER = `set -e
mount --make-rprivate /
if [ -n "$2" ]; then
  mount -t overlay -o "lowerdir=$2/usr:/usr" overlay /usr
  mount -t overlay -o "lowerdir=$1:$2/etc:/etc" overlay /etc
fi
mount --bind "$3" /opt
mount --bind "$4" /mnt
user=$5 group=$6
shift 6
exec setpriv --reuid "$user" --regid "$group" --init-groups "$@"`;

interface Hosted extends AsyncDisposable {
  readonly job: TestJob;
  readonly small: Mounted;
  readonly how: How;
}

type Sudo = "free of passwords" | "with a password" | "none";

/**
 * A machine on whose small disk everything is that a build writes, and a tool folder of 150 MB; on its second
 * disk, which only root may write to, nothing.
 */
async function hosted(sudo: Sudo, second: "large" | "small"): Promise<Hosted> {
  await using stack = new AsyncDisposableStack();
  const { runner } = stack.use(await makeAccounts());
  const small = stack.use(await mountTmpfs("size=300m"));
  const mnt = stack.use(await mountTmpfs(second === "large" ? "size=400m" : "size=1m"));
  const configuration = MINOR >= 26 ? `build-dir = ${small.at("tmp")}` : "";
  const defaults = { mode: "warm", reclaim: "auto", targets: ".#bigBuild space=160MB" };
  const job = stack.use(
    await startJob(flake("rooms"), { storeIn: small.path, configuration, defaults }),
  );
  const tools = small.at("opt/hostedtoolcache/CodeQL");
  await mkdir(tools, { recursive: true });
  await Promise.all([small.at("tmp"), small.at("runner")].map((folder) => mkdir(folder)));
  await run("dd", ["if=/dev/zero", `of=${join(tools, "bundle")}`, "bs=1M", "count=150"]);
  const rules = join(job.machine.root, "rules", "sudoers.d");
  await mkdir(rules, { recursive: true });
  if (sudo === "free of passwords") {
    await writeFile(join(rules, "runner"), `${runner.name} ALL=(ALL) NOPASSWD: ALL\n`, {
      mode: 0o440,
    });
  }
  await chmod(job.machine.root, 0o755);
  const own = ["store", "var", "tmp", "runner"].map((name) => small.at(name));
  const { uid, gid } = runner;
  await run("chown", ["-R", `${uid}:${gid}`, job.machine.root, ...own]);
  // Else sudo believes none of them.
  await run("chown", ["-R", "0:0", dirname(rules)]);
  const environment = {
    ...job.machine.environment,
    PATH: await nixFor(
      runner,
      job.machine.environment["PATH"] ?? "",
      join(job.machine.root, "nix-bin"),
      stack,
    ),
    USER: runner.name,
    TMPDIR: small.at("tmp"),
  };
  const tree = sudo === "none" ? "" : (SUDO ?? "");
  const all = stack.move();
  const through = ["unshare", "--mount", "bash", "-c", ENTER, "bash"];
  return {
    job,
    small,
    how: {
      environment,
      temp: small.at("runner"),
      user: { uid, gid },
      through: [
        ...[...through, dirname(rules), tree, small.at("opt"), mnt.path],
        ...[`${uid}`, `${gid}`],
      ],
    },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  };
}

(SUDO === undefined ? describe.skip : describe)(`sudo, on ${NIX}`, () => {
  const tools = ({ small }: Hosted) => readdir(small.at("opt/hostedtoolcache"));

  test("whoever has it deletes a tool folder of root's, and what lacked space is built", async () => {
    await using here = await hosted("free of passwords", "small");
    const step = await here.job.main({}, here.how);
    expect([step.exitCode, step.exitCode === 0 ? "" : step.log]).toEqual([0, ""]);
    expect(step.report().reclaimed).toMatchObject([{ what: expect.stringContaining("CodeQL") }]);
    expect(await tools(here)).toEqual([]);
    expect(step.building).toEqual(["big-build-1.0"]);
  });

  test("whoever has it builds on the second disk, which is root's", async () => {
    await using here = await hosted("free of passwords", "large");
    const step = await here.job.main({}, here.how);
    expect([step.exitCode, step.exitCode === 0 ? "" : step.log]).toEqual([0, ""]);
    expect(step.log).toContain("Build in /mnt/nix-cache-preflight instead of");
    expect(await tools(here)).toEqual(["CodeQL"]);
    expect(step.building).toEqual(["big-build-1.0"]);
  });

  test.each([
    ["whoever has it", "free of passwords", true],
    ["whoever has it not keeps to the own home, and", "none", false],
  ] as const)("%s settles what install-nix leaves for later steps", async (_, sudo, system) => {
    await using here = await hosted(sudo, "small");
    const { job, small, how } = here;
    const settings = small.at("etc/nix/nix.conf");
    const home = job.machine.environment["HOME"] ?? "";
    const place = { platform: "linux", folder: small.at("runner"), settings };
    const script = `
      import { settle } from ${JSON.stringify(pathToFileURL(resolve("src/action/install-place.ts")).href)};
      const { PATH, HOME } = process.env;
      const log = { info() {}, debug() {}, group() {}, endGroup() {} };
      const signal = AbortSignal.timeout(60_000);
      await settle({ ...${JSON.stringify(place)}, environment: { PATH, HOME }, log, signal });`;
    const [program = "", ...args] = how.through ?? [];
    const node = [process.execPath, "--input-type=module", "--eval", script];
    const env = { PATH: how.environment?.["PATH"] ?? "", HOME: home };
    await run(program, [...args, ...node], { env, cwd: "/" });
    const file = system ? settings : join(home, ".config/nix/nix.conf");
    expect(await readFile(file, "utf8")).toContain("experimental-features = nix-command flakes");
    expect((await stat(file)).uid === 0).toBe(system);
  });

  test.each([
    ["with a password", "sudo: a password is required"],
    ["none", "it takes root, which this user is not, and there is no sudo"],
  ] as const)(
    "whoever has it not (%s) is told so, and nothing of root's goes",
    async (sudo, words) => {
      await using here = await hosted(sudo, "small");
      const step = await here.job.main({}, here.how);
      expect(step.exitCode).toBe(1);
      const warnings = told(step).filter((line) => line.startsWith("warning: "));
      expect(warnings).toEqual([expect.stringContaining("Delete /opt/hostedtoolcache/CodeQL")]);
      expect(warnings[0]).toContain(words);
      expect(await tools(here)).toEqual(["CodeQL"]);
      // The plan counted on it: what then lacks space dies of that, and is told by name.
      expect(step.annotations[0]).toMatchObject({ message: expect.stringContaining("NCP-407") });
    },
  );
});
