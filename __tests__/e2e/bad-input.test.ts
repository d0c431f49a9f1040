/** Owns what a user gets for a mistake: the name of it, what would be right, and no harm done. */

import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { cached, content, flake, HOME, listing, NIX, NIXPKGS, startJob, told } from "./job.ts";
import { recordNix } from "./recorder.ts";

const wrong: readonly (readonly [string, Record<string, string>, readonly RegExp[]])[] = [
  [
    "mode",
    { mode: "wram" },
    [/mode: "wram" .*Did you mean "warm"\?/, /check, prefetch, warm, audit/],
  ],
  ["push", { push: "autos" }, [/push: "autos" .*Did you mean "auto"\?/, /auto, targets, off/]],
  ["pin-keep", { "pin-keep": "day:3" }, [/pin-keep: "day:3"/, /forever, days:N or revisions:N/]],
  ["verify", { verify: "ful" }, [/Did you mean "full"\?/, /narinfo, nar, full/]],
  [
    "fail-on",
    { "fail-on": "disk, heavvy" },
    [/fail-on: "heavvy"/, /Did you mean "heavy"\?/, /missing/],
  ],
  ["trust", { trust: "write" }, [/trust: "write"/, /auto, read-only/]],
  [
    "an attribute of a target",
    { targets: ".#a\n.#b priorty=3" },
    [/"\.#b priorty=3"/, /Did you mean "priority"\?/, /pin=, priority=, space=, system=, closure=/],
  ],
  ["a word that is no attribute", { targets: ".#a heavy" }, [/"heavy" is not key=value/]],
  [
    "closure=",
    { targets: ".#a closure=biuld" },
    [/neither "runtime" nor "build".*Did you mean "build"/],
  ],
  ["priority=", { targets: ".#a priority=high" }, [/priority="high" is not from 0 to 100/]],
  ["pin=", { targets: ".#a pin=a/b" }, [/pin="a\/b" is not a pin name/]],
  ["an attribute path", { targets: ".#a..b" }, [/"a\.\.b" is not an attribute path/]],
  ["a size", { "min-free": "5" }, [/min-free: "5" .*no unit/, /500MB, 6GB or 1\.5GiB/]],
  ["space=", { targets: ".#a space=6QB" }, [/space: "6QB" .*not a size/]],
  ["heavy", { heavy: ">lots" }, [/heavy: "lots"/]],
  [
    "a regular expression",
    { "push-filter": "(source" },
    [/push-filter: "\(source" is not a regular/],
  ],
  [
    "a cache's URL",
    { cache: "fiel:///cache" },
    [/cache: "fiel:\/\/\/cache"/, /Did you mean "file:\/\/\/"/],
  ],
  ["a cache's kind", { cache: "cachicks:me" }, [/it is not a kind of cache/, /cachix:NAME/]],
  ["a cache's port", { cache: "https://host:99999999/x" }, [/it is not a URL/]],
  ["a relative file cache", { cache: "file://cache" }, [/absolute directory/]],
  [
    "a substituter's key",
    { substituters: "https://c.example key" },
    [/"key…" is not a public key/],
  ],
  [
    "a system",
    { targets: ".#a system=x86_64-linus" },
    [/Did you mean "x86_64-linux"\?/, /aarch64-darwin/],
  ],
  ["a signing key", { "signing-key": "no-key" }, [/signing-key|secret key/]],
  ["a key prefix", { "key-prefix": "a,b" }, [/key-prefix: "a,b"/]],
];

async function damage(file: string, change: (text: string) => string): Promise<void> {
  await chmod(file, 0o644);
  await writeFile(file, change(await readFile(file, "utf8")));
}

describe(`bad input, on ${NIX}`, () => {
  test.each(wrong)("wrong: %s", async (_, inputs, patterns) => {
    await using job = await startJob(undefined);
    const nix = await recordNix(job.machine);
    const step = await job.main(inputs, { environment: nix.environment });
    expect(step.exitCode).toBe(1);
    expect(step.annotations).toHaveLength(1);
    const [error] = step.annotations;
    expect(error?.level).toBe("error");
    expect(error?.message).toMatch(/\(NCP-10\d\)/);
    for (const pattern of patterns) expect(error?.message).toMatch(pattern);
    expect(step.log).not.toMatch(/^\s+at /m);
    expect(await nix.calls()).toEqual([]);
    expect(await listing(job.cache)).toEqual([]);
  });

  test("an input that we do not have is a warning with the nearest one, and the run goes on", async () => {
    await using job = await startJob(flake("members"));
    const step = await job.main({ mode: "check", targets: ".#one", "push-filtr": "x" });
    expect(told(step)).toContainEqual(
      expect.stringMatching(
        /^warning: "push-filtr" is not an input, and is not read\. Did you mean "push-filter"\?/,
      ),
    );
    expect(step.outputs["report"]).toBeDefined();
  });

  test("no Nix: one sentence, and the step to add", async () => {
    await using job = await startJob(flake("members"));
    const empty = join(job.machine.root, "empty");
    await mkdir(empty);
    const step = await job.main({}, { environment: { ...job.machine.environment, PATH: empty } });
    expect(step.exitCode).toBe(1);
    expect(told(step)).toEqual([
      "error: there is no Nix on this machine\nput a step that installs it before this one (uses: cachix/install-nix-action@v31), or set install-nix: true",
    ]);
  });

  test("no flake: said so; plain installables still work", async () => {
    await using job = await startJob(undefined);
    const other = join(job.machine.root, "elsewhere");
    await mkdir(other);
    await writeFile(join(other, "flake.nix"), await readFile(join(flake("members"), "flake.nix")));
    const drv = await job.machine.nix("nix", ["eval", "--raw", `path:${other}#good.drvPath`]);
    const [path = ""] = (await job.machine.nix("nix-store", ["--realise", drv])).split("\n");
    const targets = [".#good", drv, path, `path:${other}#other`].join("\n");
    const step = await job.main({ mode: "check", targets, "fail-on": "disk" });
    expect(step.exitCode).toBe(0);
    const verdicts = JSON.parse(step.outputs["verdicts"] ?? "") as Record<string, object>;
    expect(verdicts[".#good"]).toMatchObject({
      kind: "failed",
      message: "there is no flake.nix here (nor above, in this repository)",
    });
    expect(verdicts[drv]).toMatchObject({ kind: "missing", source: ["good-1"] });
    expect(verdicts[path]).toMatchObject({ kind: "missing" });
    expect(verdicts[`path:${other}#other`]).toMatchObject({ kind: "missing", source: ["other-1"] });
    const failing = await job.main({ mode: "check", targets });
    expect(failing.exitCode).toBe(1);
    expect(failing.annotations).toContainEqual(
      expect.objectContaining({ level: "error", message: expect.stringContaining("NCP-204") }),
    );
    const none = await job.main({ mode: "check" });
    expect(none.exitCode).toBe(0);
    expect(told(none).join("\n")).toContain("there is no flake here and no target is named");
  });

  test("an evaluation error is Nix's own message, without a trace", async () => {
    await using job = await startJob(flake("members"));
    const step = await job.main({ mode: "check", targets: ".#throws\n.#good" });
    expect(step.exitCode).toBe(1);
    const errors = step.annotations.filter(({ level }) => level === "error");
    expect(errors).toHaveLength(1);
    expect(errors[0]?.message).toBe(
      ".#throws does not evaluate: this one throws on purpose (NCP-205)",
    );
    expect(step.log).not.toMatch(/node:internal|dist\/|while evaluating|show-trace/);
    expect(step.report().targets).toContainEqual(
      expect.objectContaining({
        name: ".#good",
        verdict: expect.objectContaining({ kind: "missing" }),
      }),
    );
  });

  test("a flake that does not parse: Nix's message with the file and the line", async () => {
    await using job = await startJob(flake("members"));
    await damage(join(job.workspace, "flake.nix"), (text) => text.replace("outputs =", "outputs"));
    const step = await job.main({ mode: "check", targets: ".#good" });
    expect(step.exitCode).toBe(1);
    expect(told(step).join("\n")).toMatch(/syntax error/);
    expect(told(step).join("\n")).toMatch(/flake\.nix:\d+:\d+/);
  });

  test("a build that fails: which derivation, the end of its log, and the others go on", async () => {
    await using job = await startJob(flake("members"));
    const step = await job.main({ mode: "warm", targets: ".#fails\n.#good\n.#other" });
    expect(step.exitCode).toBe(1);
    const errors = told(step).filter((line) => line.startsWith("error"));
    expect(errors.join("\n")).toMatch(/fails-1 was not built:[\s\S]*a line of its log/);
    expect([...(await cached(job.cache)).keys()].sort()).toEqual(["good-1", "other-1"]);
    expect(
      step
        .report()
        .pinned.map(({ target }) => target)
        .sort(),
    ).toEqual([".#good", ".#other"]);
  });

  test("a damaged derivation file: which file, which line; the other targets go on", async () => {
    await using job = await startJob(HOME, { inputs: { nixpkgs: NIXPKGS } });
    const nixpkgs = `path:${job.machine.root}/inputs/nixpkgs`;
    const drv = await job.machine.nix("nix", ["eval", "--raw", `${nixpkgs}#bws-deps.drvPath`]);
    await damage(drv, (text) => text.replace('("builder","/bin/sh")', '("builder"\n"/bin/sh")'));
    const step = await job.main({ mode: "check", targets: "nixpkgs#bws\nnixpkgs#hello" });
    expect(step.exitCode).toBe(1);
    const [error] = step.annotations.filter(({ level }) => level === "error");
    expect(error?.message).toContain(`${drv}, line 1: not a derivation: expected , and found`);
    expect(error?.message).toContain("nixpkgs#bws does not evaluate");
    expect(step.log).not.toMatch(/^\s+at /m);
    expect(step.report().targets).toContainEqual(
      expect.objectContaining({
        name: "nixpkgs#hello",
        verdict: expect.objectContaining({ kind: "missing" }),
      }),
    );
  });

  test.each([
    // Nix reads a name to its colon, on the next line here: what is missing is told at the end.
    ["a line that is none", (text: string) => text.replace(/^NarSize: .*$/m, "NarSize"), 9],
    ["a size that is none", (text: string) => text.replace(/^NarSize: /m, "NarSize: x"), 7],
    ["half of it", (text: string) => text.slice(0, text.indexOf("NarHash")), 6],
  ])("a damaged narinfo, %s: which file, which line", async (_, change, line) => {
    await using job = await startJob(flake("members"));
    await job.main({ mode: "warm", targets: ".#good" });
    const file = (await cached(job.cache)).get("good-1")?.file ?? "";
    await damage(file, change);
    const step = await job.main({ mode: "check", targets: ".#good" });
    expect(step.exitCode).toBe(0);
    expect(told(step).join("\n")).toContain(`${file}, line ${line}: `);
    expect(step.outputs["hit"]).toBe("false");
    const warm = await job.main({ mode: "warm", targets: ".#good" });
    expect(warm.report().verified).toMatchObject([{ outcome: "verified" }]);
    expect((await job.main({ mode: "check", targets: ".#good" })).outputs["hit"]).toBe("true");
  });

  test("too little disk space: the file system, the need, what is free, what to do; nothing is begun", async () => {
    await using job = await startJob(HOME, { inputs: { nixpkgs: NIXPKGS } });
    await job.main({ mode: "warm", targets: "nixpkgs#hello" });
    await job.machine.forget();
    const before = await content(job.cache);
    const targets = "nixpkgs#hello\nnixpkgs#bws space=6GB";
    const step = await job.main({ mode: "warm", targets, "min-free": "900TB" });
    expect(step.exitCode).toBe(1);
    const [error] = step.annotations.filter(({ level }) => level === "error");
    expect(error?.message).toContain("NCP-401");
    expect(error?.message).toMatch(/not enough disk space on \/\S*: this run needs 6 GB there/);
    expect(error?.message).toMatch(
      /build directory 6 GB.* 900 TB is to stay free, and .*B is free/,
    );
    expect(error?.message).toMatch(/make .*TB free on \/.* name fewer targets, or lower min-free/);
    expect(step.building).toEqual([]);
    expect(step.report().steps).toEqual([]);
    expect(step.log).not.toContain("copying path");
    expect(await content(job.cache)).toEqual(before);
    expect(step.outputs["bytes-needed"]).toBe("6005000000");
    expect(step.summary).toMatch(/^### ❌ Nix cache: not enough disk space to build /);
  });
});

describe(`a newcomer's first run on ${NIX}`, () => {
  test.each([
    ["flake.nix itself", ["flake.nix"]],
    ["a file that it imports", ["package.nix"]],
  ])("says what to do about a file that git does not know yet: %s", async (_, untracked) => {
    await using job = await startJob(undefined);
    const files = {
      "flake.nix": "{ outputs = _: { packages.x86_64-linux.a = import ./package.nix; }; }",
      "package.nix": `derivation { name = "a"; system = "x86_64-linux"; builder = "/bin/sh"; }`,
    };
    for (const [name, text] of Object.entries(files)) {
      await writeFile(join(job.workspace, name), text);
    }
    const known = Object.keys(files).filter((name) => !untracked.includes(name));
    await job.machine.nix("git", ["init", "--quiet"], job.workspace);
    await job.machine.nix("git", ["add", ...known], job.workspace);
    const { exitCode, annotations, outputs } = await job.main({ mode: "check", targets: ".#a" });
    expect(exitCode).toBe(1);
    expect(outputs).toMatchObject({ hit: "false", "hit-rate": "0" });
    expect(annotations.filter(({ level }) => level === "error")).toEqual([
      expect.objectContaining({
        message: expect.stringMatching(/git add it; those of a submodule/),
      }),
    ]);
  });
});
