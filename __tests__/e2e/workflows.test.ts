/** Owns the proof that the workflows we run and give away work as a whole: each event, every step, on act. */

import { appendFile, cp, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { ACT, type Site, startSite } from "./act.ts";
import { NIX } from "./job.ts";
import {
  EVENTS,
  examples,
  failed,
  held,
  jobs,
  pinned,
  startProject,
  TOKEN,
  triggers,
} from "./project.ts";
import { SLOW, someOf } from "./slow.ts";

if (ACT === undefined) console.log("act cannot be installed here: whole workflows are not run");
const withAct = ACT === undefined ? describe.skip : describe;

const FILES = await Promise.all(
  (await examples()).map(async (name) => ({
    name,
    events: triggers(await readFile(join("examples", name), "utf8")),
  })),
);

/** Below each of these is run by a test of its own; the slow suite runs each event of them once more. */
const BY_THEMSELVES = new Set(["audit.yml", "ci.yml", "plan-matrix-verify.yml", "warm.yml"]);

withAct(`whole workflows on ${NIX}`, () => {
  const some = FILES.filter(({ name }) => SLOW || !BY_THEMSELVES.has(name));
  test.each(some)("examples/$name runs on each of its events: $events", async (file) => {
    const { name, events } = file;
    expect(events).not.toEqual([]);
    await using project = await startProject();
    // An audit of a cache that nobody has filled is red, as it should be.
    if (name === "audit.yml") {
      expect(failed(await project.example("warm.yml", "push"))).toEqual([]);
    }
    for (const event of events) {
      await project.machine.forget();
      const writes = project.server.writes().length;
      const run = await project.example(name, event);
      expect([event, ...failed(run)]).toEqual([event]);
      expect(run.log).not.toContain(TOKEN);
      if (event === "fork pull request") expect(project.server.writes().slice(writes)).toEqual([]);
    }
  });

  test("ci: what the job builds is pushed at its end, and the next run fetches it; a branch pins nothing", async () => {
    await using project = await startProject();
    expect(failed(await project.example("ci.yml", "own pull request"))).toEqual([]);
    expect([held(project), pinned(project)]).toEqual([["hello-2.12"], []]);
    await project.machine.forget();
    const again = await project.example("ci.yml", "own pull request");
    expect(failed(again)).toEqual([]);
    expect(again.outputs).toMatchObject({ "build/2/hit": "true", "build/2/read-only": "false" });
    expect(again.log).not.toContain("building '");
  });

  test("ci: on the default branch it is pinned, too", async () => {
    await using project = await startProject();
    expect(failed(await project.example("ci.yml", "push"))).toEqual([]);
    expect([held(project), pinned(project)]).toEqual([
      ["hello-2.12"],
      ["packages.x86_64-linux.hello"],
    ]);
  });

  test("ci: a fork's pull request writes nothing, though a token were there, and says what it would have", async () => {
    await using project = await startProject();
    // A stranger's code beside a token is built in a sandbox, or the job ends.
    const sandbox =
      "sandbox = true\nsandbox-fallback = false\nsandbox-paths = /bin /usr /lib /lib64\n";
    await appendFile(join(project.machine.root, "etc", "nix.conf"), sandbox);
    const run = await project.example("ci.yml", "fork pull request", {
      secrets: { CACHIX_AUTH_TOKEN: TOKEN },
    });
    expect(failed(run)).toEqual([]);
    expect(run.outputs["build/2/read-only"]).toBe("true");
    expect(run.log).toContain("would have pushed");
    expect(project.server.writes()).toEqual([]);
    expect(held(project)).toEqual([]);
  });

  test("warm: everything is built, pushed, verified and pinned once; again by hand with force", async () => {
    await using project = await startProject();
    expect(failed(await project.example("warm.yml", "push"))).toEqual([]);
    expect(pinned(project)).toEqual(["bws", "home-alice", "home-bob", "home-carol"]);
    expect(held(project)).toEqual(expect.arrayContaining(["bws-1.0.0", "bws-deps-1.0.0"]));
    const writes = project.server.writes().length;
    await project.machine.forget();
    expect(failed(await project.example("warm.yml", "schedule"))).toEqual([]);
    expect(project.server.writes().length).toBe(writes);
    const byHand = (force: "true" | "false") => ({
      eventName: "workflow_dispatch",
      event: { inputs: { force }, ref: "refs/heads/main", repository: { default_branch: "main" } },
    });
    expect(failed(await project.example("warm.yml", "push", byHand("false")))).toEqual([]);
    expect(project.server.writes().length).toBe(writes);
    expect(failed(await project.example("warm.yml", "push", byHand("true")))).toEqual([]);
    expect(project.server.writes().length).toBeGreaterThan(writes);
  });

  test("audit: green while everything is there, red when the cache has lost it", async () => {
    await using project = await startProject();
    await project.example("warm.yml", "push");
    const good = await project.example("audit.yml", "schedule");
    expect(failed(good)).toEqual([]);
    const bws = [...project.server.state.own.values()].find(({ storePath }) =>
      storePath.endsWith("-bws-1.0.0"),
    );
    project.server.dropNar(bws?.storePath.slice(project.machine.storeDir.length + 1, -10) ?? "");
    await project.machine.forget();
    const bad = await project.example("audit.yml", "schedule");
    expect(failed(bad).slice(0, 2)).toEqual([
      "Audit the cache/Audit: Main nix-cache-preflight/nix-cache-preflight@v1",
      "exit 1",
    ]);
    expect(bad.log).toContain("gone");
  });

  test("plan → matrix → verify: what several need is built before them, and no job runs when nothing is missing", async () => {
    await using project = await startProject();
    const first = await project.example("plan-matrix-verify.yml", "push");
    expect(failed(first)).toEqual([]);
    expect(jobs(first)).toEqual([
      ".#homeConfigurations.alice.activationPackage-1",
      ".#homeConfigurations.bob.activationPackage-2",
      ".#homeConfigurations.carol.activationPackage-3",
      "Gate",
      "Plan",
      "Verify",
      "bws-1.0.0-1",
      "hello-2.12-2",
    ]);
    expect(held(project)).toContain("bws-1.0.0");
    await project.machine.forget();
    const second = await project.example("plan-matrix-verify.yml", "own pull request");
    expect(failed(second)).toEqual([]);
    expect(jobs(second)).toEqual(["Gate", "Plan", "Verify"]);
    await project.machine.forget();
    const fork = await project.example("plan-matrix-verify.yml", "fork pull request");
    expect(failed(fork)).toEqual([]);
    expect(jobs(fork)).toEqual(["Gate", "Plan"]);
  });

  test("plan → matrix → verify: a fork's pull request builds what is missing and pushes nothing", async () => {
    await using project = await startProject();
    const fork = await project.example("plan-matrix-verify.yml", "fork pull request");
    expect(failed(fork)).toEqual([]);
    expect(jobs(fork)).toEqual([
      ".#homeConfigurations.alice.activationPackage and 3 more",
      "Gate",
      "Plan",
    ]);
    expect(project.server.writes()).toEqual([]);
  });

  test("plan → matrix → verify: where a job failed, the gate fails, whatever was skipped after it", async () => {
    await using project = await startProject();
    const flake = await readFile(join(project.repository, "flake.nix"), "utf8");
    await project.commit({ "flake.nix": flake.replace(/echo (?=.{2}user)/, "exit 1; echo ") });
    const run = await project.example("plan-matrix-verify.yml", "push");
    expect(failed(run)).toContainEqual(expect.stringMatching(/\/Gate +: Main Did every job/));
  });

  describe("our own CI", () => {
    async function ourselves(): Promise<Site> {
      const site = await startSite();
      const { machine, repository } = site;
      for (const name of ["action.yml", "dist", ".github", "examples", "package-lock.json"]) {
        await cp(name, join(repository, name), { recursive: true });
      }
      const nixpkgs = resolve("examples/quickstart/nixpkgs");
      // The registry's nixpkgs, and what cache.nixos.org has of it.
      const etc = join(machine.root, "etc");
      const upstream = `file://${join(machine.root, "upstream")}`;
      const flakes = [
        {
          from: { type: "indirect", id: "nixpkgs" },
          to: { type: "path", path: nixpkgs },
        },
      ];
      await writeFile(join(etc, "registry.json"), JSON.stringify({ flakes, version: 2 }));
      await machine.nix("nix", ["build", "--no-link", "nixpkgs#hello"]);
      await machine.nix("nix", ["copy", "--to", upstream, "nixpkgs#hello"]);
      await machine.forget();
      await appendFile(join(etc, "nix.conf"), `substituters = ${upstream}?trusted=1\n`);
      await site.commit();
      return site;
    }

    test.each(someOf(["push", "schedule"] as const, ["push"]))(
      "warms itself on %s: every step succeeds",
      async (event) => {
        await using site = await ourselves();
        const run = await site.run({ workflow: ".github/workflows/warm.yml", ...EVENTS[event] });
        expect(failed(run)).toEqual([]);
        expect(run.outputs).toMatchObject({
          "warm/preflight/any-missing": "true",
          "warm/preflight/read-only": "false",
        });
        expect(run.log).toContain("building '");
      },
    );

    const events = ["push", "own pull request", "fork pull request"] as const;
    test.each(someOf(events, ["push", "fork pull request"]))("%s", async (event) => {
      await using site = await ourselves();
      const run = await site.run({
        workflow: ".github/workflows/ci.yml",
        // Its other job runs this test.
        job: "preflight",
        matrix: "machine:linux-x64",
        ...EVENTS[event],
      });
      expect(failed(run)).toEqual([]);
      expect(run.outputs).toMatchObject({
        "preflight/look/hit": "true",
        "preflight/warm/any-missing": "true",
        "preflight/warm/read-only": String(event === "fork pull request"),
      });
      expect(run.outputs["preflight/again/any-missing"]).toBe(
        event === "fork pull request" ? undefined : "false",
      );
    });
  });
});
