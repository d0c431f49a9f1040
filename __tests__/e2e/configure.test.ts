/** Owns the proof that later steps know our caches, that nothing of theirs is lost, and nothing taken from a flake. */

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import type { Outcome } from "../servers/http.ts";
import { cached, flake, MINOR, NIX, startJob, told } from "./job.ts";
import { recordNix } from "./recorder.ts";
import { cacheServer, fillCache, makeKey, silentServer } from "./substituter-site.ts";

const MODES = ["check", "prefetch", "warm", "audit"];

describe(`Nix's configuration, on ${NIX}`, () => {
  test("what is there stays, ours is added once however often it runs, and Nix then says both", async () => {
    const theirs = "theirs-1:lsbNfweSTD355LPCB4HStuWUrYtGu/wW8TV39WbYnK4=";
    await using job = await startJob(flake("members"), {
      configuration: `substituters = file:///theirs\nextra-trusted-public-keys = ${theirs}`,
      defaults: { targets: ".#good" },
    });
    const { machine } = job;
    const file = join(machine.root, "home", ".config", "nix", "nix.conf");
    await mkdir(join(file, ".."), { recursive: true });
    await writeFile(file, "extra-substituters = file:///my-own\ncores = 2\n");
    const key = await makeKey(job.machine, "ours-1");
    const signing = { "signing-key": (await readFile(key.secretFile, "utf8")).trim() };
    const first = await job.main({ mode: "warm", ...signing });
    expect(first.exitCode).toBe(0);
    const written = await readFile(file, "utf8");
    expect(written).toMatch(/^extra-substituters = file:\/\/\/my-own\ncores = 2\n# >>> /);
    for (const mode of ["prefetch", "warm", "prefetch"]) await job.main({ mode, ...signing });
    expect(await readFile(file, "utf8")).toBe(written);
    const shown = JSON.parse(
      await machine
        .nix("nix", ["config", "show", "--json"])
        .catch(() => machine.nix("nix", ["show-config", "--json"])),
    ) as Record<string, { value: string[] }>;
    expect(shown["substituters"]?.value).toEqual([
      "file:///theirs",
      "file:///my-own",
      `file://${job.cache}`,
    ]);
    expect(shown["trusted-public-keys"]?.value).toEqual(
      expect.arrayContaining([theirs, key.public]),
    );
  });

  test("NIX_USER_CONF_FILES: the file that counts most is the one that is written", async () => {
    await using job = await startJob(flake("members"), { defaults: { targets: ".#good" } });
    const at = (name: string) => join(job.machine.root, name);
    await writeFile(at("second.conf"), "extra-substituters = file:///second\n");
    const environment = {
      ...job.machine.environment,
      NIX_USER_CONF_FILES: `${at("first.conf")}:${at("second.conf")}`,
    };
    const step = await job.main({ mode: "warm" }, { environment });
    expect(step.exitCode).toBe(0);
    expect(told(step).join("\n")).not.toContain("NCP-352");
    expect(await readFile(at("first.conf"), "utf8")).toContain(`file://${job.cache}?trusted=1`);
    expect(await readFile(at("second.conf"), "utf8")).toBe("extra-substituters = file:///second\n");
    await expect(readFile(at("home/.config/nix/nix.conf"), "utf8")).rejects.toThrow("ENOENT");
  });

  test("where something replaces what was added, it is said, and this run goes on", async () => {
    await using job = await startJob(flake("members"), { defaults: { targets: ".#good" } });
    await job.main({ mode: "warm" });
    await job.machine.forget();
    const environment = { ...job.machine.environment, NIX_CONFIG: "substituters = file:///only" };
    const step = await job.main({ mode: "prefetch" }, { environment });
    expect(step.exitCode).toBe(0);
    expect(step.report().fetched.paths).toBe(1);
    expect(step.annotations).toContainEqual(
      expect.objectContaining({
        level: "warning",
        title: expect.stringContaining("NCP-352"),
        message: expect.stringContaining(`file://${job.cache}?trusted=1`),
      }),
    );
  });

  test("a cache in a folder with ? and # and a blank in its name: written, read back and fetched from", async () => {
    await using job = await startJob(flake("members"), { defaults: { targets: ".#good" } });
    const cache = `file://${job.cache}%3Fa%23b%20c`;
    const first = await job.main({ mode: "warm", cache });
    expect(first.report().verified).toMatchObject([{ outcome: "verified" }]);
    expect([...(await cached(`${job.cache}?a#b c`)).keys()]).toEqual(["good-1"]);
    await job.machine.forget();
    const second = await job.main({ mode: "prefetch", cache });
    // 2.8 takes the escapes for part of the name, and has no other way to write such a place.
    const reads = MINOR > 8;
    expect(second.report().fetched.paths).toBe(reads ? 1 : 0);
    expect(told(second).some((line) => line.includes("Nix could not fetch"))).toBe(!reads);
  });

  test("a private cache is read as Nix reads it: by the netrc file it is told of", async () => {
    const netrc = "machine 127.0.0.1 login me password hunter2\n";
    await using job = await startJob(flake("members"), {
      configuration: "netrc-file = /nowhere/netrc",
      defaults: { targets: ".#good", cache: "none" },
    });
    const key = await makeKey(job.machine, "lan-1");
    await using lan = await cacheServer(await fillCache(job, "lan", ["good"], key));
    const basic = `Basic ${Buffer.from("me:hunter2").toString("base64")}`;
    lan.instead = (_, headers): Outcome | undefined =>
      headers.authorization === basic ? undefined : { status: 401 };
    const substituters = `${lan.origin} ${key.public}`;
    const without = await job.main({ mode: "check", substituters });
    expect(told(without).join("\n")).toContain("refuses our credentials (HTTP 401)");
    expect(without.outputs["hit"]).toBe("false");

    const file = join(job.machine.root, "netrc");
    await writeFile(file, netrc, { mode: 0o600 });
    const environment = { ...job.machine.environment, NIX_CONFIG: `netrc-file = ${file}` };
    const step = await job.main({ mode: "prefetch", substituters }, { environment });
    expect(step.outputs["hit"]).toBe("true");
    expect(step.report().fetched.paths).toBe(1);
    expect(step.raw).not.toContain("hunter2");
  });

  test("what a flake asks for is never taken: no call accepts its configuration", async () => {
    await using site = await silentServer();
    await using job = await startJob(flake("members"), { defaults: { targets: ".#good" } });
    const file = join(job.workspace, "flake.nix");
    const text = await readFile(file, "utf8");
    const asks = `nixConfig.extra-substituters = [ "${site.origin}" ];\n  outputs =`;
    await writeFile(file, text.replace("outputs =", asks));
    const nix = await recordNix(job.machine);
    for (const mode of MODES) {
      const step = await job.main({ mode }, { environment: nix.environment });
      expect(step.exitCode).toBe(0);
      await job.post({ mode }, { environment: nix.environment, state: step.state });
    }
    const calls = await nix.calls();
    expect(calls.length).toBeGreaterThan(10);
    const accepting = calls.flatMap((call) => call.match(/accept-flake-config\S*( \S+)?/g) ?? []);
    expect(new Set(accepting)).toEqual(new Set(["accept-flake-config false"]));
    expect(site.asked()).toBe(0);
  });
});
