/** Owns the proof that hosts are deployed through a cache: each new system once, built nowhere but on the strong machine. */

import { readFile, rename, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { ACT, type Site, startSite, type WorkflowRun } from "./act.ts";
import { type Hosts, startHosts } from "./hosts.ts";
import { flake, NIX, pins, startJob, type TestJob } from "./job.ts";
import { makeKey } from "./substituter-site.ts";

const TARGETS = ".#nixosConfigurations.*.config.system.build.toplevel  pin=host-*";
const toplevel = (host: string) => `.#nixosConfigurations.${host}.config.system.build.toplevel`;

async function setHosts(folder: string, hosts: Readonly<Record<string, string>>): Promise<void> {
  const lines = Object.entries(hosts).map(([name, text]) => `  ${name} = "${text}";`);
  await writeFile(join(folder, "hosts.nix"), `{\n${lines.join("\n")}\n}\n`);
}

function changed(outputs: Readonly<Record<string, string>>): string[] {
  return JSON.parse(outputs["changed"] ?? "");
}

describe(`deploying through a cache, on ${NIX}`, () => {
  const start = (): Promise<TestJob> =>
    startJob(flake("hosts"), { defaults: { mode: "warm", targets: TARGETS } });

  test("changed names the hosts with a new system, and no others", async () => {
    await using job = await start();
    const all = ["alpha", "beta", "gamma"].map(toplevel);
    const first = await job.main();
    expect(first.exitCode).toBe(0);
    expect(changed(first.outputs)).toEqual(all);
    const before = await pins(job.cache);
    expect(Object.keys(before).sort()).toEqual(["host-alpha", "host-beta", "host-gamma"]);
    expect(changed((await job.main()).outputs)).toEqual([]);

    await setHosts(job.workspace, { alpha: "one", beta: "two", gamma: "one", delta: "new" });
    // Looked at, it is known without a build; a fork's run learns it, too.
    const check = await job.main({ mode: "check" });
    expect(changed(check.outputs)).toEqual([toplevel("beta"), toplevel("delta")]);
    const second = await job.main();
    expect(changed(second.outputs)).toEqual([toplevel("beta"), toplevel("delta")]);
    const after = await pins(job.cache);
    expect(after["host-beta"]).not.toBe(before["host-beta"]);
    expect(after["host-alpha"]).toBe(before["host-alpha"]);

    // Back to what was: the cache has it all, and the host still has to be told.
    await setHosts(job.workspace, { alpha: "one", beta: "one", gamma: "one", delta: "new" });
    const back = await job.main();
    expect(back.building).toEqual([]);
    expect(changed(back.outputs)).toEqual([toplevel("beta")]);
  });

  test("a host whose system failed to build is not among them", async () => {
    await using job = await start();
    await setHosts(job.workspace, { alpha: "one", beta: "$(exit 3", gamma: "one" });
    const step = await job.main();
    expect(step.exitCode).toBe(1);
    expect(changed(step.outputs)).toEqual([toplevel("alpha"), toplevel("gamma")]);
  });

  test("nothing is deployed that did not get into the cache", async () => {
    await using job = await start();
    await job.main();
    await setHosts(job.workspace, { alpha: "two", beta: "one", gamma: "one" });
    // A file where the cache's folder should be: nothing can be pushed, and a warning is all that is asked for.
    await rename(job.cache, `${job.cache}-gone`);
    await writeFile(job.cache, "");
    const step = await job.main({ "on-push-failure": "warn" });
    expect(step.report().pushed).toEqual([]);
    expect(changed(step.outputs)).toEqual([]);
  });
});

const withAct = ACT === undefined ? describe.skip : describe;

withAct(`examples/deploy.yml, on ${NIX}`, () => {
  interface Fleet extends Site {
    readonly hosts: Hosts;
    deploy(): Promise<WorkflowRun>;
  }

  async function startFleet(trust: "trusts the cache's key" | "trusts nobody"): Promise<Fleet> {
    const site = await startSite(flake("hosts"));
    const { machine } = site;
    const cache = `file://${join(machine.root, "lan")}`;
    const key = await makeKey(machine, "lan-1");
    const example = await readFile(resolve("examples/deploy.yml"), "utf8");
    await site.commit({
      ".github/workflows/deploy.yml": example.replace("file:///srv/nix-cache", cache),
    });
    const trusted = trust === "trusts nobody" ? "" : key.public;
    const hosts = await startHosts(
      machine,
      `substituters = ${cache}\ntrusted-public-keys = ${trusted}`,
    );
    const secrets = { CACHE_SIGNING_KEY: (await readFile(key.secretFile, "utf8")).trim() };
    return {
      ...site,
      hosts,
      deploy: () =>
        site.run({
          workflow: ".github/workflows/deploy.yml",
          eventName: "push",
          event: "push",
          secrets,
          programs: hosts.programs,
        }),
    };
  }

  test("the strong machine builds; each host with a new system, and no other, fetches it and switches", async () => {
    await using fleet = await startFleet("trusts the cache's key");
    const { hosts, repository } = fleet;
    const first = await fleet.deploy();
    expect([first.exitCode, first.exitCode === 0 ? [] : await hosts.log()]).toEqual([0, []]);
    const switched = async () =>
      (await hosts.log()).filter((line) => line.includes("switch")).sort();
    expect(await switched()).toEqual(
      ["alpha", "beta", "gamma"].map((name) => `deploy@${name}: switch ${name}: one`),
    );
    const alpha = await hosts.profile("alpha");
    expect(alpha).toMatch(/-nixos-system-alpha$/);
    expect(await hosts.isValid("alpha", alpha)).toBe(true);
    expect(await hosts.isValid("beta", alpha)).toBe(false);

    await setHosts(repository, { alpha: "one", beta: "two", gamma: "one" });
    await fleet.commit();
    expect((await fleet.deploy()).exitCode).toBe(0);
    const log = await hosts.log();
    expect(log.filter((line) => line.includes("switch"))).toEqual([
      "deploy@beta: switch beta: two",
    ]);
    expect(log.join("\n")).not.toMatch(/building|alpha|gamma/);

    const third = await fleet.deploy();
    expect(third.exitCode).toBe(0);
    expect(await hosts.log()).toEqual([]);
  });

  test("a host that does not trust the cache's key fetches nothing and stays as it is", async () => {
    await using fleet = await startFleet("trusts nobody");
    const run = await fleet.deploy();
    expect(run.exitCode).toBe(1);
    const log = (await fleet.hosts.log()).join("\n");
    expect(log).not.toContain("switch");
    expect(log).toMatch(/deploy@alpha: error: /);
  });
});
