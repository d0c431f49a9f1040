/** Owns the proof that `cache: github`, the default, carries a job's work to the next one, and no more. */

import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import {
  type GithubCacheServer,
  MAIN,
  READ_ONLY,
  startGithubCache,
  twirp,
} from "../servers/github-cache.ts";
import { newSecretKey } from "../support/keys.ts";
import { cached, FORK, type How, type Inputs, NIX, type Step, startJob, told } from "./job.ts";

/** `program` refers to `lib`, and is built with `helper`, which it forgets. */
const flake = (program: string, more = "") => `{
  outputs = { self }: let
    build = name: text: uses: derivation {
      inherit name uses;
      system = "x86_64-linux";
      builder = "/bin/sh";
      args = [ "-c" "echo \${text} > $out" ];
    };
    lib = build "lib-1" "lib" [ ];
    helper = build "helper-1" "helper" [ ];
  in {
    packages.x86_64-linux = {
      program = build "program-1" "${program} \${lib}" [ helper ];
      ${more}
    };
  };
}`;
const MORE = `more = build "more-1" "more" [ ];`;

interface Job {
  readonly main: Step;
  readonly post: Step;
  /** What the job's cache held before post, by name and version of the program. */
  readonly held: readonly string[];
  /** Keys of what was asked of the cache service to save, but for the run's own records. */
  readonly saved: readonly string[];
  /** Of those: its ledger and its evaluation. */
  readonly records: readonly string[];
}

interface Site extends AsyncDisposable {
  readonly server: GithubCacheServer;
  write(flake: string): Promise<void>;
  /** What a checkout is: a clean git tree. */
  commit(): void;
  /** A whole job on a fresh machine with a folder of its own; `build` is what its steps build. */
  run(inputs: Inputs, how?: JobHow): Promise<Job>;
}

interface JobHow extends How {
  readonly variables?: Readonly<Record<string, string>>;
  readonly build?: string;
}

function isRecord(key: string): boolean {
  return /^(ledger|evaluation|[0-9a-f]{64})-/.test(key);
}

async function site(): Promise<Site> {
  const server = await startGithubCache();
  const job = await startJob(undefined);
  const { machine, workspace } = job;
  let runs = 0;
  return {
    server,
    write: (text) => writeFile(join(workspace, "flake.nix"), text),
    commit() {
      const git = (...args: string[]) =>
        execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@localhost", ...args], {
          cwd: workspace,
        });
      git("init", "-q");
      git("add", ".");
      git("commit", "-qm", "flake");
    },
    async run(inputs, { variables = server.variables(), build, ...how } = {}) {
      await machine.forget();
      runs++;
      const temp = join(machine.root, `runner-${runs}`);
      const environment = { ...machine.environment, GITHUB_RUN_ID: String(runs), ...variables };
      // An empty input is its default: the cache is not named.
      const given = { cache: "", ...inputs };
      server.requests();
      const main = await job.main(given, { ...how, temp, environment });
      if (build !== undefined) {
        await machine.nix("nix", ["build", "--no-link", "--no-write-lock-file", build], workspace);
      }
      // Post takes the folder away; what it adds to it before that, its entries show.
      const paths = await cached(join(temp, "nix-cache-preflight", "1", "github", "cache"));
      const post = await job.post(given, { ...how, temp, environment, state: main.state });
      const creates = server.requests().flatMap((line) => {
        const [method, key = ""] = line.split(" ");
        return method === "CreateCacheEntry" ? [key] : [];
      });
      return {
        main,
        post,
        held: [...paths.keys()].sort(),
        saved: creates.filter((key) => !isRecord(key)),
        records: creates.filter(isRecord),
      };
    },
    async [Symbol.asyncDispose]() {
      await job[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

const WARM = { mode: "warm" };
const DEPS = "preflight-v1-deps-none-none";

describe(`cache: github, on ${NIX}`, () => {
  test("without any input: what a job built, the next one fetches, and a third saves nothing", async () => {
    await using here = await site();
    await here.write(flake("one"));
    const first = await here.run({}, { build: "path:.#program" });
    expect(first.main.exitCode).toBe(0);
    expect(first.main.outputs["hit"]).toBe("false");
    expect(first.post.exitCode).toBe(0);
    expect(first.saved).toEqual([DEPS]);

    const second = await here.run({}, { build: "path:.#program" });
    expect(second.main.outputs["hit"]).toBe("true");
    // What a build needed was kept beside what came of it.
    expect(second.main.log).toContain(`3 paths restored from ${DEPS}`);
    expect(second.held).toEqual(["helper-1", "lib-1", "program-1"]);
    expect(second.main.log).toContain("Fetch 2 paths");
    expect(second.post.log).toContain("nothing new to push");
    expect(second.saved).toEqual([]);

    const third = await here.run(WARM);
    expect(third.main.building).toEqual([]);
    expect(third.saved).toEqual([]);
    // Nothing went wrong, so nothing is told but that there are no lock files here.
    const all = [first, second, third].flatMap(({ main, post }) => [...told(main), ...told(post)]);
    expect(all.filter((line) => line.includes("github"))).toEqual([]);
  });

  test("a change uploads what changed alone, and what no target reaches any more is dropped", async () => {
    await using here = await site();
    await here.write(flake("one"));
    expect((await here.run(WARM)).saved).toEqual([DEPS]);

    await here.write(flake("two", MORE));
    const second = await here.run(WARM);
    expect(second.main.building).toEqual(["more-1", "program-1"].sort());
    expect(second.saved).toEqual([expect.stringMatching(`^${DEPS}-[0-9a-f]{8}-2.1-`)]);
    expect(second.post.log).toContain("saved: 2 paths");

    await here.write(flake("three"));
    const third = await here.run(WARM);
    expect(third.main.building).toEqual(["program-1"]);
    expect(third.post.log).toContain("not kept: no target reaches them");
    expect(third.post.log).toContain("saved: 1 path ");

    // Gone with the second run: `more`. The shared entry stays as it was made.
    await here.write(flake("three"));
    const fourth = await here.run(WARM);
    expect(fourth.main.building).toEqual([]);
    expect(fourth.saved).toEqual([]);
    expect(fourth.held).not.toContain("more-1");
  });

  test("an evaluation record comes with it: a job of the same commit evaluates nothing", async () => {
    await using here = await site();
    await here.write(flake("one"));
    here.commit();
    await here.run(WARM);
    const second = await here.run({});
    expect(second.main.log).toContain("nothing was evaluated");
    expect(second.main.outputs["hit"]).toBe("true");
    expect(second.saved).toEqual([]);
  });

  test("other lock files begin with what the last ones had", async () => {
    await using here = await site();
    await here.write(flake("one"));
    await here.run(WARM);
    const other = await here.run({ ...WARM, "key-files": "flake.nix" });
    expect(other.main.building).toEqual([]);
    expect(other.main.log).toContain(`restored from ${DEPS}`);
    expect(other.saved).toEqual([]);
  });

  test("each part of the key is a layer, and a new part uploads nothing of the others", async () => {
    await using here = await site();
    await here.write(flake("one"));
    const job = { ...WARM, "key-suffix": "job" };
    expect((await here.run(job)).saved).toEqual([DEPS]);
    await here.write(flake("one", MORE));
    const container = { ...WARM, "key-suffix": "job\ncontainer" };
    const second = await here.run(container);
    expect(second.main.building).toEqual(["more-1"]);
    expect(second.saved).toEqual([`${DEPS}-job`]);
    expect(second.post.log).toContain(`${DEPS}-job saved: 1 path `);
  });

  test("with a signing-key only what it signed is believed, and the rest is made anew", async () => {
    await using here = await site();
    await here.write(flake("one"));
    const unsigned = await here.run(WARM);
    expect(unsigned.saved).toEqual([DEPS]);
    const key = { ...WARM, "signing-key": newSecretKey("ours-1") };
    const first = await here.run(key);
    expect(first.main.building).toEqual(["helper-1", "lib-1", "program-1"]);
    expect(told(first.main)).toContainEqual(
      expect.stringMatching(/^warning: github: 3 paths restored without a signature/),
    );
    const second = await here.run(key);
    expect(second.main.building).toEqual([]);
  });

  test("a read-only run restores, and asks to save nothing", async () => {
    await using here = await site();
    await here.write(flake("one"));
    await here.run(WARM);
    await here.write(flake("two"));
    const fork = await here.run({}, { ...FORK, build: "path:.#program" });
    expect(fork.main.outputs["read-only"]).toBe("true");
    expect(fork.main.log).toContain(`restored from ${DEPS}`);
    expect([fork.saved, fork.records]).toEqual([[], []]);
    expect(fork.held).toEqual(["helper-1", "lib-1", "program-1"]);

    const variables = { ...here.server.variables(), ACTIONS_CACHE_MODE: "read" };
    const mode = await here.run(WARM, { variables });
    expect(mode.main.outputs["read-only"]).toBe("true");
    expect([mode.saved, mode.records]).toEqual([[], []]);

    const token = await here.run(WARM, { variables: here.server.variables(READ_ONLY) });
    expect(token.post.exitCode).toBe(0);
    expect(told(token.post)).toEqual([
      expect.stringMatching(
        /^notice: github: .* was not saved: this run's token does not allow it/,
      ),
    ]);
    expect(here.server.keys().filter((one) => !isRecord(one))).toEqual([DEPS]);
  });

  test.each<[string, (server: GithubCacheServer) => void, string]>([
    [
      "refuses everything",
      (server) => {
        server.fail("GetCacheEntryDownloadURL", twirp(403, "permission_denied", "no").reply);
        server.fail("CreateCacheEntry", twirp(403, "permission_denied", "no").reply);
      },
      "this run's token does not allow it",
    ],
    [
      "limits us",
      (server) => {
        server.fail("GetCacheEntryDownloadURL", twirp(429, "resource_exhausted", "slow").reply);
        server.fail("CreateCacheEntry", twirp(429, "resource_exhausted", "slow").reply);
      },
      "GitHub limits how often its cache is asked",
    ],
  ])("a service that %s leaves the job green, and is told at both ends", async (_, set, why) => {
    await using here = await site();
    await here.write(flake("one"));
    set(here.server);
    const { main, post, held } = await here.run(WARM);
    expect([main.exitCode, post.exitCode]).toEqual([0, 0]);
    expect(told(main)).toContainEqual(expect.stringContaining(`nothing was restored: ${why}`));
    expect(told(post)).toEqual([expect.stringContaining(`was not saved: ${why}`)]);
    expect(held).toEqual(expect.arrayContaining(["lib-1", "program-1"]));
    // Its words are ours: the client's own annotations do not reach the log.
    expect(`${main.raw}${post.raw}`).not.toContain("::warning::");
  });

  test.each([
    ["warn", 0, "warning"],
    ["error", 1, "error"],
  ])(
    "what is not saved is said to be in no cache, with on-push-failure: %s",
    async (how, exit, level) => {
      await using here = await site();
      await here.write(flake("one"));
      here.server.fail("CreateCacheEntry", twirp(429, "resource_exhausted", "slow").reply);
      const inputs = { mode: "prefetch", "on-push-failure": how };
      const { post } = await here.run(inputs, { build: "path:.#program" });
      expect(post.exitCode).toBe(exit);
      expect(post.annotations).toMatchObject([
        { level, message: expect.stringContaining("GitHub limits") },
      ]);
      expect(post.log).toMatch(
        /Nix cache: GitHub's cache did not keep what this job built; 0 of \d+/,
      );
      expect(post.summary).not.toMatch(/now cached|were pushed to|verified/);
    },
  );

  test("a runner without the service runs on with an empty cache", async () => {
    await using here = await site();
    await here.write(flake("one"));
    const { main, post } = await here.run(WARM, { variables: {} });
    expect([main.exitCode, post.exitCode]).toEqual([0, 0]);
    expect(told(main)).toContainEqual(
      expect.stringContaining("this runner offers no GitHub Actions cache"),
    );
    expect(here.server.keys()).toEqual([]);
  });

  test("a damaged entry is an empty cache: the job builds, and saves anew", async () => {
    await using here = await site();
    await here.write(flake("one"));
    await here.run(WARM);
    here.server.damage(DEPS);
    const second = await here.run(WARM);
    expect([second.main.exitCode, second.post.exitCode]).toEqual([0, 0]);
    expect(second.main.building).toContain("program-1");
    // The damaged one's key is taken; the job's own layer holds it all.
    expect(second.saved).toEqual([DEPS, expect.stringMatching(`^${DEPS}-[0-9a-f]{8}-2.1-`)]);
    const third = await here.run(WARM);
    expect(third.main.building).toEqual([]);
  });

  test("two jobs that save at once: the second one's work is kept, too", async () => {
    await using here = await site();
    await here.write(flake("one"));
    await here.run(WARM);
    // Seen by nobody until now, as an entry of a job that ends a moment earlier.
    here.server.fail("GetCacheEntryDownloadURL", { status: 200, body: '{"ok":false}' });
    const second = await here.run(WARM);
    here.server.fail("GetCacheEntryDownloadURL", undefined);
    expect(told(second.post)).toEqual([
      expect.stringContaining("another job has saved an entry of this key meanwhile"),
    ]);
    const third = await here.run(WARM, { variables: here.server.variables(MAIN) });
    expect(third.main.building).toEqual([]);
    expect(third.saved).toEqual([]);
  });
});
