import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { parse } from "yaml";
import {
  DEFAULTS,
  foreignInputs,
  type InputName,
  parseInputs,
  readInputs,
} from "../../src/action/inputs.ts";
import { userError, whole } from "../support/thrown.ts";

const read = (inputs: Partial<Record<InputName, string>>) =>
  parseInputs({ ...DEFAULTS, ...inputs });

test.each([
  ["/home/runner/work/x/x/nix", "an absolute path"],
  ["..", "not inside the checkout"],
  ["../x", "not inside the checkout"],
  ["a/../../b", "not inside the checkout"],
])("working-directory: %s is %s", (path, wrong) => {
  const error = userError(() => read({ "working-directory": path }));
  expect(whole(error)).toContain(`"${path}" is ${wrong}`);
  expect(whole(error)).toContain("by its path from there: working-directory: nix");
});

describe("action.yml", () => {
  const file = readFileSync(join(import.meta.dirname, "..", "..", "action.yml"), "utf8");
  const action = parse(file) as {
    inputs: Record<string, { description: string; default: string; required?: boolean }>;
    runs: Record<string, string>;
  };

  test("has the inputs and defaults that the program has", () => {
    const declared = Object.fromEntries(
      Object.entries(action.inputs).map(([name, input]) => [name, input.default]),
    );
    expect(declared).toEqual(DEFAULTS);
    expect(Object.keys(action.inputs)).toEqual(Object.keys(DEFAULTS));
  });

  test("requires none of them, and describes each", () => {
    for (const { description, required } of Object.values(action.inputs)) {
      expect(required).toBeUndefined();
      expect(description.length).toBeGreaterThan(10);
    }
  });

  test("runs the bundle, in post too, whatever happened", () => {
    expect(action.runs).toEqual({
      using: "node24",
      main: "dist/main.js",
      post: "dist/post.js",
      "post-if": "always()",
    });
  });
});

describe("inputs in the environment", () => {
  test("none: every default", () => {
    expect(readInputs({ PATH: "/bin" })).toEqual(DEFAULTS);
  });

  test("are read by the runner's names; an empty one means its default", () => {
    expect(readInputs({ INPUT_MODE: "warm", "INPUT_PUSH-FILTER": "x", INPUT_CACHE: " " })).toEqual({
      ...DEFAULTS,
      mode: "warm",
      "push-filter": "x",
    });
  });

  test.each([
    ["INPUT_TARGET", '"target" is not an input, and is not read. Did you mean "targets"?'],
    ["INPUT_CACHE-NAME", '"cache-name" is not an input, and is not read. Did you mean "cache"?'],
    [
      "INPUT_PUSH_FILTER",
      '"push_filter" is not an input, and is not read. Did you mean "push-filter"?',
    ],
    ["INPUT_", '"" is not an input, and is not read.'],
    ["INPUT_ZZZZZZZZ", '"zzzzzzzz" is not an input, and is not read.'],
  ])("%s is no input: a warning, for it may be somebody else's variable", (variable, message) => {
    const environment = { PATH: "/bin", INPUT_MODE: "warm", [variable]: "x" };
    expect(readInputs(environment)).toEqual({ ...DEFAULTS, mode: "warm" });
    expect(foreignInputs(environment)).toEqual([
      {
        level: "warning",
        title: `The input "${variable.slice(6).toLowerCase()}" is not known`,
        message: `${message} (NCP-101)`,
      },
    ]);
  });

  test("that are all ours give no warning", () => {
    expect(foreignInputs({ INPUT_MODE: "warm", "INPUT_PUSH-FILTER": "" })).toEqual([]);
  });
});

describe("inputs", () => {
  test("by default", () => {
    expect(parseInputs(DEFAULTS)).toEqual({
      trust: "auto",
      summary: "full",
      checkRuns: "off",
      addresses: "\n\ngithub",
      workingDirectory: ".",
      secrets: { token: undefined, signingKey: undefined },
      job: {
        mode: "prefetch",
        targets: [],
        cache: {
          kind: "github",
          token: "not needed",
          readers: "this job or machine",
          keeper: "GitHub",
          staging: "never",
          address: "github",
          place: "github",
          name: undefined,
        },
        cacheName: "github",
        substituters: [],
        push: "auto",
        pushFilter: undefined,
        passEnv: [],
        pushInputs: "auto",
        pin: "auto",
        pinKeep: { kind: "revisions", revisions: 3 },
        without: [],
        verify: "nar",
        onPushFailure: "warn",
        failOn: ["disk", "eval"],
        heavy: [{ kind: "size", bytes: 1e9 }],
        minFree: 1e9,
        reclaim: "off",
        keyFiles: ["flake.lock", "Cargo.lock"],
        keyFilesBy: "the default",
        keyPrefix: "preflight-v1",
        keySuffix: [],
        force: "trust",
        installNix: "require",
        reuseEvaluation: "auto",
      },
    });
  });

  test.each([
    [{ mode: " audit\n" }, { mode: "audit" }],
    [{ "pin-keep": "forever" }, { pinKeep: { kind: "forever" } }],
    [{ "pin-keep": "days:30" }, { pinKeep: { kind: "days", days: 30 } }],
    [{ "fail-on": "none" }, { failOn: [] }],
    [{ "fail-on": "heavy missing,unverified\n" }, { failOn: ["heavy", "missing", "unverified"] }],
    [
      { "push-filter": "-source$" },
      { pushFilter: expect.objectContaining({ source: "-source$" }) },
    ],
    [{ force: "true" }, { force: "force" }],
    [{ "install-nix": "true" }, { installNix: "install" }],
    [{ "pass-env": "A_1, b\nC" }, { passEnv: ["A_1", "b", "C"] }],
    [
      { "nix-version": "2.34.7", "nix-sha256": "A".repeat(64) },
      { chosenNix: { version: "2.34.7", sha256: new Map([["", "a".repeat(64)]]) } },
    ],
    [
      {
        "nix-version": "2.34.7",
        "nix-sha256": `x86_64-linux ${"a".repeat(64)}\naarch64-darwin ${"b".repeat(64)}\n`,
      },
      {
        chosenNix: {
          version: "2.34.7",
          sha256: new Map([
            ["x86_64-linux", "a".repeat(64)],
            ["aarch64-darwin", "b".repeat(64)],
          ]),
        },
      },
    ],
    [{ "min-free": "0" }, { minFree: 0 }],
    [
      { "key-suffix": "Linux\n\n container-ollama-amd64 \n" },
      { keySuffix: ["Linux", "container-ollama-amd64"] },
    ],
    [{ "key-files": "a.lock\r\n**/b.lock" }, { keyFiles: ["a.lock", "**/b.lock"] }],
    [{ cache: " none " }, { cache: undefined, cacheName: "none" }],
  ])("%j", (inputs, job) => {
    expect(read(inputs).job).toMatchObject(job);
  });

  test.each<[InputName, string, string, string]>([
    [
      "mode",
      "wram",
      'mode: "wram" is not legal. Did you mean "warm"?',
      "check, prefetch, warm, audit",
    ],
    ["mode", "Warm", 'Did you mean "warm"?', "check, prefetch, warm, audit"],
    ["mode", "warm check", 'mode: "warm check" is not legal', "check, prefetch, warm, audit"],
    ["targets", ".#a prority=1", 'Did you mean "priority"?', "priority="],
    ["cache", "cachx:a", 'Did you mean "cachix:"?', "cachix:NAME"],
    ["substituters", "https://a key", '"key…" is not a public key', "NAME:BASE64"],
    ["push", "all", 'push: "all" is not legal', "auto, targets, off"],
    ["push", "true", 'push: "true" is not legal', "auto, targets, off"],
    ["push-filter", "(", 'push-filter: "(" is not a regular expression', "-source$"],
    ["pin", "on", 'pin: "on" is not legal', "auto, off"],
    ["pin-keep", "3", 'pin-keep: "3" is not legal', "forever, days:N or revisions:N"],
    ["pin-keep", "revision:3", 'Did you mean "revisions:3"?', "revisions:N"],
    ["pin-keep", "days:0", 'pin-keep: "days:0" is not legal', "days:N"],
    ["pin-keep", "days:-1", 'pin-keep: "days:-1" is not legal', "days:N"],
    ["verify", "all", 'verify: "all" is not legal', "narinfo, nar, full"],
    ["on-push-failure", "warning", 'Did you mean "warn"?', "error, warn, ignore"],
    [
      "fail-on",
      "disk, evla",
      'fail-on: "evla" is not legal. Did you mean "eval"?',
      "disk, eval, missing, heavy, unverified, audit, or none",
    ],
    ["fail-on", "none, disk", 'fail-on: "none" is not legal', "or none"],
    ["heavy", "<1GB", 'heavy: "<1GB" is not a name', ">500MB"],
    ["min-free", "5", 'min-free: "5" cannot be used: it has no unit', "6GB"],
    ["min-free", "five", 'min-free: "five" cannot be used', "6GB"],
    ["reclaim", "on", 'reclaim: "on" is not legal', "off, auto"],
    ["key-prefix", "a,b", 'key-prefix: "a,b" cannot be part of a cache key', "without commas"],
    ["key-prefix", "p".repeat(129), "cannot be part of a cache key", "128 characters"],
    ["key-suffix", "a b", 'key-suffix: "a b" cannot be part of a cache key', "white space"],
    ["trust", "write", 'trust: "write" is not legal', "auto, read-only"],
    ["trust", "readonly", 'Did you mean "read-only"?', "auto, read-only"],
    ["force", "yes", 'force: "yes" is not legal', "true, false"],
    ["pass-env", "TOKEN=hunter2", 'pass-env: "TOKEN" is not the name', "and no values"],
    ["pass-env", "INPUT_TOKEN", "INPUT_TOKEN is this step's own", "names of variables"],
    ["nix-version", "latest", 'nix-version: "latest" is no version', "2.34.7"],
    ["nix-version", "2.34.7", "nix-version: 2.34.7 needs the sum of its archive", "nix-sha256"],
    ["nix-sha256", "a".repeat(64), "nix-version: nix-sha256 is given without it", "2.34.7"],
    ["install-nix", "1", 'install-nix: "1" is not legal', "true, false"],
  ])("%s: %j is refused", (name, value, message, hint) => {
    const error = userError(() => read({ [name]: value }));
    expect(error.message).toContain(message);
    expect(error.hint).toContain(hint);
  });

  test("a token is trimmed and kept apart from the job", () => {
    const request = read({ token: " secret-token\n", cache: "cachix:a" });
    expect(request.secrets.token).toBe("secret-token");
    expect(JSON.stringify(request.job)).not.toContain("secret-token");
  });

  test.each([
    ["token", "hunter2 hunter2", "NCP-105"],
    ["token", "hunter2\nhunter2", "NCP-105"],
    ["token", "hunter2\u00e9", "NCP-105"],
    ["signing-key", "hunter2", "NCP-105"],
    ["signing-key", "name:aHVudGVyMg==", "NCP-105"],
  ] as [InputName, string, string][])(
    "%s: a secret of the wrong form is not told",
    (name, value, code) => {
      const error = userError(() => read({ [name]: value }));
      expect(error.code).toBe(code);
      expect(error.message).toContain(`${name}:`);
      expect(whole(error)).not.toMatch(/hunter2|aHVudGVyMg/);
    },
  );
});
