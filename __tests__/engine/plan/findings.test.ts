import { describe, expect, test } from "@jest/globals";
import type { InputName } from "../../../src/action/inputs.ts";
import { UserError } from "../../../src/domain/errors.ts";
import type { Finding } from "../../../src/domain/finding.ts";
import { run } from "../../../src/engine/run.ts";
import { derivation, out } from "../../support/graph.ts";
import { storePath } from "../../support/paths.ts";
import {
  hold,
  job,
  type MemoryCache,
  memoryCache,
  memoryNix,
  type NixOptions,
  SIGNAL,
  WRITE,
  world,
} from "../../support/world.ts";

interface Options {
  readonly nix?: NixOptions;
  readonly own?: MemoryCache;
  readonly substituters?: readonly MemoryCache[];
  readonly notices?: readonly string[];
  readonly freeBytes?: number;
}

async function findings(
  inputs: Partial<Record<InputName, string>>,
  options: Options = {},
): Promise<readonly Finding[]> {
  const { nix, own = memoryCache("own"), ...rest } = options;
  const here = world({ nix: memoryNix(nix), own, ...rest });
  const done = await run(job({ mode: "check", ...inputs }), WRITE, here, SIGNAL);
  const { targets } = done.survey;
  // Many look at a world without a target, and that is told every time.
  return done.plan.findings.filter(({ code }) => targets.length > 0 || code !== "NCP-207");
}

const bws = derivation("bws-1.0.0");
const tool = derivation("tool");
const flake = { bws, tool };

describe("how loud a finding is", () => {
  const failures = [{ attrPath: "x", message: "error", nearest: [] }];
  const all: Options = { nix: { flake, failures }, freeBytes: 0 };
  const inputs = { targets: ".#bws\n.#tool\n.#x", heavy: "bws" };

  test.each([
    ["disk, eval", { disk: "error", eval: "error", heavy: "warning", missing: "notice" }],
    ["none", { disk: "warning", eval: "warning", heavy: "warning", missing: "notice" }],
    ["missing", { disk: "warning", eval: "warning", heavy: "error", missing: "error" }],
    ["heavy", { disk: "warning", eval: "warning", heavy: "error", missing: "notice" }],
    ["unverified", { disk: "warning", eval: "warning", heavy: "warning", missing: "notice" }],
  ])("fail-on: %s", async (failOn, expected) => {
    const found = await findings({ ...inputs, "fail-on": failOn }, all);
    expect(Object.fromEntries(found.map(({ kind, level }) => [kind, level]))).toEqual(expected);
  });

  test("what this run builds itself is no failure yet", async () => {
    const found = await findings(
      { ...inputs, mode: "warm", "fail-on": "missing, heavy" },
      { nix: { flake } },
    );
    expect(found.map(({ kind, level }) => [kind, level])).toEqual([
      ["heavy", "notice"],
      ["missing", "notice"],
    ]);
    expect(found[0]?.message).toContain("; this run builds it");
  });
});

describe("what a finding says", () => {
  test("the incident: by name, once, with how many want it", async () => {
    const homes = Object.fromEntries(
      ["a", "b", "c"].map((name) => [
        `homes.${name}`,
        derivation(`home-${name}`, { kind: "trivial", inputs: [bws] }),
      ]),
    );
    const found = await findings(
      { targets: ".#homes.*", heavy: "bws" },
      { nix: { flake: homes, derivations: [bws] } },
    );
    expect(found).toMatchObject([
      {
        kind: "heavy",
        title: "bws-1.0.0 will be built from source",
        level: "warning",
        code: "NCP-402",
        message:
          "bws-1.0.0 is in no binary cache and would be built from source (heavy), needed by 3 targets",
      },
    ]);
  });

  test("a target alone is named", async () => {
    const [found] = await findings({ targets: ".#tool" }, { nix: { flake } });
    expect(found?.message).toBe(
      "tool is in no binary cache and would be built from source, needed by .#tool",
    );
  });

  test("each wrong name has the one that is near to it; what is wrong alike is said once", async () => {
    const message = "it does not exist";
    const failures = [
      { attrPath: "helo", message, nearest: [".#hello"] },
      { attrPath: "lintre", message, nearest: [".#linter"] },
      { attrPath: "x", message, nearest: [] },
      { attrPath: "y", message, nearest: [] },
    ];
    const found = await findings({ targets: ".#helo\n.#lintre\n.#x\n.#y" }, { nix: { failures } });
    expect(found.map(({ message: words, hint }) => [words, hint])).toEqual([
      [`.#helo does not evaluate: ${message}`, "did you mean .#hello?"],
      [`.#lintre does not evaluate: ${message}`, "did you mean .#linter?"],
      [`.#x and 1 more target do not evaluate: ${message}`, undefined],
    ]);
  });

  test("a failed target: Nix's message and the names that were meant", async () => {
    const nearest = ["nixpkgs#bws", ".#bwt"];
    const failures = [{ attrPath: "bsw", message: "no attribute 'bsw'", nearest }];
    const [found] = await findings({ targets: ".#bsw" }, { nix: { failures } });
    expect(found).toMatchObject({
      kind: "eval",
      title: ".#bsw does not evaluate",
      level: "error",
      code: "NCP-205",
      message: ".#bsw does not evaluate: no attribute 'bsw'",
      hint: "did you mean nixpkgs#bws or .#bwt?",
    });
  });

  test("a configuration, which is no derivation: what is built of it is offered", async () => {
    const failures = [
      { attrPath: "nixosConfigurations.web", message: "it is not a derivation", nearest: [] },
    ];
    const [found] = await findings({ targets: ".#nixosConfigurations.web" }, { nix: { failures } });
    expect(found).toMatchObject({
      title: "nixosConfigurations.web does not evaluate",
      hint: "name what is built of it: .#nixosConfigurations.web.config.system.build.toplevel",
    });
  });

  test("a word that is looked up in a registry nobody reaches may be an output of the flake here", async () => {
    const message =
      "unable to download 'https://github.com/NixOS/flake-registry/raw/master/flake-registry.json': Couldn't resolve host name (6)";
    const failures = [{ attrPath: "", message, nearest: [] }];
    const [found] = await findings({ targets: "myapp" }, { nix: { failures } });
    expect(found?.hint).toBe("an output of the flake here begins with .#: write .#myapp");
    const absent = { failures, setup: { flake: "absent" as const } };
    const [file] = await findings({ targets: "myapp" }, { nix: absent });
    expect(file?.hint).toContain("name the file, too: myapp file=default.nix");
  });

  test("what a name begins with is no capital", async () => {
    const failures = [{ attrPath: "hello", message: "it does not exist", nearest: [] }];
    const [found] = await findings({ targets: "hello file=default.nix" }, { nix: { failures } });
    expect(found?.title).toBe('"hello file=default.nix" does not evaluate');
  });

  test("no flake has a code of its own", async () => {
    const message = "there is no flake.nix here (nor above, in this repository)";
    const failures = [{ attrPath: "x", message, nearest: [] }];
    const [found] = await findings({ targets: ".#x" }, { nix: { failures } });
    expect(found?.code).toBe("NCP-204");
  });

  const API = "unable to download 'https://api.github.com/repos/o/r";
  test.each([
    [
      "GitHub's limit",
      `${API}/commits/HEAD': HTTP error 403\n\nresponse body:\n\n{"message":"API rate limit exceeded for 192.0.2.1."}`,
      "NCP-135",
      "access-tokens = github.com=TOKEN",
    ],
    [
      "the limit of a token",
      `${API}/tarball/0': HTTP error 403\n\nresponse body:\n\n{"message":"API rate limit exceeded for installation ID 1."}`,
      "NCP-135",
      "this token",
    ],
    ["a limit by its status", `${API}/tarball/0': HTTP error 429 ('')`, "NCP-135", "github.com"],
    [
      "a token that is over",
      `${API}/tarball/0': HTTP error 401\n\nresponse body:\n\n{"message":"Bad credentials"}`,
      "NCP-137",
      "replace it in access-tokens",
    ],
    ["a private repository", `${API}/tarball/0': HTTP error 404`, "NCP-137", "github.com=TOKEN"],
    [
      "a host that refuses",
      "unable to download 'https://git.example.org/api/v4/projects/o%2Fr': HTTP error 401",
      "NCP-137",
      "git.example.org=PAT:TOKEN",
    ],
    [
      "a project of GitLab's that it does not show",
      "unable to download 'https://git.example.org/api/v4/projects/o%2Fr/repository/archive.tar.gz?sha=0': HTTP error 404",
      "NCP-137",
      "git.example.org=PAT:TOKEN (or OAuth2:TOKEN)",
    ],
    [
      "a file that is not there",
      "unable to download 'https://example.org/x.tar.gz': HTTP error 404",
      "NCP-205",
      undefined,
    ],
    [
      "a key that is not there",
      "program 'git' failed with exit code 128\ngit@github.com: Permission denied (publickey).",
      "NCP-137",
      "ssh-agent",
    ],
    [
      "a checkout that git does not take for one",
      "program 'git' failed with exit code 129\nwarning: Not a git repository. Use --no-index to compare two paths outside a working tree",
      "NCP-205",
      "git config --global --add safe.directory",
    ],
  ])("%s has a code and a hint", async (_, message, code, hint) => {
    const failures = [{ attrPath: "x", message, nearest: [] }];
    const [found] = await findings({ targets: ".#x" }, { nix: { failures } });
    expect(found?.code).toBe(code);
    if (hint === undefined) expect(found?.hint).toBeUndefined();
    else expect(found?.hint).toContain(hint);
  });

  test.each([
    ["our own cache refuses us", "own", "warning"],
    ["another one does, and will go on doing so", "cache", "warning"],
  ])("%s", async (_, which, level) => {
    const down = new UserError("NCP-303", "cache refuses our credentials", { hint: "a token" });
    const [bad, good] = [memoryCache("bad", { down }), memoryCache("good")];
    const found = await findings(
      {},
      which === "own" ? { own: bad, substituters: [good] } : { own: good, substituters: [bad] },
    );
    expect(found).toMatchObject([
      {
        kind: "cache",
        level,
        code: "NCP-303",
        message: "bad refused the credentials: cache refuses our credentials",
        hint: "a token",
      },
    ]);
  });

  test("a cache that stopped answering, and how much is unknown there", async () => {
    const own = memoryCache("own");
    own.content.set(out(bws), { kind: "unknown", cause: new Error("timeout") });
    const found = await findings({ targets: ".#bws\n.#tool" }, { nix: { flake }, own });
    expect(found.map(({ message }) => message)).toContain(
      "own stopped answering: 1 of 2 paths unknown there: timeout",
    );
  });

  test("answers that were not counted, with the first reason", async () => {
    const own = memoryCache("own");
    for (const one of [bws, tool]) {
      own.content.set(out(one), { kind: "refused", why: `${out(one)} is not signed` });
    }
    const found = await findings({ targets: ".#bws\n.#tool" }, { nix: { flake }, own });
    expect(found.find(({ kind }) => kind === "cache")?.message).toBe(
      `own: 2 answers not counted: ${out(bws)} is not signed`,
    );
  });

  test("twins", async () => {
    const theirs = derivation("bws-1.0.0", { variant: "overlay" });
    const home = derivation("home", { kind: "trivial", inputs: [theirs] });
    const found = await findings(
      { targets: ".#bws\n.#home" },
      { nix: { flake: { bws, home }, derivations: [theirs] } },
    );
    const twin = found.find(({ kind }) => kind === "twin");
    expect(twin?.level).toBe("warning");
    expect(twin?.message).toBe(
      `.#bws is one bws-1.0.0; 1 target wants another (${theirs.path.slice(11)})`,
    );
  });

  test("another system's target", async () => {
    const mac = derivation("mac", { system: "aarch64-darwin" });
    const found = await findings({ targets: ".#mac" }, { nix: { flake: { mac } } });
    expect(found.find(({ kind }) => kind === "system")).toMatchObject({
      level: "notice",
      message: expect.stringContaining("is for aarch64-darwin, which this machine cannot build"),
    });
  });

  test("a store path that nobody has", async () => {
    const path = storePath("lost");
    const found = await findings({ targets: path });
    expect(found.map(({ level, message }) => [level, message])).toEqual([
      ["warning", `${path} is in no binary cache, and without its derivation it cannot be built`],
    ]);
  });

  test.each(["check", "prefetch", "warm"])(
    "one that is here is not lost to mode %s",
    async (mode) => {
      const path = storePath("here");
      const nix = { store: new Map([[path, []]]) };
      expect(await findings({ mode, targets: path }, { nix })).toEqual([]);
      const lost = await findings({ mode, targets: `${path}\n${storePath("lost")}` }, { nix });
      expect(lost.map(({ message }) => message)).toEqual([
        `${storePath("lost")} is in no binary cache, and without its derivation it cannot be built`,
      ]);
    },
  );

  test("content-addressed outputs cannot be looked up, and that is said", async () => {
    const f = derivation("f", { kind: "floating" });
    const found = await findings({ targets: ".#f" }, { nix: { flake: { f } } });
    expect(found.map(({ message }) => message)).toContain(
      ".#f is content-addressed: its store path is known only when it is built, or by a cache's realisations, and not every cache says whether it has them",
    );
    expect(found.some(({ message }) => message.includes("is in no binary cache"))).toBe(false);
  });

  test("nothing looked at is a warning, with its reason", async () => {
    const ask = async (inputs: Partial<Record<InputName, string>>, setup = {}) => {
      const here = world({ nix: memoryNix({ setup }), own: memoryCache("own") });
      const done = await run(job({ mode: "check", ...inputs }), WRITE, here, SIGNAL);
      return done.plan.findings.flatMap(({ code, level, message }) =>
        code === "NCP-207" ? [`${level}: ${message.split(": ")[1]}`] : [],
      );
    };
    expect(await ask({}, { flake: "absent" })).toEqual([
      "warning: there is no flake.nix in the working directory, nor above it in this repository, and no target is named",
    ]);
    expect(await ask({ targets: ".#packages.SYSTEM.*" })).toEqual([
      "warning: nothing is left of .#packages.SYSTEM.*",
    ]);
    expect(await ask({ mode: "audit" })).toEqual([]);
  });

  test("fail-on: missing fails on a download and on a lost path, too", async () => {
    const source = derivation("source", { kind: "fixed" });
    const path = storePath("lost");
    const inputs = { targets: `.#source\n${path}` };
    const nix = { flake: { source } };
    expect(await findings(inputs, { nix })).toMatchObject([{ kind: "missing", level: "warning" }]);
    const found = await findings({ ...inputs, "fail-on": "missing" }, { nix });
    expect(found.map(({ kind, level, message }) => [kind, level, message])).toEqual([
      [
        "missing",
        "error",
        expect.stringContaining(".#source needs source, which no binary cache has"),
      ],
      ["missing", "error", expect.stringContaining(`${path} is in no binary cache`)],
    ]);
  });

  test("a name that is written in heavy is heavy whatever kind of build it is", async () => {
    const note = derivation("note", { kind: "trivial" });
    const source = derivation("source", { kind: "fixed" });
    const found = await findings(
      { targets: ".#*", heavy: "note, source", "fail-on": "heavy" },
      { nix: { flake: { note, source, tool } } },
    );
    expect(found.map(({ kind, level, message }) => [kind, level, message])).toEqual([
      [
        "heavy",
        "error",
        expect.stringContaining("note is in no binary cache and would be built from"),
      ],
      [
        "heavy",
        "error",
        expect.stringContaining("source is in no binary cache and would be downloaded"),
      ],
      [
        "missing",
        "notice",
        expect.stringContaining("tool is in no binary cache and would be built from source"),
      ],
    ]);
    const warm = await findings(
      { mode: "warm", targets: ".#source", heavy: "source" },
      { nix: { flake: { source } } },
    );
    expect(warm.map(({ level, message }) => [level, message])).toEqual([
      [
        "notice",
        expect.stringMatching(/downloaded from its origin \(heavy\).*this run downloads it$/),
      ],
    ]);
  });

  test.each([
    ["disk", "warning"],
    ["unverified", "error"],
  ])(
    "a warming run beside a silent cache that builds nothing, fail-on: %s",
    async (failOn, level) => {
      const down = memoryCache("far", { down: new Error("timeout") });
      const found = await findings(
        { mode: "warm", targets: ".#bws", "fail-on": failOn },
        { nix: { flake }, substituters: [down] },
      );
      expect(found.filter(({ code }) => code === "NCP-409")).toMatchObject([
        { kind: "unverified", level },
      ]);
    },
  );

  test("a cache that is nowhere is passed over, as Nix does", async () => {
    const refused = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
    const nix = memoryNix({ flake });
    const own = memoryCache("own", { verbs: ["push"] });
    const here = world({ nix, own, substituters: [memoryCache("near", { down: refused })] });
    const done = await run(job({ mode: "warm", targets: ".#bws" }), WRITE, here, SIGNAL);
    expect(done.outcome.pushed.map(({ path }) => path)).toEqual([out(bws)]);
    expect(done.plan.findings.filter(({ code }) => code === "NCP-409")).toEqual([]);
  });

  test("what was left out in putting the world together", async () => {
    const found = await findings({}, { notices: ["s3://x: not supported yet"] });
    expect(found).toEqual([
      { kind: "notice", level: "notice", message: "s3://x: not supported yet" },
    ]);
  });

  test("nothing, where everything is cached and there is disk space", async () => {
    const own = memoryCache("own");
    hold(own, out(bws));
    expect(await findings({ targets: ".#bws" }, { nix: { flake }, own })).toEqual([]);
  });
});
