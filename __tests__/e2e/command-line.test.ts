import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { listen } from "../servers/http.ts";
import { openTerminal } from "../servers/terminal.ts";
import { flake, HOME, NIX, NIXPKGS, startJob, type TestJob } from "./job.ts";

const CLI = resolve("dist/cli.js");
const TARGET = ".#homeConfigurations.alice.activationPackage";
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
    const args = ["check", TARGET];
    const { code, stdout, stderr } = await cli(job, args);
    expect(stdout).toMatch(
      /^ {3}From source\n {3}bws-1\.0\.0\n {3}bws-deps-1\.0\.0\n {3}hello-2\.12\n\n/,
    );
    expect(stdout).toMatch(/\n\n {2}To build homeConfigurations\.alice needs a build\n$/);
    expect(stderr).toMatch(/^ {3}Checked 1 target, \d+ derivations in [\d.]+s\n$/);
    expect(`${stdout}${stderr}`).not.toContain("\u001b");
    expect(code).toBe(0);
  });

  test("--quiet says the result alone, and a reader who has enough is no error", async () => {
    await using job = await start();
    const quiet = await cli(job, ["check", TARGET, "--quiet"]);
    expect(quiet.stdout).toMatch(/^ {2}To build .*\n$/);
    expect(quiet.stderr).toBe("");
    const command = `"${process.execPath}" "${CLI}" check ${TARGET} | head -1; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = await promisify(execFile)("bash", ["-c", command], {
      cwd: job.workspace,
      env: job.machine.environment,
    });
    expect(stdout).toMatch(/^ {3}From source\n0\n$/);
    expect(stderr).toMatch(/^ {3}Checked .*\n$/);
  });

  test("what the run does not need is not waited for: an input that nobody answers for", async () => {
    await using job = await startJob(undefined);
    await using silent = await listen(async () => "hang");
    const flake = `{ inputs.a.url = "${silent.origin}/a.tar.gz"; outputs = _: { }; }`;
    await writeFile(join(job.workspace, "flake.nix"), flake);
    const path = `/nix/store/${"0".repeat(32)}-nowhere`;
    const { stdout } = await cli(job, ["check", path]);
    expect(stdout).toContain("needs a build");
  });

  test("caches that the flake names and Nix does not take from it are told, with what to add", async () => {
    await using job = await startJob(undefined);
    const own = "http://127.0.0.1:9";
    const flake = `{ nixConfig.extra-substituters = "${own}"; outputs = _: { packages.x86_64-linux.a = derivation {
      name = "a"; system = "x86_64-linux"; builder = "/bin/sh"; }; }; }`;
    await writeFile(join(job.workspace, "flake.nix"), flake);
    // Another flake, which names none.
    await mkdir(join(job.workspace, "other"));
    await writeFile(
      join(job.workspace, "other", "flake.nix"),
      flake.replace(/nixConfig[^;]*;/, ""),
    );
    const told = await cli(job, ["check", "path:./other#a"]);
    expect(told.stdout).toContain("needs a build");
    expect(told.stdout + told.stderr).not.toContain("note:");
    const { stdout } = await cli(job, ["check", ".#a"]);
    expect(stdout).toContain(`note: flake.nix names caches that Nix does not take from it here`);
    expect(stdout).toContain(`add --substituters "${own}", or write accept-flake-config = true`);
    expect((await cli(job, ["check", ".#a", "--quiet"])).stdout).not.toContain("note:");
  });

  test("without targets it says what of the flake it did not look at", async () => {
    await using job = await startJob(flake("sets"));
    const { stdout } = await cli(job, ["check", "--fail-on", "none"]);
    expect(stdout).toContain("note: not looked at, as no target is named: .#nixosConfigurations.*");
  });

  test("warm says what push-max keeps out", async () => {
    await using job = await start();
    const cache = `file://${job.machine.root}/c`;
    const limits = ["--push-max", "900kB", "--min-free", "1MB"];
    const { code, stderr } = await cli(job, ["warm", TARGET, "--cache", cache, ...limits]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^ {2}Kept out bws-1\.0\.0 \(4\.19 MB\): push-max$/m);
  });

  test("standard output that nobody reads is no error", async () => {
    const command = `("${process.execPath}" "${CLI}" completion bash; echo "ended with $?" >&2) | true`;
    const { stderr } = await promisify(execFile)("bash", ["-c", command]);
    expect(stderr).toBe("ended with 0\n");
  });

  test("a word that is no flake is offered as an output of the flake here", async () => {
    await using job = await start();
    const { code, stdout } = await cli(job, ["check", "myapp"]);
    expect(code).toBe(1);
    expect(stdout).toMatch(
      /^error: myapp does not evaluate: .* \(NCP-205\)\nhelp: .*\.#myapp\n\n {4}Failed /,
    );
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
    [["check", TARGET], 0],
    [["check", TARGET, "--fail-on", "missing"], 1],
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
    const target = TARGET;
    await cli(job, ["warm", target, "--cache", `file://${own}`, "--min-free", "1MB"]);
    await job.machine.forget();
    const args = ["prefetch", target, "--cache", `file://${own}`, "--min-free", "1MB"];
    const fetched = await cli(job, args);
    expect(fetched).toMatchObject({ code: 0, stderr: expect.stringContaining("Downloaded") });
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
    [["setup"], "NCP-642", 2],
    [["setup", "--cache", "http://127.0.0.1:1"], "NCP-302", 1],
  ])("%j writes nothing, says %s and exits with %d", async (args, says, code) => {
    const { job, conf } = await withCache();
    await using _job = job;
    const ended = await cli(job, args);
    expect(ended).toMatchObject({ code, stderr: expect.stringContaining(says) });
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

  test("keeps a line of each thing that is done, shows what is under way, and the result last", async () => {
    await using job = await start();
    await using terminal = await open(job, 80);
    const live = await terminal.shows(/^ {2}Building \d+ derivations? so far .*\n +[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]/m);
    // What is live is the end of the screen, in five lines at most.
    const lines = live.trimEnd().split("\n");
    expect(
      lines.length - lines.findIndex((line) => line.startsWith("  Building")),
    ).toBeLessThanOrEqual(5);
    const text = await terminal.shows(/ended with 0/);
    expect(text).toMatch(
      new RegExp(
        [
          "^ {3}Checked 3 targets, \\d+ derivations in [\\d.]+s",
          " {5}Built hello-2\\.12 in [\\d.]+s",
          "(?: {5}Built .*\n)+ {4}Pushed .*\n(?: .*\n)* {2}Verified 3 targets",
          " {2}Finished all 3 targets are now cached and verified in [\\d.]+s",
          "ended with 0",
        ].join("\n"),
        "m",
      ),
    );
    // What was live is gone: no bar and no spinner is left behind.
    expect(text).not.toMatch(/Building|[━⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]/);
    expect(await terminal.painted()).toContain("\u001b[1m\u001b[32m   Checked");
  });

  test("of 40 columns has a narrow column of verbs, no bar, and breaks what stays", async () => {
    await using job = await start();
    await using terminal = await open(job, 40);
    const lines = (await terminal.shows(/ended with 0/)).split("\n");
    expect(lines).toContain("Verified 3 targets");
    expect(lines).toContain("Finished all 3 targets are now cached");
    expect(lines.filter((line) => line.length > 40)).toEqual([]);
  });

  test("that is made narrower meanwhile shows each thing once", async () => {
    await using job = await start();
    await using terminal = await open(job, 70);
    await terminal.shows(/^ {2}Building /m);
    await terminal.resize(40, 24);
    const text = await terminal.shows(/ended with 0/);
    expect(text.match(/Checked 3 targets/g)).toHaveLength(1);
    expect(text.match(/Finished/g)).toHaveLength(1);
    expect(text).not.toMatch(/[━⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]/);
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
    expect(text).toMatch(/^ {3}Checked 3 targets/m);
    expect(text).not.toMatch(/[━⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]|Building/);
  });

  test("that is interrupted gets its cursor back, and is told", async () => {
    await using job = await start();
    await using terminal = await open(job, 80);
    await terminal.shows(/^ {2}Building /m);
    await terminal.type(["C-c"]);
    const text = await terminal.shows(/ended with 130/);
    expect(text).toMatch(/^ {3}Stopped building .* after [\d.]+s$/m);
    expect(text).toMatch(/^error: interrupted by SIGINT \(NCP-501\)\nhelp: /m);
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
