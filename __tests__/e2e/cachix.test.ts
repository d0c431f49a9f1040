/** Owns the incident on Cachix, word for word, through the bundle: what the server says, and what we make of it. */

import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { TOKEN as BY_HAND_TOKEN, call } from "../servers/cachix-by-hand.ts";
import { BITWARDEN, BWS, startCachixJob, TOKEN } from "./cachix-job.ts";
import { told } from "./job.ts";

const tokens = { [TOKEN]: "Write", [BY_HAND_TOKEN]: "Write" } as const;
const warm = { mode: "warm", targets: BITWARDEN };

describe("the incident", () => {
  test("nothing to push, and the pin would be 400: told as upstream only, and the job is green", async () => {
    await using job = await startCachixJob({ tokens });
    const { server } = job;
    const name = await job.seed("bitwarden-cli", "upstream");
    const storePath = `${job.machine.storeDir}/${name}`;
    // What cachix push and cachix pin asked, and were told.
    const bulk = await call(server, "POST", "/narinfo", { body: [name.slice(0, 32)] });
    expect(await bulk.json()).toEqual([]);
    const pinned = await call(server, "POST", "/pin", {
      body: { name: "bitwarden-cli", storePath, artifacts: [], keep: null },
    });
    expect([pinned.status, await pinned.json()]).toEqual([
      400,
      { error: `${storePath} not in binary cache` },
    ]);
    const before = server.writes().length;

    const step = await job.step(warm);
    expect(step.exitCode).toBe(0);
    expect(step.report.targets.map(({ verdict }) => verdict.kind)).toEqual(["upstream"]);
    expect(step.report.verified).toEqual([
      {
        target: "nixpkgs#bitwarden-cli",
        outcome: "upstream only",
        detail: expect.stringContaining("upstream.example.org-1, passed on by"),
        paths: 1,
        bytes: 0,
        seconds: expect.any(Number),
      },
    ]);
    expect(step.report.pinned).toEqual([]);
    expect(step.report.pushed).toEqual([]);
    expect(server.writes().length).toBe(before);
    expect(step.log).toContain("nixpkgs#bitwarden-cli: upstream only (");
    expect(step.annotations).toEqual([]);

    const forced = await job.step({ ...warm, force: "true" });
    expect(forced.exitCode).toBe(0);
    expect(forced.report.pushed.map(({ path }) => path)).toEqual([storePath]);
    expect(forced.report.verified).toMatchObject([{ outcome: "verified" }]);
    expect(forced.report.pinned).toMatchObject([
      { name: "bitwarden-cli", storePath, state: "confirmed" },
    ]);
    expect(server.state.pins.byName.get("bitwarden-cli")?.revisions).toHaveLength(1);

    // Then it is ours: nothing more to push, and no second revision of the pin.
    const again = await job.step(warm);
    expect(again.report.verified).toMatchObject([{ outcome: "verified" }]);
    expect(again.report.pushed).toEqual([]);
    expect(server.state.pins.byName.get("bitwarden-cli")?.revisions).toHaveLength(1);
  });

  test("the substituter that serves it is named, where it is one of Nix's own", async () => {
    await using job = await startCachixJob({ tokens, passThrough: false });
    await job.seed("bitwarden-cli", "upstream");
    const elsewhere = `file://${job.machine.root}/elsewhere`;
    // Another cache altogether has it; ours only knows that somebody does.
    const filled = await job.step({ ...warm, cache: elsewhere, token: "" });
    expect(filled.report.pinned).toMatchObject([{ state: "confirmed" }]);
    await job.machine.forget();
    const step = await job.step({ ...warm, substituters: `${elsewhere}?trusted=1` });
    expect(step.exitCode).toBe(0);
    expect(step.report.verified).toMatchObject([
      {
        outcome: "upstream only",
        detail: expect.stringMatching(new RegExp(`served by ${elsewhere}\\?trusted=1$`)),
      },
    ]);
    expect(step.report.pinned).toEqual([]);
    expect(job.server.writes()).toEqual([]);
  });

  test("what is in no cache is built, pushed, verified and pinned; a fresh machine fetches it", async () => {
    await using job = await startCachixJob();
    const first = await job.step({ mode: "warm", targets: BWS, verify: "full" });
    expect(first.exitCode).toBe(0);
    expect(first.report.verified).toMatchObject([{ outcome: "verified" }]);
    expect(first.report.pinned).toMatchObject([{ name: "bws", state: "confirmed" }]);
    expect(job.server.uploads("open")).toEqual([]);
    await job.machine.forget();
    const second = await job.step({ mode: "prefetch", targets: BWS });
    expect(second.report.targets.map(({ verdict }) => verdict.kind)).toEqual(["own"]);
    expect(second.report.fetched.paths).toBe(1);
  });
});

describe("who may not write", () => {
  test("without a token it reads, writes nothing, and says what it would have pushed", async () => {
    await using job = await startCachixJob();
    await job.seed("hello", "own");
    const targets = `${BWS}\nnixpkgs#hello`;
    const step = await job.step({ mode: "warm", targets, token: "" });
    expect(step.exitCode).toBe(0);
    expect(step.outputs["read-only"]).toBe("true");
    expect(step.report.targets.map(({ verdict }) => verdict.kind)).toEqual(["missing", "own"]);
    expect(step.summary).toContain("nothing was pushed: ");
    expect(job.server.writes()).toEqual([]);
    expect(job.server.requests.some(({ isAuthorized }) => isAuthorized)).toBe(false);
  });

  test("a token without write access is told before the build, and ends it where that is an error", async () => {
    await using job = await startCachixJob({ tokens: { [TOKEN]: "Read" } });
    const inputs = { mode: "warm", targets: BWS, "on-push-failure": "error" };
    const step = await job.step(inputs);
    expect(step.exitCode).toBe(1);
    expect(told(step)).toContainEqual(
      expect.stringMatching(/^error: .*this token may read, and not write/),
    );
    expect(step.log).not.toMatch(/^building/m);
    const warned = await job.step({ ...inputs, "on-push-failure": "warn" });
    expect(warned.exitCode).toBe(0);
    expect(warned.report.built.map(({ name }) => name)).toEqual([
      "bws-1.0.0-vendor",
      "bws-deps-1.0.0",
      "bws-1.0.0",
    ]);
    expect(job.server.writes()).toEqual([]);
  });

  test("a name that does not exist is told before the build", async () => {
    await using job = await startCachixJob();
    const step = await job.step({
      mode: "warm",
      targets: BWS,
      cache: job.cache.replace("mycache", "mycach"),
      "on-push-failure": "error",
    });
    expect(step.exitCode).toBe(1);
    expect(told(step).join("\n")).toMatch(/there is no cache "mycach" on 127\.0\.0\.1/);
    expect(step.log).not.toMatch(/^building/m);
  });
});

describe("a private cache", () => {
  test("later steps are let in by a netrc that keeps what was there, and nothing is done twice", async () => {
    await using job = await startCachixJob({ isPrivate: true });
    const { machine } = job;
    const existing = "machine git.example.org login me password theirs\n";
    await writeFile(join(machine.root, "etc", "netrc"), existing);
    await job.step({ mode: "warm", targets: BWS });
    await machine.forget();
    const inputs = { mode: "prefetch", targets: "nixpkgs#hello" };
    // What a step leaves for later ones: a file of its own with the settings, and the netrc they name.
    const left = async () => {
      const { environment } = await job.step(inputs);
      const [file = ""] = (environment["NIX_USER_CONF_FILES"] ?? "").split(":");
      const configuration = await readFile(file, "utf8");
      const netrc = /^netrc-file = (.*)$/m.exec(configuration)?.[1] ?? "";
      const { mode } = await stat(netrc);
      return {
        environment,
        configuration,
        netrc: await readFile(netrc, "utf8"),
        mode: mode & 0o777,
      };
    };
    const first = await left();
    expect(first.mode).toBe(0o600);
    expect(first.netrc).toBe(`machine 127.0.0.1 login "" password ${TOKEN}\n${existing}`);
    expect(first.configuration).toContain(`extra-substituters = ${job.server.uri}\n`);
    expect(first.configuration).not.toContain(TOKEN);
    await writeFile(
      join(machine.root, "etc", "netrc"),
      `${existing}machine b login c password d\n`,
    );
    const second = await left();
    expect(second.netrc).toBe(`${first.netrc}machine b login c password d\n`);

    // A later step, plain Nix: it is fetched, not built.
    const [path = ""] = [...job.server.state.own.values()].map(({ storePath }) => storePath);
    const { promisify } = await import("node:util");
    const { execFile } = await import("node:child_process");
    await promisify(execFile)("nix-store", ["--realise", path], {
      env: { ...machine.environment, ...second.environment },
    });
    expect((await stat(path)).size).toBeGreaterThan(0);
  });

  test("it is fetched from in the same step, before any configuration is read", async () => {
    await using job = await startCachixJob({ isPrivate: true });
    await job.seed("hello", "own");
    const step = await job.step({ mode: "prefetch", targets: "nixpkgs#hello" });
    expect(step.exitCode).toBe(0);
    expect(step.report.fetched.paths).toBe(1);
    const closed = await job.step({ mode: "check", targets: "nixpkgs#hello", token: "" });
    expect(closed.log).toMatch(/is private, or does not exist \(HTTP 401\), and there is no token/);
  });
});
