/** Owns the proof that each target gets a check run where a workflow asks for one, and that no job fails for them. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { type GithubChecks, githubChecks } from "../servers/github-checks.ts";
import { listen } from "../servers/http.ts";
import { payload } from "../support/events.ts";
import { FORK, type How, NIX, startJob, type TestJob } from "./job.ts";

const TOKEN = "ghs_that-may-write-checks";
const READER = "ghs_that-may-read-them";
const SHA = "0123456789abcdef0123456789abcdef01234567";

async function flakeOf(job: TestJob, body: string): Promise<void> {
  await writeFile(
    join(job.workspace, "flake.nix"),
    `{ outputs = _: { packages.x86_64-linux = let
      build = name: script: derivation { inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" script ]; };
    in { ${body} }; }; }`,
  );
}

const FLAKE = `
  good = build "good" "echo good > $out";
  later = build "later" "echo later > $out";
  broken = build "broken" "echo no; exit 1";
  throws = throw "on purpose";`;

async function start(body = FLAKE) {
  const job = await startJob(undefined);
  await flakeOf(job, body);
  const github = await githubChecks("owner/repository", { [TOKEN]: "write", [READER]: "read" });
  const how: How = {
    environment: {
      ...job.machine.environment,
      GITHUB_API_URL: github.origin,
      GITHUB_SHA: SHA,
      GITHUB_RUN_ID: "77",
    },
  };
  return {
    job,
    github,
    how,
    async [Symbol.asyncDispose]() {
      await github[Symbol.asyncDispose]();
      await job[Symbol.asyncDispose]();
    },
  };
}

const INPUTS = { "check-runs": "targets", "check-runs-token": TOKEN, "fail-on": "eval" };

function shown({ runs }: GithubChecks) {
  return Object.fromEntries(
    [...runs.values()].map(({ name, conclusion, output }) => [
      name.replace("nix-cache-preflight / ", ""),
      `${conclusion}: ${output.title}`,
    ]),
  );
}

describe(`a check run for each target, on ${NIX}`, () => {
  test("says what became of it, and the end of the job changes what it changed", async () => {
    await using started = await start();
    const { job, github, how } = started;
    const targets = ".#good\n.#later\n.#broken\n.#throws";
    const first = await job.main({ mode: "check", targets, ...INPUTS }, how);
    expect(shown(github)).toEqual({
      ".#good": "neutral: Needs a build",
      ".#later": "neutral: Needs a build",
      ".#broken": "neutral: Needs a build",
      ".#throws": "failure: It does not evaluate",
    });
    expect(first.log).toContain("4 check runs made");
    const [one] = github.runs.values();
    expect(one).toMatchObject({
      head_sha: SHA,
      status: "completed",
      details_url: "https://github.com/owner/repository/actions/runs/77",
    });
    const thrown = [...github.runs.values()].find(({ name }) => name.endsWith("throws"));
    expect(thrown?.output.summary).toContain("on purpose");

    github.runs.clear();
    const warmed = await job.main({ mode: "warm", targets: ".#good\n.#broken", ...INPUTS }, how);
    expect(shown(github)).toEqual({
      ".#good": "success: Cached now",
      ".#broken": "failure: Its build failed",
    });
    expect(`${warmed.raw}`.replace(`::add-mask::${TOKEN}`, "")).not.toContain(TOKEN);

    github.runs.clear();
    const inputs = { mode: "prefetch", targets: ".#good\n.#later", ...INPUTS };
    const main = await job.main(inputs, how);
    expect(shown(github)).toEqual({
      ".#good": "skipped: Cached",
      ".#later": "neutral: Needs a build",
    });
    await job.machine.nix("nix", ["build", "--no-link", "path:.#later"], job.workspace);
    const asked = github.requests.length;
    const post = await job.post(inputs, { ...how, state: main.state });
    expect(post.log).toContain("1 check run changed");
    expect(github.requests.slice(asked)).toEqual([
      expect.stringMatching(/^PATCH \/repos\/owner\/repository\/check-runs\/\d+$/),
    ]);
    expect(shown(github)).toEqual({
      ".#good": "skipped: Cached",
      ".#later": "success: Cached now",
    });
  });

  test("stands at a pull request's own last commit", async () => {
    await using started = await start(`good = build "good" "echo good > $out";`);
    const { job, github, how } = started;
    const event = payload("pull_request-own-branch");
    await job.main(
      { mode: "check", targets: ".#good", ...INPUTS },
      { ...how, eventName: "pull_request", event, ref: "refs/pull/1/merge" },
    );
    const { pull_request: pull } = JSON.parse(event) as {
      pull_request: { head: { sha: string } };
    };
    expect([...github.runs.values()].map(({ head_sha }) => head_sha)).toEqual([pull.head.sha]);
    expect(pull.head.sha).not.toBe(SHA);
  });

  test("of more than a hundred the most severe have one, at most eight asked for at a time", async () => {
    const names = Array.from({ length: 120 }, (_, n) => `p${n} = build "p${n}" "echo > $out";`);
    await using started = await start(`${names.join(" ")} throws = throw "x";`);
    const { job, github, how } = started;
    const done = await job.main({ mode: "check", targets: ".#*", ...INPUTS }, how);
    expect(github.runs.size).toBe(100);
    const thrown = [...github.runs.values()].find(({ name }) => name.endsWith("throws"));
    expect(thrown?.conclusion).toBe("failure");
    expect(github.most()).toBeLessThanOrEqual(8);
    expect(done.log).toContain("100 check runs made; 21 more targets have none");
  });

  test.each([
    [
      "a token that may not",
      { "check-runs-token": READER },
      "403 (Resource not accessible by integration)",
    ],
    ["a token that is none", { "check-runs-token": "ghs_nobodys" }, "401 (Bad credentials)"],
    ["no token", { "check-runs-token": "" }, "check-runs-token is empty"],
  ])("%s fails nothing, and is one line", async (_, inputs, words) => {
    await using started = await start(`good = build "good" "echo good > $out"; b = build "b" "";`);
    const { job, github, how } = started;
    const done = await job.main(
      { mode: "check", targets: ".#good\n.#b", ...INPUTS, ...inputs },
      how,
    );
    expect(done.exitCode).toBe(0);
    const lines = done.log.split("\n").filter((line) => line.includes("check runs:"));
    expect(lines).toEqual([expect.stringContaining(words)]);
    expect(lines[0]).toContain("NCP-317");
    expect(github.runs.size).toBe(0);
    expect(done.annotations).toEqual([]);
  });

  test.each([
    [403, "API rate limit exceeded for installation ID 7.", { "x-ratelimit-remaining": "0" }],
    [403, "You have exceeded a secondary rate limit.", { "retry-after": "60" }],
    [429, "Too many requests.", {}],
  ])(
    "a server that is asked too often (%i %s) is no missing permission",
    async (status, message, headers) => {
      await using started = await start(`good = build "good" "echo good > $out";`);
      const { job, github, how } = started;
      github.instead = () => ({ status, headers, body: JSON.stringify({ message }) });
      const done = await job.main({ mode: "check", targets: ".#good", ...INPUTS }, how);
      expect(done.exitCode).toBe(0);
      const line = done.log.split("\n").find((one) => one.includes("check runs:"));
      expect(line).toContain(
        `GitHub answers ${status} (${message}): it limits how often it is asked`,
      );
      expect(line).not.toContain("checks: write");
    },
  );

  test("is red for what is heavy where the job is red for it, and only then", async () => {
    await using started = await start(`heavy = build "heavy" ""; light = build "light" "";`);
    const { job, github, how } = started;
    const inputs = { mode: "check", targets: ".#heavy\n.#light", ...INPUTS, heavy: "heavy" };
    const red = await job.main({ ...inputs, "fail-on": "heavy" }, how);
    expect(red.exitCode).toBe(1);
    expect(shown(github)).toEqual({
      ".#heavy": "failure: Needs a build",
      ".#light": "neutral: Needs a build",
    });
    github.runs.clear();
    expect((await job.main(inputs, how)).exitCode).toBe(0);
    expect(shown(github)).toMatchObject({ ".#heavy": "neutral: Needs a build" });
  });

  test("is red for what could not be checked where the job is red for it", async () => {
    await using started = await start(`good = build "good" "echo good > $out";`);
    const { job, github, how } = started;
    await using broken = await listen(async () => ({ status: 500 }));
    const substituters = broken.origin;
    const inputs = { ...INPUTS, mode: "warm", targets: ".#good", substituters };
    const red = await job.main({ ...inputs, "fail-on": "unverified" }, how);
    expect(red.exitCode).toBe(1);
    const title = "Could not be checked: a cache did not answer";
    expect(shown(github)).toEqual({ ".#good": `failure: ${title}` });
  });

  test("one that GitHub does not take leaves the others; a server that does not answer ends them", async () => {
    await using started = await start(`a = build "a" "a"; b = build "b" "b"; c = build "c" "c";`);
    const { job, github, how } = started;
    let n = 0;
    github.instead = () =>
      n++ === 0 ? { status: 422, body: '{"message":"Invalid request."}' } : undefined;
    const inputs = { mode: "check", targets: ".#a\n.#b\n.#c", ...INPUTS };
    const some = await job.main(inputs, how);
    expect(some.log).toContain("2 check runs made");
    expect(some.log).toContain("check runs: 1 not made: GitHub answers 422 (Invalid request.)");
    github.instead = () => "drop";
    const none = await job.main(inputs, how);
    expect(none.exitCode).toBe(0);
    expect(none.log).toContain("check runs: 3 not made");
  });

  test.each([
    ["pull_request", {}],
    ["pull_request_target", { eventName: "pull_request_target", ref: "refs/heads/main" }],
  ])("a fork's %s makes none, and GitHub is not asked", async (_, event) => {
    await using started = await start(`good = build "good" "echo good > $out";`);
    const { job, github, how } = started;
    const inputs = { mode: "check", targets: ".#good", ...INPUTS };
    const main = await job.main(inputs, { ...how, ...FORK, ...event });
    expect(main.exitCode).toBe(0);
    expect(main.log).toContain("check runs: none for what others wrote");
    const post = await job.post(inputs, { ...how, ...FORK, ...event, state: main.state });
    expect(post.exitCode).toBe(0);
    expect(github.requests).toEqual([]);
  });

  test("without the input nobody is asked", async () => {
    await using started = await start(`good = build "good" "echo good > $out";`);
    const { job, github, how } = started;
    const inputs = { mode: "check", targets: ".#good", "check-runs-token": TOKEN };
    const done = await job.main(inputs, how);
    expect(done.log).not.toContain("check run");
    expect(github.requests).toEqual([]);
  });
});
