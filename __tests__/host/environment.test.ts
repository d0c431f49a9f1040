import { describe, expect, test } from "@jest/globals";
import {
  type BuildNeeds,
  buildEnvironment,
  childEnvironment,
  exposedSecret,
  isSecretName,
  secretOf,
  showsInputs,
} from "../../src/host/environment.ts";

const names = (environment: object) => Object.keys(environment).sort();
const given = (...all: string[]) => Object.fromEntries(all.map((name) => [name, `${name}'s`]));

describe("what a child gets", () => {
  test.each([
    ["what Nix reads", ["NIX_CONFIG", "NIX_REMOTE", "NIX_SSHOPTS", "NIX_USER_CONF_FILES"]],
    ["what git and ssh read", ["GIT_SSH_COMMAND", "GIT_PROXY_COMMAND", "SSH_AUTH_SOCK"]],
    ["git's counted settings", ["GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_12"]],
    ["ways out", ["SOCKS_SERVER", "https_proxy", "GOPROXY", "NIX_HASHED_MIRRORS"]],
  ])("%s", (_, all) => {
    expect(names(childEnvironment(given(...all)))).toEqual([...all].sort());
  });

  test.each([
    "NIX_SIGNING_KEY",
    "NIX_CACHE_PRIVATE_KEY",
    "NIX_NPM_TOKENS",
    "GIT_PASSWORD",
    "GIT_TOKEN",
    "GIT_CONFIG_VALUE_x",
    "XDG_SECRET",
    "LC_TOKEN",
    "INPUT_TOKEN",
    "INPUT_CHECK-RUNS-TOKEN",
    "ACTIONS_RUNTIME_TOKEN",
    "GITHUB_TOKEN",
    "FOO",
  ])("nothing because of how it begins: not %s", (name) => {
    expect(childEnvironment(given(name))).toEqual({});
  });
});

describe("what a build gets beside that", () => {
  const NEEDS: BuildNeeds = { code: "ours", named: [], declared: [], hook: "none" };
  const build = (environment: Record<string, string>, needs: Partial<BuildNeeds>) =>
    names(buildEnvironment(environment, { ...NEEDS, ...needs }));

  test("what a fetch declares, but for what has a secret's name or is the runner's", () => {
    const declared = ["MIRROR", "MY_TOKEN", "AWS_SECRET_ACCESS_KEY", "GITHUB_ENV", "INPUT_CACHE"];
    expect(build(given(...declared, "OTHER"), { declared })).toEqual(["MIRROR"]);
  });

  test("what pass-env names, a secret too: that is the workflow's own word", () => {
    const all = given("MIRROR", "NPM_TOKEN", "INPUT_TOKEN");
    const named = ["MIRROR", "NPM_TOKEN", "INPUT_TOKEN", "ABSENT"];
    expect(build(all, { named })).toEqual(["MIRROR", "NPM_TOKEN"]);
  });

  test("strange code: nothing by its own word, and no secret by anybody's", () => {
    const all = given("MIRROR", "NPM_TOKEN", "DECLARED");
    const needs = { code: "strange", named: ["MIRROR", "NPM_TOKEN"], declared: ["DECLARED"] };
    expect(build(all, { ...needs, hook: "here" } as BuildNeeds)).toEqual(["MIRROR"]);
  });

  test("strange code: what evaluation fetches with is no build's", () => {
    const environment = {
      NIX_CONFIG: "cores = 2\nextra-access-tokens = github.com=x\naccess-tokens = github.com=y",
      GIT_CONFIG_COUNT: "1",
      GIT_CONFIG_KEY_0: "http.extraheader",
      GIT_CONFIG_VALUE_0: "Authorization: x",
      GIT_ASKPASS: "/x",
      PATH: "/bin",
    };
    expect(buildEnvironment(environment, { ...NEEDS, code: "strange" })).toEqual({
      NIX_CONFIG: "cores = 2",
      GIT_CONFIG_COUNT: "0",
      GIT_CONFIG_KEY_0: "",
      GIT_CONFIG_VALUE_0: "",
      GIT_ASKPASS: "",
    });
  });

  test("the machine's hook has the job's environment, without what no step of the job has", () => {
    const all = given(
      "AWS_SECRET_ACCESS_KEY",
      "GITHUB_SHA",
      "INPUT_TOKEN",
      "INPUT_CHECK-RUNS-TOKEN",
      "STATE_x",
      "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    );
    expect(build(all, { hook: "here" })).toEqual(["AWS_SECRET_ACCESS_KEY", "GITHUB_SHA"]);
  });

  test.each([
    ["GOPROXY", false],
    ["MONKEY", false],
    ["AUTHOR_NAME", true],
    ["KEY_FILE", true],
    ["CI_PAT", true],
    ["PATH_TO_X", false],
    ["mysecret", true],
    ["DB_PASS", true],
    ["COMPASS", false],
  ])("%s has a secret's name: %s", (name, is) => {
    expect(isSecretName(name)).toBe(is);
  });
});

test("the secret of a step is its token, its key, or the job's right to ask for identities", () => {
  const none = { token: undefined, signingKey: undefined };
  expect(secretOf(none, given("ACTIONS_RUNTIME_TOKEN", "GITHUB_TOKEN"))).toBeUndefined();
  expect(secretOf(none, given("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))).toContain("id-token");
  expect(secretOf({ ...none, signingKey: "x" }, {})).toBe("signing-key");
});

test("a key that the system goes on showing ends the run of a stranger's code", () => {
  const started = {
    ...{ secrets: { token: "t", signingKey: undefined }, environment: {}, job: { targets: [] } },
    code: "strange",
  } as const;
  const machine = { builder: "daemon", sandbox: "on" } as const;
  expect(exposedSecret(started, machine, "a key")).toEqual({ secret: "token", to: "inputs" });
  expect(exposedSecret(started, machine, "no key")).toBeUndefined();
  expect(showsInputs(started, "a key")).toBe(true);
  expect(showsInputs(started, "no key")).toBe(false);
  expect(showsInputs({ ...started, code: "ours" }, "a key")).toBe(false);
  expect(exposedSecret({ ...started, code: "ours" }, machine, "a key")).toBeUndefined();
});
