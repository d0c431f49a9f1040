/** Owns the proof that later steps know our caches, that nothing outlives the job, and nothing is taken from a flake. */

import { execFile } from "node:child_process";
import { lstat, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import type { Outcome } from "../servers/http.ts";
import { cached, flake, MINOR, NIX, startJob, told } from "./job.ts";
import { recordNix } from "./recorder.ts";
import { cacheServer, copyCache, fillCache, makeKey, silentServer } from "./substituter-site.ts";

const run = promisify(execFile);
const MODES = ["check", "prefetch", "warm", "audit"];

describe(`Nix's configuration, on ${NIX}`, () => {
  test("a cache in a folder with a blank: later steps have it, or the job is told that they have not", async () => {
    await using job = await startJob(flake("members"), { defaults: { targets: ".#good" } });
    const folder = join(job.machine.root, "my cache");
    const step = await job.main({ mode: "warm", cache: `file://${encodeURI(folder)}?trusted=1` });
    expect(step.exitCode).toBe(0);
    const [file = ""] = (step.environment["NIX_USER_CONF_FILES"] ?? "").split(":");
    const known = (await readFile(file, "utf8").catch(() => "")).includes("my%20cache");
    const said = told(step).filter((line) => line.includes("blank in its name"));
    expect([known, said.map((line) => line.slice(0, 8))]).toEqual(
      MINOR < 26 ? [false, ["warning:"]] : [true, []],
    );
  });

  test("the user's files are never written; ours goes in front of them for this job, and in post it goes", async () => {
    const theirs = "theirs-1:lsbNfweSTD355LPCB4HStuWUrYtGu/wW8TV39WbYnK4=";
    await using job = await startJob(flake("members"), {
      configuration: `substituters = file:///theirs\nextra-trusted-public-keys = ${theirs}`,
      defaults: { targets: ".#good", mode: "prefetch" },
    });
    const { machine } = job;
    // As home-manager has it: a link to a file that nobody may write.
    const file = join(machine.root, "home", ".config", "nix", "nix.conf");
    const linked = join(machine.root, "from-home-manager");
    await mkdir(join(file, ".."), { recursive: true });
    await writeFile(linked, "extra-substituters = file:///my-own\ncores = 2\n", { mode: 0o444 });
    await symlink(linked, file);
    const key = await makeKey(job.machine, "ours-1");
    const signing = { "signing-key": (await readFile(key.secretFile, "utf8")).trim() };
    const step = await job.main({ ...signing, mode: "warm" });
    expect([step.exitCode, step.log.split("\n").filter((line) => line.includes("NCP-35"))]).toEqual(
      [0, []],
    );
    const shown = async (environment: Readonly<Record<string, string>>) => {
      const ask = (verb: string[]) =>
        run("nix", [...verb, "--json"], { env: { ...machine.environment, ...environment } });
      const { stdout } = await ask(["config", "show"]).catch(() => ask(["show-config"]));
      return JSON.parse(stdout) as Record<string, { value: string[] }>;
    };
    const during = await shown(step.environment);
    expect(during["substituters"]?.value).toEqual([
      "file:///theirs",
      "file:///my-own",
      `file://${job.cache}`,
    ]);
    expect(during["trusted-public-keys"]?.value).toEqual(
      expect.arrayContaining([theirs, key.public]),
    );
    const post = await job.post({ ...signing, mode: "warm" }, { state: step.state });
    expect(post.exitCode).toBe(0);
    expect((await lstat(file)).isSymbolicLink()).toBe(true);
    expect(await readFile(linked, "utf8")).toBe("extra-substituters = file:///my-own\ncores = 2\n");
    // A file that is named and gone is none to Nix.
    for (const environment of [{}, step.environment]) {
      const after = await shown(environment);
      expect(after["substituters"]?.value).toEqual(["file:///theirs", "file:///my-own"]);
    }
    expect(await readdir(join(machine.root, "runner"))).not.toContain("nix-cache-preflight");
  });

  test("the next job knows nothing of it, though its runner empties nothing and post never came", async () => {
    await using job = await startJob(flake("members"), {
      defaults: { targets: ".#good", mode: "prefetch" },
    });
    const { machine } = job;
    await job.main({ mode: "warm" });
    await machine.forget();
    const next = await job.main(
      { mode: "check", cache: "none" },
      { environment: { ...machine.environment, RUNNER_TRACKING_ID: "github_another" } },
    );
    expect(next.outputs["hit"]).toBe("false");
    // What the first job left is gone with it.
    expect(await readdir(join(machine.root, "runner", "nix-cache-preflight"))).toEqual(["1"]);
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

  test.each(["our own", "a substituter"])(
    "%s that stalls in the middle is not what later steps are configured with",
    async (role) => {
      await using job = await startJob(flake("members"), {
        defaults: { targets: ".#good\n.#other", mode: "prefetch" },
      });
      const key = await makeKey(job.machine, "lan-1");
      const directory = await fillCache(job, "lan", ["good", "other"], key);
      await using answering = await cacheServer(directory);
      await using stalling = await cacheServer(await copyCache(directory, "stalling"));
      stalling.instead = (path) => (path.endsWith(".narinfo") ? "hang" : undefined);
      const others = `${answering.origin} ${key.public}`;
      const step = await job.main(
        role === "our own"
          ? { cache: stalling.origin, substituters: others }
          : { cache: "none", substituters: `${stalling.origin} ${key.public}\n${others}` },
      );
      expect(step.exitCode).toBe(0);
      expect(step.outputs["hit"]).toBe("true");
      const files = (step.environment["NIX_USER_CONF_FILES"] ?? "").split(":");
      const texts = await Promise.all(files.map((file) => readFile(file, "utf8").catch(() => "")));
      expect(texts.join("\n")).toContain(answering.origin);
      expect(texts.join("\n")).not.toContain(stalling.origin);
      expect(told(step).join("\n")).toMatch(
        new RegExp(`${stalling.origin}[^\n]*stopped answering`),
      );
    },
  );

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

describe(`the caches that a flake names, on ${NIX}`, () => {
  const STARTS = { targets: ".#good", cache: "none" };

  async function named(options: { readonly configuration?: string } = {}) {
    const job = await startJob(flake("members"), { ...options, defaults: STARTS });
    const key = await makeKey(job.machine, "flake-1");
    const lan = await cacheServer(await fillCache(job, "lan", ["good"], key));
    const file = join(job.workspace, "flake.nix");
    const text = await readFile(file, "utf8");
    const config = `nixConfig = { extra-substituters = [ "${lan.origin}" ]; extra-trusted-public-keys = "${key.public}"; };\n  outputs =`;
    await writeFile(file, text.replace("outputs =", config));
    return {
      job,
      lan,
      line: `${lan.origin} ${key.public}`,
      settings: {
        "extra-substituters": { [lan.origin]: true },
        "extra-trusted-public-keys": { [key.public]: true },
      },
      async [Symbol.asyncDispose]() {
        await lan[Symbol.asyncDispose]();
        await job[Symbol.asyncDispose]();
      },
    };
  }

  test.each(["accept-flake-config", "what the user once told Nix"])(
    "are read where Nix has them by %s, and stay the flake's own",
    async (how) => {
      const accepts = how === "accept-flake-config";
      await using site = await named(
        accepts ? { configuration: "accept-flake-config = true" } : {},
      );
      const { job, lan } = site;
      const { machine } = job;
      const tell = async () => {
        const folder = join(machine.root, "home", ".local", "share", "nix");
        await mkdir(folder, { recursive: true });
        await writeFile(join(folder, "trusted-settings.json"), JSON.stringify(site.settings));
      };
      if (!accepts) await tell();
      const step = await job.main({ mode: "prefetch" });
      expect([step.outputs["hit"], step.report().fetched.paths]).toEqual(["true", 1]);
      expect(step.log).not.toContain("NCP-136");
      // Who runs a command on another flake in a later step has not accepted it.
      const files = (step.environment["NIX_USER_CONF_FILES"] ?? "").split(":").filter(Boolean);
      const texts = await Promise.all(files.map((one) => readFile(one, "utf8").catch(() => "")));
      expect(texts.join("\n")).not.toContain(lan.origin);
      // Nix has them as well.
      await machine.forget();
      if (!accepts) await tell();
      const args = ["build", "--no-link", "--option", "max-jobs", "0", ".#good"];
      await machine.nix("nix", args, job.workspace);
    },
  );

  test.each(["path:.#good", "./#good", ".?submodules=1#good", "sub#good", "path:FLAKE#good"])(
    "are read for %s, as Nix reads them",
    async (line) => {
      await using site = await named({ configuration: "accept-flake-config = true" });
      const { job } = site;
      const isBelow = line.startsWith("sub");
      const target = isBelow ? "../#good" : line.replace("FLAKE", job.workspace);
      if (isBelow) await mkdir(join(job.workspace, "sub"));
      await run("git", ["init", "--quiet"], { cwd: job.workspace });
      await run("git", ["add", "--all"], { cwd: job.workspace });
      const how: Record<string, string> = isBelow ? { "working-directory": "sub" } : {};
      const step = await job.main({ mode: "check", targets: target, ...how });
      expect(step.outputs["hit"]).toBe("true");
      const args = ["build", "--no-link", "--option", "max-jobs", "0", target];
      await job.machine.nix("nix", args, join(job.workspace, isBelow ? "sub" : ""));
    },
  );

  test("count for nothing where the flake has Nix fetch nothing", async () => {
    await using site = await named({ configuration: "accept-flake-config = true" });
    const file = join(site.job.workspace, "flake.nix");
    const text = await readFile(file, "utf8");
    await writeFile(file, text.replace("nixConfig = {", "nixConfig = { substitute = false;"));
    const step = await site.job.main({ mode: "check" });
    expect(step.outputs["hit"]).toBe("false");
  });

  test("are named where it does not take them, with the line that has them", async () => {
    await using site = await named();
    const { job, lan, line } = site;
    const without = await job.main({ mode: "check" });
    expect(without.outputs["hit"]).toBe("false");
    expect(without.log).toContain("NCP-136");
    expect(told(without).join("\n")).toContain(`write "${line}" on a line of substituters`);
    expect(lan.requests.length).toBe(0);
    const step = await job.main({ mode: "check", substituters: line });
    expect(step.outputs["hit"]).toBe("true");
    expect(step.log).not.toContain("NCP-136");
    const other = await job.main({ mode: "check", targets: "nixpkgs#x" });
    expect(other.log).not.toContain("NCP-136");
  });
});
