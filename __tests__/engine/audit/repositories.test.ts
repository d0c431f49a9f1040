/** Whole repositories as an audit meets them: callers, composite actions, flakes; each with its answer. */

import { describe, expect, test } from "@jest/globals";
import { register } from "../../../src/caches/register.ts";
import { fileChecks } from "../../../src/engine/audit/audit.ts";
import type { Check } from "../../../src/engine/audit/check.ts";
import type { ProjectOptions } from "../../../src/host/project.ts";
import { projectFacts } from "../../support/audited.ts";

type Files = Readonly<Record<string, string>>;
const COMMIT = "89abcdef0123456789abcdef0123456789abcdef";
const CI = ".github/workflows/ci.yml";
const INNER = ".github/workflows/inner.yml";
const SETUP = ".github/actions/nix/action.yml";
const SECRET = `\${{ secrets.CACHIX_AUTH_TOKEN }}`;
const HEAD = `      - uses: actions/checkout@${COMMIT} # v4.2.2
        with: { ref: "\${{ github.event.pull_request.head.sha }}" }\n`;
const NIX = `      - uses: cachix/install-nix-action@${COMMIT} # v31.11.0\n`;
const CACHIX = `      - uses: cachix/cachix-action@${COMMIT} # v17
        with: { name: acme, authToken: "${SECRET}" }\n`;
const BUILD = "      - run: nix build .#a\n";

async function found(files: Files, options: Partial<ProjectOptions> = {}): Promise<Check[]> {
  const facts = await projectFacts(files, options);
  return fileChecks(facts, register).filter(({ status }) => status !== "pass");
}

async function answers(files: Files, options: Partial<ProjectOptions> = {}): Promise<string[]> {
  return (await found(files, options)).map(({ status, code }) => `${status} ${code}`).sort();
}

/** One job, or what stands in its place. */
function job(steps: string, { on = "push", more = "" } = {}): string {
  return `on: ${on}\njobs:\n  build:\n    runs-on: ubuntu-latest\n${more}    steps:\n${steps}`;
}

const calls = (on: string, more = "") =>
  `on: ${on}\njobs:\n  outer:\n    uses: ./${INNER}\n${more}`;

function composite(steps: string, inputs = ""): string {
  return `name: nix\n${inputs}runs:\n  using: composite\n  steps:\n${steps.replace(/^ {2}/gm, "")}`;
}

describe("an action of the repository itself", () => {
  const tok = CACHIX.replace(SECRET, `\${{ inputs.tok }}`);
  const using = (name: string) => ({
    [CI]: job(`${HEAD}      - uses: ${name}\n        with: { tok: "${SECRET}" }\n${BUILD}`, {
      on: "[push, pull_request_target]",
    }),
    [SETUP]: composite(NIX + tok.replace("authToken", `push: "false", authToken`)),
  });

  test("is the same whether it is written ./ or $/, and what it is given counts", async () => {
    const dot = await answers(using("./.github/actions/nix"));
    expect(dot).toEqual(["fail NCP-621", "fail NCP-625"]);
    expect(await answers(using("$/.github/actions/nix"))).toEqual(dot);
  });

  test("is neither unpinned nor unknown", async () => {
    const files = {
      [CI]: job(`      - uses: $/.github/actions/nix\n        env: { T: "${SECRET}" }\n${BUILD}`),
      [SETUP]: composite(NIX + CACHIX.replace(SECRET, `\${{ env.T }}`)),
    };
    expect(await answers(files)).toEqual([]);
  });

  test("takes what it is not given from its defaults", async () => {
    const inputs = `inputs:\n  token: { default: "" }\n`;
    const steps = CACHIX.replace(SECRET, `\${{ inputs.token }}`);
    const one = (given: string) => ({
      [CI]: job(`      - uses: ./.github/actions/nix\n${given}${HEAD}${BUILD}`, {
        on: "[push, pull_request_target]",
      }),
      [SETUP]: composite(NIX + steps, inputs),
    });
    expect(await answers(one(""))).toContain("fail NCP-634");
    expect(await answers(one(`        with: { token: "${SECRET}" }\n`))).toContain("fail NCP-621");
  });

  test("in a stranger's checkout is the stranger's; of the running commit it is ours", async () => {
    const plain = { [SETUP]: composite("      - run: echo hello\n        shell: bash\n") };
    const one = (name: string) => ({
      ...plain,
      [CI]: job(`${HEAD}      - uses: ${name}\n`, { on: "pull_request_target" }),
    });
    expect(await answers(one("./.github/actions/nix"))).toEqual(["fail NCP-634"]);
    expect(await answers(one("$/.github/actions/nix"))).toEqual([]);
  });
});

describe("steps side by side", () => {
  const list = (steps: string) =>
    steps.replace(/^ {6}/gm, "          ").replace(/^/, "      - parallel:\n");
  const all = `${CACHIX.replace("authToken", "push: false, authToken")}${BUILD}      - run: nix-env -iA nixpkgs.hello\n`;
  test("are judged as those one after the other", async () => {
    const on = "[push, pull_request_target]";
    const seq = await answers({ [CI]: job(`${HEAD}${NIX}${all}`, { on }) });
    expect(seq).toEqual(["fail NCP-621", "fail NCP-625", "fail NCP-627"]);
    expect(await answers({ [CI]: job(`${list(HEAD + NIX)}${list(all)}`, { on }) })).toEqual(seq);
  });
});

describe("a workflow that another one calls", () => {
  const inner = (more = "") => ({
    [INNER]: job(NIX + CACHIX + BUILD, { on: "workflow_call", more }),
  });

  test("gets the secrets that its caller hands over, and no others", async () => {
    const one = (more: string) => ({ [CI]: calls("push", more), ...inner() });
    expect(await answers(one("    secrets: inherit\n"))).toEqual([]);
    expect(await answers(one(`    secrets: { CACHIX_AUTH_TOKEN: "${SECRET}" }\n`))).toEqual([]);
    expect(await answers(one(""))).toEqual(["warn NCP-622", "warn NCP-631"]);
    expect(await answers(one(`    secrets: { OTHER: "${SECRET}" }\n`))).toEqual([
      "warn NCP-622",
      "warn NCP-631",
    ]);
  });

  test("runs for its callers' events, under their conditions, with their inputs", async () => {
    const ref = {
      [INNER]: job(
        `      - uses: actions/checkout@${COMMIT} # v4.2.2\n        with: { ref: "\${{ inputs.ref }}" }\n${NIX}${CACHIX}${BUILD}`,
        { on: "\n  workflow_call: { inputs: { ref: { type: string } } }" },
      ),
    };
    const given = (more: string, expression: string) => ({
      [CI]: calls(
        "[push, pull_request_target]",
        `    secrets: inherit\n    with: { ref: "${expression}" }\n${more}`,
      ),
      ...ref,
    });
    const head = `\${{ github.event.pull_request.head.sha || github.sha }}`;
    expect(await answers(given("", head))).toEqual(["fail NCP-621"]);
    expect(await answers(given("", `\${{ github.sha }}`))).toEqual([]);
    expect(await answers(given("    if: github.event_name == 'push'\n", head))).toEqual([]);
  });

  test("needs no token for GitHub's cache, whichever way it is named", async () => {
    const ours = (cache: string) => ({
      [CI]: calls("[push, schedule]", `    with: { cache: "${cache}" }\n`),
      [INNER]: job(
        `      - uses: nix-cache-preflight/nix-cache-preflight@${COMMIT} # v1\n        with: { mode: warm, install-nix: true, cache: "\${{ inputs.cache }}", token: "\${{ secrets.TOKEN }}" }\n`,
        { on: "\n  workflow_call: { inputs: { cache: { type: string } } }" },
      ),
    });
    expect(await answers(ours("github"))).toEqual([]);
    expect(await answers(ours("cachix:acme"))).toEqual(["warn NCP-622", "warn NCP-631"]);
  });

  test("that nobody calls here is asked nothing that its callers decide", async () => {
    expect(await answers(inner())).toEqual(["unknown NCP-631"]);
  });

  test("by itself, or in a circle, comes to an end", async () => {
    const files = {
      [CI]: `${calls("push", "    secrets: inherit\n")}`,
      [INNER]: calls("workflow_call", "    secrets: inherit\n"),
    };
    expect(await answers(files)).toEqual([]);
  });
});

describe("a workflow that follows another", () => {
  const follow = {
    ".github/workflows/follow.yml": `name: Follow\n${job(`      - uses: actions/checkout@${COMMIT} # v4.2.2\n        with: { ref: "\${{ github.event.workflow_run.head_sha }}" }\n${NIX}${CACHIX}${BUILD}`, { on: "{ workflow_run: { workflows: [CI], types: [completed], branches: [main] } }" })}`,
  };
  const first = (on: string) => ({ [CI]: `name: CI\n${job("      - run: echo\n", { on })}` });
  test.each([
    ["push", []],
    ["pull_request", ["fail NCP-621", "warn NCP-631"]],
    ["[push, pull_request]", ["fail NCP-621"]],
    ["schedule", []],
  ])("that %s starts", async (on, expected) => {
    expect(await answers({ ...follow, ...first(on) })).toEqual(expected);
  });
  test("that is not here is not known", async () => {
    expect(await answers(follow)).toEqual(["unknown NCP-621"]);
  });
});

describe("a flake", () => {
  const KEY = "acme.cachix.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=";
  const accepting = job(
    NIX.replace("\n", "\n        with: { extra_nix_config: accept-flake-config = true }\n") + BUILD,
  );
  const flake = (config: string) => `{ outputs = _: { }; nixConfig = { ${config} }; }`;
  const named = `extra-substituters = [ "https://acme.cachix.org" ]; extra-trusted-public-keys = [ "${KEY}" ];`;
  test("whose nixConfig the job accepts gives it a cache", async () => {
    expect(await answers({ [CI]: accepting, "flake.nix": flake(named) })).toEqual([]);
    expect(await answers({ [CI]: accepting, "flake.nix": flake("") })).toEqual(["warn NCP-628"]);
    expect(await answers({ [CI]: job(NIX + BUILD), "flake.nix": flake(named) })).toEqual([
      "warn NCP-628",
    ]);
  });
  test("may allow the cache that it reads", async () => {
    const config = `substituters = [ "https://acme.cachix.org" ]; extra-trusted-substituters = [ "https://acme.cachix.org" ]; extra-trusted-public-keys = [ "${KEY}" ];`;
    expect(await answers({ [CI]: job(NIX + CACHIX + BUILD), "flake.nix": flake(config) })).toEqual(
      [],
    );
    const twice = `substituters = [ "https://acme.cachix.org" ]; extra-substituters = [ "https://acme.cachix.org/" ]; extra-trusted-public-keys = [ "${KEY}" ];`;
    expect(await answers({ [CI]: job(NIX + CACHIX + BUILD), "flake.nix": flake(twice) })).toEqual([
      "warn NCP-614",
    ]);
  });
});

describe("what a finding says", () => {
  test("of many places is one finding, each place once", async () => {
    const images = ["ubuntu-20.04", "macos-13", "buildjet-4vcpu-ubuntu-2204"];
    const jobs = images.map(
      (image, n) => `  j${n}:\n    runs-on: ${image}\n    steps:\n${NIX}${CACHIX}${BUILD}`,
    );
    const [one, ...more] = await found({
      [CI]: `on: [push, workflow_dispatch]\njobs:\n${jobs.join("")}`,
    });
    expect(more).toEqual([]);
    expect(one).toMatchObject({
      code: "NCP-623",
      where: `${CI}:4`,
      more: [{ where: `${CI}:11` }, { where: `${CI}:18` }],
    });
  });

  test("of a guard that nobody can look through names what would have to be known", async () => {
    const files = {
      [CI]: job(HEAD + NIX + CACHIX + BUILD, {
        on: "{ pull_request_target: { types: [labeled] }, push: {} }",
        more: "    if: github.event.label.name == 'safe' || vars.OPEN == 'yes'\n",
      }),
    };
    const [one, ...more] = await found(files);
    expect(more).toEqual([]);
    expect(one?.status).toBe("unknown");
    expect(one?.message).toContain(
      "whether whoever sets the label has read that very commit; vars.OPEN",
    );
  });

  test("of the repository's own name depends on the name, where it is known", async () => {
    const guarded = (repository: string) => ({
      [CI]: job(HEAD + NIX + CACHIX + BUILD, {
        on: "[push, pull_request_target]",
        more: `    if: github.repository == '${repository}'\n`,
      }),
    });
    const environment = {
      PATH: "/usr/bin:/bin",
      HOME: "/nonexistent",
      GITHUB_REPOSITORY: "acme/app",
    };
    expect(await answers(guarded("acme/app"), { environment })).toEqual(["fail NCP-621"]);
    expect(await answers(guarded("other/app"), { environment })).toEqual(["warn NCP-631"]);
    // Who writes one into his workflow means the one that it runs in.
    expect(await answers(guarded("acme/app"))).toEqual(["fail NCP-621"]);
  });
});
