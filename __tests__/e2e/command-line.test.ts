import { execFile } from "node:child_process";
import { readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { openTerminal } from "../servers/terminal.ts";
import { HOME, NIX, NIXPKGS, startJob, type TestJob } from "./job.ts";

const CLI = resolve("dist/cli.js");
const TARGETS = "'.#homeConfigurations.*.activationPackage'";

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command in a pipe. */
async function cli(job: TestJob, args: readonly string[], more = {}): Promise<Ended> {
  const env = { ...job.machine.environment, ...more };
  const done = await promisify(execFile)(process.execPath, [CLI, ...args], {
    cwd: job.workspace,
    env,
  }).catch((error: Ended) => error);
  return { code: "code" in done ? Number(done.code) : 0, stdout: done.stdout, stderr: done.stderr };
}

const start = () => startJob(HOME, { inputs: { nixpkgs: NIXPKGS } });

describe(`in a pipe, ${NIX}`, () => {
  test("check says what another machine would have to build: plain lines, no colour", async () => {
    await using job = await start();
    const args = ["check", ".#homeConfigurations.alice.activationPackage"];
    const { code, stdout, stderr } = await cli(job, args);
    expect(stdout).toContain("The target is not cached; bws-1.0.0 would be built from source");
    expect(stderr).toContain("Look: what is cached, and where\n");
    expect(`${stdout}${stderr}`).not.toContain("\u001b");
    expect(code).toBe(0);
  });

  test("--json is one JSON document, whatever comes of it", async () => {
    await using job = await start();
    const good = await cli(job, ["check", ".#homeConfigurations.bob.activationPackage", "--json"]);
    expect(JSON.parse(good.stdout)).toMatchObject({ version: 2, mode: "check", hitRate: 0 });
    const bad = await cli(job, ["check", ".#a=b", "--verify", "x", "--json"]);
    expect(JSON.parse(bad.stdout)).toMatchObject({
      error: { code: expect.stringMatching(/^NCP-/) },
    });
    expect(bad.code).toBe(2);
  });

  test.each([
    [["check", ".#homeConfigurations.alice.activationPackage"], 0],
    [["check", ".#homeConfigurations.alice.activationPackage", "--fail-on", "missing"], 1],
    [["check", ".#nosuch"], 1],
    [["chek"], 2],
    [["check", "--heavy", ">lots"], 2],
    [[], 2],
    [["--help"], 0],
  ])("%j ends with %d", async (args, code) => {
    await using job = await start();
    expect((await cli(job, args)).code).toBe(code);
  });
});

describe(`setup, ${NIX}`, () => {
  const KEY = `ours-1:${Buffer.alloc(32, 7).toString("base64")}`;

  async function withCache() {
    const job = await start();
    await job.machine.nix("nix-store", ["--init"]).catch(() => undefined);
    const { environment, root, storeDir } = job.machine;
    const cache = join(root, "shared");
    await promisify(execFile)("mkdir", [
      "-p",
      cache,
      join(environment["HOME"] ?? "", ".config/nix"),
    ]);
    await promisify(execFile)("sh", [
      "-c",
      `printf 'StoreDir: ${storeDir}\\n' > ${cache}/nix-cache-info`,
    ]);
    const conf = join(environment["HOME"] ?? "", ".config", "nix", "nix.conf");
    return { job, cache, conf };
  }

  test("adds once what is not there, and changes no line of the user's", async () => {
    const { job, cache, conf } = await withCache();
    await using _job = job;
    const mine = "# mine\nextra-substituters = https://mine.example\nkeep-going = true";
    await promisify(execFile)("sh", ["-c", `printf '${mine}' > ${conf}`]);
    const args = ["setup", "--substituters", `file://${cache} ${KEY}`];

    const first = await cli(job, args);
    expect(first).toMatchObject({ code: 0, stdout: expect.stringContaining("1 key added to") });
    const written = await readFile(conf, "utf8");
    expect(written).toBe(
      `${mine}\n# added by nix-cache-preflight setup\nextra-substituters = file://${cache}\nextra-trusted-public-keys = ${KEY}\n`,
    );
    const again = await cli(job, args);
    expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining("nothing to add") });
    expect(await readFile(conf, "utf8")).toBe(written);
    // What Nix makes of it, not we.
    const shown = await job.machine
      .nix("nix", ["config", "show"])
      .catch(() => job.machine.nix("nix", ["show-config"]));
    expect(shown).toMatch(
      new RegExp(`^substituters = .*https://mine.example.*file://${cache}`, "m"),
    );
    expect(shown).toContain(KEY);
  });

  test("is the only command that writes it: a run gives its caches to each call, and keeps none", async () => {
    const { job, cache, conf } = await withCache();
    await using _job = job;
    const own = join(job.machine.root, "own");
    const target = ".#homeConfigurations.alice.activationPackage";
    await cli(job, ["warm", target, "--cache", `file://${own}`, "--min-free", "1MB"]);
    await job.machine.forget();
    const args = ["prefetch", target, "--cache", `file://${own}`, "--min-free", "1MB"];
    const fetched = await cli(job, args);
    expect(fetched).toMatchObject({ code: 0, stdout: expect.stringContaining("fetched") });
    await expect(readFile(conf)).rejects.toThrow("ENOENT");
    const state = join(job.machine.environment["HOME"] ?? "", ".local/state/nix-cache-preflight");
    expect(await readdir(state)).toEqual([]);
    await cli(job, ["setup", "--cache", `file://${cache}`]);
    await cli(job, args);
    expect(await readFile(conf, "utf8")).toBe(
      `# added by nix-cache-preflight setup\nextra-substituters = file://${cache}?trusted=1\n`,
    );
  });

  test("--remove takes back what it added, and no other line", async () => {
    const { job, cache, conf } = await withCache();
    await using _job = job;
    const mine = "# mine\nkeep-going = true\n";
    await writeFile(conf, mine);
    await cli(job, ["setup", "--substituters", `file://${cache} ${KEY}`]);
    const back = await cli(job, ["setup", "--remove"]);
    expect(back).toMatchObject({ code: 0, stdout: expect.stringContaining("2 lines taken out") });
    expect(await readFile(conf, "utf8")).toBe(mine);
    const json = await cli(job, ["setup", "--remove", "--json"]);
    expect(JSON.parse(json.stdout)).toEqual({ file: conf, removed: [] });
    for (const args of [
      ["check", "--remove"],
      ["setup", "--remove", "--cache", `file://${cache}`],
    ])
      expect(await cli(job, args)).toMatchObject({
        code: 2,
        stderr: expect.stringContaining("NCP-640"),
      });
  });

  test("leaves a file that another program makes as it is, and says what to add there", async () => {
    const { job, cache, conf } = await withCache();
    await using _job = job;
    const theirs = join(job.workspace, "theirs.conf");
    await writeFile(theirs, "keep-going = true\n");
    const made = await job.machine.nix("nix-store", ["--add", theirs]);
    await symlink(made.trim(), conf);
    const { code, stderr } = await cli(job, ["setup", "--cache", `file://${cache}`]);
    expect(code).toBe(1);
    expect(stderr).toContain("NCP-641");
    expect(stderr).toContain(`extra-substituters = file://${cache}`);
  });

  test.each([
    [["setup"], "NCP-642"],
    [["setup", "--cache", "http://127.0.0.1:1"], "NCP-302"],
  ])("%j writes nothing and says %s", async (args, code) => {
    const { job, conf } = await withCache();
    await using _job = job;
    const ended = await cli(job, args);
    expect(ended).toMatchObject({ code: 1, stderr: expect.stringContaining(code) });
    await expect(readFile(conf)).rejects.toThrow("ENOENT");
  });
});

describe(`in a terminal, ${NIX}`, () => {
  const warm = (job: TestJob) =>
    `${process.execPath} ${CLI} warm ${TARGETS} --cache file://${job.machine.root}/c --min-free 1MB`;
  const open = (job: TestJob, columns: number, more: Readonly<Record<string, string>> = {}) =>
    openTerminal(warm(job), {
      columns,
      rows: 24,
      cwd: job.workspace,
      environment: { ...job.machine.environment, ...more },
    });

  test("shows phases, a bar, and what came of it", async () => {
    await using job = await start();
    await using terminal = await open(job, 80);
    await terminal.shows(/^. Build .*\n {2}\d+ derivations? so far/m);
    const text = await terminal.shows(/ended with 0/);
    expect(text).toMatch(/^✔ Look: what is cached, and where [\d.]+ s$/m);
    expect(text).toMatch(/^✔ Push and verify 3 targets [\d.]+ s$/m);
    // What was live is gone: no bar and no spinner is left behind.
    expect(text).not.toMatch(/[█░⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]/);
    expect(text).toContain("now all are cached");
    expect(await terminal.painted()).toContain("\u001b[32m✔");
  });

  test("of 40 columns cuts what is live and wraps what stays", async () => {
    await using job = await start();
    await using terminal = await open(job, 40);
    const lines = (await terminal.shows(/ended with 0/)).split("\n");
    expect(lines).toContain("✔ Build 3 derivations that several tar…");
    expect(lines).toContain("0 of 3 targets were cached; bws-1.0.0");
    expect(lines).toContain("  was built from source for all of");
    expect(lines.filter((line) => line.length > 40)).toEqual([]);
  });

  test("that is made narrower meanwhile shows each phase once", async () => {
    await using job = await start();
    await using terminal = await open(job, 70);
    await terminal.shows(/^. Build 3 derivations/m);
    await terminal.resize(40, 24);
    const text = await terminal.shows(/ended with 0/);
    expect(text.match(/Build 3 derivations/g)).toHaveLength(1);
    expect(text).not.toMatch(/[█░⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]/);
  });

  test.each([
    ["NO_COLOR", { NO_COLOR: "1" }],
    ["another locale", { LANG: "C", NO_COLOR: "1" }],
  ])("with %s paints nothing", async (_, more) => {
    await using job = await start();
    await using terminal = await open(job, 80, more);
    await terminal.shows(/ended with 0/);
    // Bold, dim and colours; tmux itself resets with 39 and 0.
    const codes = (await terminal.painted()).split("\u001b[").slice(1);
    expect(codes.filter((code) => /^(1|2|3[0-7]|9\d)m/.test(code))).toEqual([]);
  });

  test("that is dumb gets plain lines", async () => {
    await using job = await start();
    await using terminal = await openTerminal(`TERM=dumb ${warm(job)}`, {
      columns: 80,
      rows: 24,
      cwd: job.workspace,
      environment: job.machine.environment,
    });
    const text = await terminal.shows(/ended with 0/);
    expect(text).toMatch(/^Look: what is cached, and where$/m);
    expect(text).not.toMatch(/[✔█░]/);
  });

  test("that is interrupted gets its cursor back, and is told", async () => {
    await using job = await start();
    await using terminal = await open(job, 80);
    await terminal.shows(/^. Build /m);
    await terminal.type(["C-c"]);
    const text = await terminal.shows(/NCP-501: interrupted by SIGINT/);
    expect(text).toMatch(/^✖ Build /m);
  });

  test("zsh completes commands and options", async () => {
    await using job = await start();
    const { environment } = job.machine;
    await using terminal = await openTerminal(
      `${process.execPath} ${CLI} completion zsh > completion.zsh; exec zsh -f -i`,
      {
        columns: 100,
        rows: 24,
        cwd: job.workspace,
        environment,
      },
    );
    await terminal.shows(/[%#] *$/m);
    await terminal.type([
      "autoload -Uz compinit; compinit -u -d dump; source ./completion.zsh; clear; echo set-up",
      "Enter",
    ]);
    await terminal.shows(/^set-up$/m);
    await terminal.type(["nix-cache-preflight ch", "Tab"]);
    await terminal.shows(/nix-cache-preflight check *$/m);
    await terminal.type(["--on-push", "Tab", "ig", "Tab"]);
    await terminal.shows(/--on-push-failure ignore/);
  });
});
