import { describe, expect, test } from "@jest/globals";
import type { Check } from "../../../src/engine/audit/check.ts";
import { checks, projectFacts, workflow } from "../../support/audited.ts";

const COMMIT = "4ee5453ac1f5ecf07e0e6a3c4b1b6ac3d0a2f3b1";
const INSTALL = "- uses: cachix/install-nix-action@v31";
const OURS = `- uses: nix-cache-preflight/nix-cache-preflight@${COMMIT} # v1.0.0`;
const CACHIX = `- uses: cachix/cachix-action@${COMMIT} # v17`;
const SECRET = `\${{ secrets.CACHIX_AUTH_TOKEN }}`;
const FOREIGN = `- uses: actions/checkout@v5
  with:
    ref: \${{ github.event.pull_request.head.sha }}`;
const SAME = "github.event.pull_request.head.repo.full_name == github.repository";

async function of(code: string, files: Readonly<Record<string, string>>): Promise<Check[]> {
  const all = await checks(await projectFacts(files));
  return all.filter((one) => one.code === code);
}

interface Case {
  readonly code: string;
  readonly what: string;
  readonly status?: Check["status"];
  readonly fails: Record<string, string>;
  readonly says: string;
  readonly passes: Record<string, string>;
}

const CASES: readonly Case[] = [
  {
    code: "NCP-621",
    what: "a stranger's code is pushed by cachix-action",
    fails: workflow(`${FOREIGN}\n${CACHIX}\n  with: { name: acme, authToken: "${SECRET}" }`, {
      on: "pull_request_target",
    }),
    says: "cachix/cachix-action pushes in a pull_request_target run that builds a stranger's code, with CACHIX_AUTH_TOKEN",
    passes: workflow(
      `${FOREIGN}\n${CACHIX}\n  if: ${SAME}\n  with: { name: acme, authToken: "${SECRET}" }`,
      { on: "pull_request_target" },
    ),
  },
  {
    code: "NCP-621",
    what: "a stranger's code is pushed by a script",
    fails: workflow(
      `- run: gh pr checkout 1\n- run: cachix push acme ./result\n  env: { CACHIX_AUTH_TOKEN: "${SECRET}" }`,
      { on: "issue_comment" },
    ),
    says: "cachix push pushes in a issue_comment run",
    passes: workflow(
      `- run: gh pr checkout 1\n- run: cachix push acme ./result\n  env: { CACHIX_AUTH_TOKEN: "${SECRET}" }`,
      { on: "issue_comment", more: `    if: ${SAME}\n` },
    ),
  },
  {
    code: "NCP-621",
    what: "skipPush is what guards it",
    fails: workflow(
      `${FOREIGN}\n${CACHIX}\n  with: { name: acme, authToken: "${SECRET}", skipPush: "false" }`,
      { on: "pull_request_target" },
    ),
    says: "builds a stranger's code",
    passes: workflow(
      `${FOREIGN}\n${CACHIX}\n  with: { name: acme, authToken: "${SECRET}", skipPush: "\${{ github.event.pull_request.head.repo.fork }}" }`,
      { on: "pull_request_target" },
    ),
  },
  {
    code: "NCP-621",
    what: "a stranger's code is pushed to GitHub's cache, where cache-mode lets it be",
    fails: workflow(`${FOREIGN}\n- uses: Mic92/hestia@${COMMIT}`, {
      on: "pull_request_target",
      more: "    cache-mode: write\n",
    }),
    says: "mic92/hestia pushes in a pull_request_target run that builds a stranger's code, which cache-mode: write lets it do for every branch",
    passes: workflow(`${FOREIGN}\n- uses: Mic92/hestia@${COMMIT}`, { on: "pull_request_target" }),
  },
  {
    code: "NCP-621",
    what: "our own action is handed a secret beside a stranger's flake",
    fails: workflow(
      `${FOREIGN}\n${OURS}\n  with: { mode: warm, cache: "cachix:acme", token: "${SECRET}" }`,
      { on: "pull_request_target" },
    ),
    says: "this action (mode: warm) runs a stranger's code in a pull_request_target run and is handed CACHIX_AUTH_TOKEN",
    passes: workflow(
      `- uses: actions/checkout@v5\n${OURS}\n  with: { mode: warm, cache: "cachix:acme", token: "${SECRET}" }`,
      { on: "pull_request_target" },
    ),
  },
  {
    code: "NCP-634",
    what: "a stranger's code runs with our rights, without any secret",
    fails: workflow(`${FOREIGN}\n- run: npm ci && npm test`, { on: "pull_request_target" }),
    says: "\"npm ci\" runs a stranger's code in a pull_request_target run: it has that run's rights",
    passes: workflow(`${FOREIGN}\n- run: cat VERSION && git log -1`, { on: "pull_request_target" }),
  },
  {
    code: "NCP-622",
    what: "a token in the open",
    fails: workflow(`${CACHIX}\n  with: { name: acme, authToken: eyJhbGciOi }`),
    says: "authtoken of cachix/cachix-action is written into the file",
    passes: workflow(`${CACHIX}\n  with: { name: acme, authToken: "${SECRET}" }`),
  },
  {
    code: "NCP-622",
    what: "no token for a cache that is given one in another place",
    status: "warn",
    fails: workflow(
      `${CACHIX}\n  with: { name: acme, authToken: "${SECRET}" }\n${CACHIX}\n  with: { name: acme }`,
    ),
    says: "cachix/cachix-action has no authtoken for acme, as it has at .github/workflows/ci.yml:6: it reads, and pushes nothing",
    passes: workflow(
      `${CACHIX}\n  with: { name: acme, authToken: "${SECRET}" }\n${CACHIX}\n  with: { name: acme, skipPush: true }\n${CACHIX}\n  with: { name: others }`,
    ),
  },
  {
    code: "NCP-622",
    what: "no token for a warming run of ours",
    status: "warn",
    fails: workflow(`${OURS}\n  with: { mode: warm, cache: "cachix:acme" }`),
    says: "has no token: it reads, and pushes nothing",
    passes: workflow(`${OURS}\n  with: { mode: warm, cache: github }`),
  },
  {
    code: "NCP-622",
    what: "a script without its token",
    fails: workflow("- run: cachix push acme ./result"),
    says: '"cachix push" runs without CACHIX_AUTH_TOKEN',
    passes: workflow(`- run: cachix push acme ./result\n  env: { CACHIX_AUTH_TOKEN: "${SECRET}" }`),
  },
  {
    code: "NCP-622",
    what: "two names for one token",
    status: "warn",
    fails: workflow(
      `${CACHIX}\n  with: { name: acme, authToken: "${SECRET}" }\n${OURS}\n  with: { cache: "cachix:acme", token: "\${{ secrets.CACHIX_TOKEN }}" }`,
    ),
    says: "the token of acme is secrets.CACHIX_TOKEN here and secrets.CACHIX_AUTH_TOKEN elsewhere",
    passes: workflow(
      `${CACHIX}\n  with: { name: acme, authToken: "${SECRET}" }\n${OURS}\n  with: { cache: "cachix:acme", token: "${SECRET}" }`,
    ),
  },
  {
    code: "NCP-623",
    what: "a retired actions/cache",
    fails: workflow("- uses: actions/cache@v4.1.2\n  with: { path: target, key: x }"),
    says: "actions/cache v4.1.2 speaks to a cache service that GitHub has ended",
    passes: workflow("- uses: actions/cache@v4\n  with: { path: target, key: x }"),
  },
  {
    code: "NCP-623",
    what: "a retired Nix cache, by the comment behind its commit",
    fails: workflow(`- uses: nix-community/cache-nix-action@${COMMIT} # v5.1.0`),
    says: "cache-nix-action v5.1.0",
    passes: workflow(`- uses: nix-community/cache-nix-action@${COMMIT} # v6.1.3`),
  },
  {
    code: "NCP-624",
    what: "an action at a branch",
    status: "warn",
    fails: workflow("- uses: cachix/install-nix-action@master"),
    says: "cachix/install-nix-action is used at the branch master",
    passes: workflow(`- uses: cachix/install-nix-action@${COMMIT}`),
  },
  {
    code: "NCP-624",
    what: "an action without a version",
    status: "warn",
    fails: workflow("- uses: cachix/install-nix-action"),
    says: "without a version",
    passes: workflow("- uses: cachix/install-nix-action@v31"),
  },
  {
    code: "NCP-624",
    what: "a tag that is given a secret",
    status: "warn",
    fails: workflow(
      `- uses: cachix/cachix-action@v17\n  with: { name: a, authToken: "${SECRET}" }`,
    ),
    says: "cachix/cachix-action@v17 can be moved, and is given secrets.CACHIX_AUTH_TOKEN",
    passes: workflow(`${CACHIX}\n  with: { name: a, authToken: "${SECRET}" }`),
  },
  {
    code: "NCP-624",
    what: "a reusable workflow at a branch",
    fails: {
      ".github/workflows/a.yml":
        "on: push\njobs:\n  a:\n    uses: acme/flows/.github/workflows/x.yml@main\n    secrets: inherit\n",
    },
    says: "acme/flows/.github/workflows/x.yml is used at the branch main: it is another program every day, and is given all secrets",
    passes: {
      ".github/workflows/a.yml": `on: push\njobs:\n  a:\n    uses: acme/flows/.github/workflows/x.yml@${COMMIT}\n    secrets: inherit\n`,
    },
  },
  {
    code: "NCP-625",
    what: "the `push:` that cachix-action does not have",
    fails: workflow(`${CACHIX}\n  with: { name: a, authToken: "${SECRET}", push: false }`),
    says: 'cachix/cachix-action has no input "push": it is ignored in silence.',
    passes: workflow(`${CACHIX}\n  with: { name: a, authToken: "${SECRET}", skipPush: false }`),
  },
  {
    code: "NCP-625",
    what: "a misspelt input of ours",
    fails: workflow(`${OURS}\n  with: { target: .#a }`),
    says: 'has no input "target": it is ignored in silence. Did you mean "targets"?',
    passes: workflow(`${OURS}\n  with: { targets: .#a }`),
  },
  {
    code: "NCP-626",
    what: "a cache named by a secret",
    fails: workflow(`${CACHIX}\n  with: { name: "\${{ secrets.CACHE }}" }`, { on: "pull_request" }),
    says: "name of cachix/cachix-action is secrets.CACHE: in a fork's run it is empty",
    // No fork runs it.
    passes: workflow(`${CACHIX}\n  with: { name: "\${{ secrets.CACHE }}" }`),
  },
  {
    code: "NCP-626",
    what: "the same by way of env",
    fails: workflow(`${CACHIX}\n  with: { name: "\${{ env.CACHE }}" }`, {
      on: "pull_request",
      more: `    env:\n      CACHE: \${{ secrets.CACHE }}\n`,
    }),
    says: "is secrets.CACHE",
    passes: workflow(`${CACHIX}\n  with: { name: "\${{ env.CACHE }}" }`, {
      more: "    env:\n      CACHE: acme\n",
    }),
  },
  {
    code: "NCP-627",
    what: "nix-env",
    fails: workflow(`${INSTALL}\n- run: |\n    echo x\n    nix-env -iA nixpkgs.jq`),
    says: "nix-env installs from a channel",
    passes: workflow(`${INSTALL}\n- run: nix shell nixpkgs#jq --command jq --version`),
  },
  {
    code: "NCP-628",
    what: "a job that builds without a cache",
    status: "warn",
    fails: workflow(`${INSTALL}\n- run: nix build .#a`),
    says: "the job build builds with Nix and reads no cache but cache.nixos.org",
    passes: workflow(
      `- uses: cachix/install-nix-action@v31\n  with: { extra_nix_config: "extra-substituters = https://acme.cachix.org" }\n- run: nix build .#a`,
    ),
  },
  {
    code: "NCP-628",
    what: "the cache is in a composite action of the repository",
    status: "unknown",
    fails: workflow("- uses: ./.github/actions/setup\n- run: nix build"),
    says: "to be known: what ./.github/actions/setup sets up",
    passes: {
      ...workflow("- uses: ./.github/actions/setup\n- run: nix build"),
      ".github/actions/setup/action.yaml": `runs:\n  using: composite\n  steps:\n    ${INSTALL}\n    ${CACHIX}\n      with: { name: a }\n`,
    },
  },
  {
    code: "NCP-629",
    what: "actions/cache over the store",
    status: "warn",
    fails: workflow(
      `- uses: actions/cache@v5\n  with:\n    key: x\n    path: |\n      ~/.cargo\n      /nix/store`,
    ),
    says: "actions/cache keeps /nix",
    passes: workflow("- uses: actions/cache@v5\n  with: { key: x, path: ~/.cargo }"),
  },
  {
    code: "NCP-629",
    what: "a second cache that pushes beside ours",
    status: "warn",
    fails: workflow(`${OURS}\n${CACHIX}\n  with: { name: a, authToken: "${SECRET}" }`),
    says: "cachix/cachix-action pushes beside this action",
    passes: workflow(`${OURS}\n${CACHIX}\n  with: { name: a, skipPush: true }`),
  },
  {
    code: "NCP-630",
    what: "a job that needs Nix and has none",
    fails: workflow("- run: nix build .#a"),
    says: "the job build uses Nix and nothing sets it up",
    passes: workflow(`${OURS}\n  with: { install-nix: "true" }\n- run: nix build .#a`),
  },
  {
    code: "NCP-630",
    what: "an image that brings Nix",
    fails: workflow("- run: nix-build"),
    says: "nothing sets it up",
    passes: workflow("- run: nix-build", { more: "    container: nixos/nix:2.34.0\n" }),
  },
  {
    code: "NCP-631",
    what: "nothing pushes on the default branch",
    status: "warn",
    fails: workflow(`${OURS}\n  with: { mode: check }`),
    says: "no workflow pushes to a cache",
    passes: workflow(`${OURS}\n  with: { mode: warm }`),
  },
  {
    code: "NCP-632",
    what: "nothing looks on a schedule",
    status: "warn",
    fails: workflow(`${OURS}\n  with: { mode: warm }`),
    says: "no workflow looks at the cache on a schedule",
    passes: workflow(`${OURS}\n  with: { mode: audit }`, {
      on: '{ schedule: [{ cron: "1 1 * * 1" }] }',
    }),
  },
];

describe("a workflow file", () => {
  test.each(CASES)(
    "$code, $what: fails where it is so, and passes where it is not",
    async (one) => {
      const wrong = await of(one.code, one.fails);
      const troubles = wrong.filter(({ status }) => status !== "pass");
      expect(troubles.map(({ message }) => message).join("\n")).toContain(one.says);
      for (const { status, mend } of troubles) {
        expect(status).toBe(one.status ?? "fail");
        expect(mend).toMatch(/\S/);
      }
      expect((await of(one.code, one.passes)).filter(({ status }) => status !== "pass")).toEqual(
        [],
      );
    },
  );

  test("that another one of the repository calls is looked at on the caller's events", async () => {
    const { ".github/workflows/ci.yml": inner = "" } = workflow(
      `${FOREIGN}\n${CACHIX}\n  with: { name: acme, authToken: "${SECRET}" }`,
      { on: "workflow_call" },
    );
    const caller = (on: string, more = "") => ({
      ".github/workflows/inner.yml": inner,
      ".github/workflows/outer.yml": `on: ${on}\njobs:\n  a:\n    uses: ./.github/workflows/inner.yml\n    secrets: inherit\n${more}`,
    });
    expect(await of("NCP-621", caller("pull_request_target"))).toMatchObject([
      { status: "fail", where: ".github/workflows/inner.yml:9" },
    ]);
    expect(await of("NCP-621", caller("pull_request_target", `    if: ${SAME}\n`))).toMatchObject([
      { status: "pass" },
    ]);
    const without = caller("push");
    without[".github/workflows/outer.yml"] = without[".github/workflows/outer.yml"].replace(
      "    secrets: inherit\n",
      "",
    );
    expect(await of("NCP-622", without)).toMatchObject([
      {
        status: "warn",
        message: expect.stringContaining("hands no secret to ./.github/workflows/inner.yml"),
        where: ".github/workflows/outer.yml:4",
      },
    ]);
    expect(await of("NCP-631", caller("push"))).toMatchObject([{ status: "pass" }]);
    // Told once, though it is looked at for each event and each caller.
    expect(await of("NCP-621", caller("[pull_request_target, issue_comment]"))).toHaveLength(1);
  });

  test("that uses the action of its own repository uses ours", async () => {
    const files = {
      ...workflow("- uses: ./\n  with: { mode: warm, target: x }\n- run: nix build"),
      "action.yml": "name: Nix Cache Preflight\nruns: { using: node24, main: main.js }\n",
    };
    expect(await of("NCP-628", files)).toMatchObject([{ status: "pass" }]);
    expect(await of("NCP-625", files)).toMatchObject([{ status: "fail" }]);
  });

  test("names the file and the line", async () => {
    const found = await of("NCP-625", workflow(`${INSTALL}\n${CACHIX}\n  with: { push: false }`));
    expect(found).toMatchObject([{ where: ".github/workflows/ci.yml:7", status: "fail" }]);
  });

  test("never quotes a token that stands in it", async () => {
    const all = await checks(
      await projectFacts(workflow(`${CACHIX}\n  with: { name: a, authToken: eyJhbGciOi }`)),
    );
    expect(JSON.stringify(all)).not.toContain("eyJhbGciOi");
  });

  test("that is not there is no pass", async () => {
    const all = await checks(await projectFacts({}));
    expect(all.filter(({ group }) => group === "workflows")).toMatchObject([
      { code: "NCP-600", status: "unknown" },
    ]);
  });

  test("that a stranger's event starts and that builds nothing of his passes", async () => {
    const files = workflow(`${CACHIX}\n  with: { name: a, authToken: "${SECRET}" }`, {
      on: "pull_request_target",
    });
    expect(await of("NCP-621", files)).toMatchObject([{ status: "pass" }]);
  });
});
