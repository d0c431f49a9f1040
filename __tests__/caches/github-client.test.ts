import { randomBytes } from "node:crypto";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import {
  type GithubClientOptions,
  restoreEntries,
  saveEntry,
} from "../../src/caches/github/client.ts";
import { restoreNotice, saveNotice, type Trouble } from "../../src/caches/github/trouble.ts";
import { processEnvironment } from "../../src/host/environment.ts";
import { howToInstall } from "../../src/host/programs.ts";
import {
  type GithubCacheServer,
  PULL_REQUEST,
  READ_ONLY,
  startGithubCache,
  twirp,
} from "../servers/github-cache.ts";
import { busyboxTar } from "../support/busybox.ts";
import { temporaryFolder } from "../support/folder.ts";

const SIGNAL = new AbortController().signal;
const PROGRAM = new URL("../../src/github-cache-transfer.ts", import.meta.url);
/** Short where a server never answers, so that the test is; the others end long before. */
const SOON = { answer: 1_500, stall: 20_000, whole: 30_000 };

interface Site extends AsyncDisposable {
  readonly server: GithubCacheServer;
  /** A runner of its own each time: other folders. */
  runner(variables?: Readonly<Record<string, string>>): Promise<GithubClientOptions>;
}

async function site(): Promise<Site> {
  const server = await startGithubCache();
  const root = await mkdtemp(join(tmpdir(), "ncp-github-"));
  const { PATH = "" } = processEnvironment();
  return {
    server,
    async runner(variables = server.variables()) {
      const directory = await mkdtemp(join(root, "runner-"));
      const environment = { PATH, HOME: root, ...variables };
      return { environment, directory, deadlines: SOON, program: PROGRAM };
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await rm(root, { recursive: true });
    },
  };
}

async function fill({ directory }: GithubClientOptions, folder: string, content: string) {
  await mkdir(join(directory, folder, "nar"), { recursive: true });
  await writeFile(join(directory, folder, "nar", "a"), content);
}

const read = ({ directory }: GithubClientOptions, folder: string) =>
  readFile(join(directory, folder, "nar", "a"), "utf8");

const ask = (folder: string, key: string, ...restoreKeys: string[]) => ({
  folder,
  key,
  restoreKeys,
});

async function saved(here: Site, folder: string, key: string, content: string): Promise<void> {
  const runner = await here.runner();
  await fill(runner, folder, content);
  expect(await saveEntry({ folder, key }, runner, SIGNAL)).toBeUndefined();
}

describe("the client of GitHub's cache", () => {
  test("restores on another runner, in another folder, what one saved", async () => {
    await using here = await site();
    await saved(here, "own", "p-deps-1-run1", "content");
    const runner = await here.runner();
    const entries = [
      ask("own", "p-deps-1", "p-deps-"),
      ask("own", "q"),
      ask("other", "p-deps-1-run1"),
    ];
    expect(await restoreEntries(entries, runner, SIGNAL)).toEqual({
      // Another folder is another version: the same key is not an entry for it.
      keys: ["p-deps-1-run1", undefined, undefined],
      trouble: undefined,
    });
    expect(await read(runner, "own")).toBe("content");
    expect(await readdir(runner.directory)).toEqual(["own"]);
  });

  test("is given the newest entry of a prefix, and its own branch's before the default one's", async () => {
    await using here = await site();
    await saved(here, "own", "k-1", "first");
    await saved(here, "own", "k-2", "second");
    const pull = await here.runner(here.server.variables(PULL_REQUEST));
    await restoreEntries([ask("own", "k-", "k-")], pull, SIGNAL);
    expect(await read(pull, "own")).toBe("second");
    await fill(pull, "own", "changed");
    await saveEntry({ folder: "own", key: "k-0" }, pull, SIGNAL);
    const again = await here.runner(here.server.variables(PULL_REQUEST));
    const { keys } = await restoreEntries([ask("own", "k-", "k-")], again, SIGNAL);
    expect(keys).toEqual(["k-0"]);
    const main = await here.runner();
    expect((await restoreEntries([ask("own", "k-", "k-")], main, SIGNAL)).keys).toEqual(["k-2"]);
  });

  (process.platform === "linux" ? test : test.skip)(
    "looks for GNU tar behind BusyBox's, and says what to install where there is none",
    async () => {
      await using here = await site();
      await using folder = await temporaryFolder();
      const busybox = dirname(await busyboxTar(folder));
      const { PATH = "" } = processEnvironment();
      const runner = await here.runner();
      await fill(runner, "own", "content");
      const at = (path: string) => ({
        ...runner,
        environment: { ...runner.environment, PATH: path },
      });
      const alpine = await saveEntry({ folder: "own", key: "k" }, at(busybox), SIGNAL);
      expect(alpine).toEqual({
        kind: "tools",
        detail: `it needs GNU tar: ${howToInstall("GNU tar")}`,
      });
      expect(alpine && saveNotice("k", alpine)).not.toMatch(/service/);
      const mended = at(`${busybox}:${PATH}`);
      expect(await saveEntry({ folder: "own", key: "k" }, mended, SIGNAL)).toBeUndefined();
      const other = await here.runner();
      const environment = { ...other.environment, PATH: `${busybox}:${PATH}` };
      const { keys } = await restoreEntries([ask("own", "k")], { ...other, environment }, SIGNAL);
      expect(keys).toEqual(["k"]);
      expect(await read(other, "own")).toBe("content");
    },
  );

  test.each<[string, (server: GithubCacheServer) => void, Trouble["kind"], RegExp]>([
    ["429", (server) => fail(server, 429, "resource_exhausted", "slow down"), "rate", /429/],
    ["403", (server) => fail(server, 403, "permission_denied", "no"), "denied", /403/],
    [
      "cache read denied",
      (server) => fail(server, 403, "permission_denied", "cache read denied: no scopes"),
      "denied",
      /cache read denied/,
    ],
    ["500, again and again", (server) => fail(server, 500, "internal", "oh"), "slow", /\(500\)/],
    ["silence", (server) => hang(server), "slow", /no answer within 1.5s/],
  ])("a restore answered by %s is no restore, and says why", async (_, set, kind, detail) => {
    await using here = await site();
    set(here.server);
    const { keys, trouble } = await restoreEntries([ask("own", "k")], await here.runner(), SIGNAL);
    expect(keys).toEqual([undefined]);
    expect(trouble).toEqual({ kind, detail: expect.stringMatching(detail) });
    expect(trouble && restoreNotice(trouble, "nothing")).toContain(
      "begins without what earlier ones kept",
    );
  });

  test.each<[string, (server: GithubCacheServer) => void, Trouble["kind"], RegExp]>([
    ["429", (server) => fail(server, 429, "resource_exhausted", "slow down"), "rate", /429/],
    ["403", (server) => fail(server, 403, "permission_denied", "no"), "denied", /403/],
    [
      "a full quota",
      (server) => fail(server, 403, "resource_exhausted", "insufficient usage"),
      "quota",
      /quota has been hit/,
    ],
    ["500, again and again", (server) => fail(server, 500, "internal", "oh"), "slow", /\(500\)/],
    ["silence", (server) => hang(server), "slow", /no answer within 1.5s/],
    [
      "a blob that is refused",
      (server) => server.fail("blob", "drop"),
      "slow",
      /not done|no answer/,
    ],
    [
      "a blob that nobody takes",
      (server) => server.fail("blob", "hang"),
      "slow",
      /the transfer stood still: not a byte within 1.5s/,
    ],
  ])("a save answered by %s is no save, and says why", async (name, set, kind, detail) => {
    await using here = await site();
    set(here.server);
    const runner = await here.runner();
    const deadlines = {
      ...SOON,
      ...(name === "a blob that is refused" ? { whole: 3_000 } : {}),
      ...(name === "a blob that nobody takes" ? { stall: 1_500 } : {}),
    };
    await fill(runner, "own", "content");
    const trouble = await saveEntry({ folder: "own", key: "k" }, { ...runner, deadlines }, SIGNAL);
    expect(trouble).toEqual({ kind, detail: expect.stringMatching(detail) });
    expect(here.server.keys()).toEqual([]);
    // Neither an archive nor a tar that writes one is left.
    expect(await readdir(runner.directory)).toEqual(["own"]);
  });

  test("a lost race is told as one, and the winner's entry stands", async () => {
    await using here = await site();
    await saved(here, "own", "k", "winner");
    const loser = await here.runner();
    await fill(loser, "own", "loser");
    const trouble = await saveEntry({ folder: "own", key: "k" }, loser, SIGNAL);
    expect(trouble).toEqual({ kind: "race", detail: expect.stringContaining("409") });
    expect(trouble && saveNotice("k", trouble)).toContain("nothing is lost but this upload");
    const runner = await here.runner();
    await restoreEntries([ask("own", "k")], runner, SIGNAL);
    expect(await read(runner, "own")).toBe("winner");
  });

  test("a read-only token restores, and its save says that it is one", async () => {
    await using here = await site();
    await saved(here, "own", "k-1", "content");
    const runner = await here.runner(here.server.variables(READ_ONLY));
    expect((await restoreEntries([ask("own", "k-1")], runner, SIGNAL)).keys).toEqual(["k-1"]);
    const trouble = await saveEntry({ folder: "own", key: "k-2" }, runner, SIGNAL);
    expect(trouble).toEqual({ kind: "denied", detail: expect.stringContaining("write denied") });
    expect(here.server.keys()).toEqual(["k-1"]);
  });

  test.each([
    ["none", "mode", "mode"],
    ["read", undefined, "mode"],
    ["write-only", "mode", undefined],
  ])("ACTIONS_CACHE_MODE=%s is kept to", async (mode, restoring, saving) => {
    await using here = await site();
    await saved(here, "own", "k-1", "content");
    const variables = { ...here.server.variables(), ACTIONS_CACHE_MODE: mode };
    const runner = await here.runner(variables);
    const { keys, trouble } = await restoreEntries([ask("own", "k-1")], runner, SIGNAL);
    expect(keys).toEqual([restoring === undefined ? "k-1" : undefined]);
    expect(trouble?.kind).toBe(restoring);
    await fill(runner, "own", "content");
    expect((await saveEntry({ folder: "own", key: "k-2" }, runner, SIGNAL))?.kind).toBe(saving);
  });

  test.each([
    ["no variables at all", {}, "unavailable"],
    [
      "no token",
      { ACTIONS_CACHE_SERVICE_V2: "True", ACTIONS_RESULTS_URL: "http://127.0.0.1:9/" },
      "unavailable",
    ],
    [
      "a port where nobody is",
      {
        ACTIONS_CACHE_SERVICE_V2: "True",
        ACTIONS_RESULTS_URL: "http://127.0.0.1:9/",
        ACTIONS_RUNTIME_TOKEN: "t",
      },
      "unreachable",
    ],
  ] as const)("with %s it says so at once", async (_, variables, kind) => {
    await using here = await site();
    const runner = await here.runner(variables);
    const { keys, trouble } = await restoreEntries([ask("own", "k")], runner, SIGNAL);
    expect(keys).toEqual([undefined]);
    expect(trouble?.kind).toBe(kind);
    await fill(runner, "own", "content");
    expect((await saveEntry({ folder: "own", key: "k" }, runner, SIGNAL))?.kind).toBe(kind);
  });

  test("a folder that is not there is not saved, and nothing is thrown", async () => {
    await using here = await site();
    const trouble = await saveEntry({ folder: "own", key: "k" }, await here.runner(), SIGNAL);
    expect(trouble?.detail).toContain("not exist");
  });

  test("an archive over 128 MiB goes up in blocks, and comes back the same", async () => {
    await using here = await site();
    const runner = await here.runner();
    await mkdir(join(runner.directory, "own"));
    // Random, so that it is as large when it is compressed.
    const content = randomBytes(140 * 1024 * 1024);
    await writeFile(join(runner.directory, "own", "a"), content);
    expect(await saveEntry({ folder: "own", key: "k" }, runner, SIGNAL)).toBeUndefined();
    expect(here.server.requests().filter((line) => line === "PUT blob")).toHaveLength(4);
    await rm(join(runner.directory, "own"), { recursive: true });
    expect((await restoreEntries([ask("own", "k")], runner, SIGNAL)).keys).toEqual(["k"]);
    expect(content.equals(await readFile(join(runner.directory, "own", "a")))).toBe(true);
  });

  test("a damaged archive is not restored, and said", async () => {
    await using here = await site();
    await saved(here, "own", "k", "content".repeat(10_000));
    here.server.damage("k");
    const { keys, trouble } = await restoreEntries([ask("own", "k")], await here.runner(), SIGNAL);
    expect(keys).toEqual([undefined]);
    expect(trouble).toEqual({
      kind: "failed",
      detail: expect.stringContaining("Failed to restore"),
    });
  });

  test("the job's end ends it in the middle", async () => {
    await using here = await site();
    hang(here.server);
    const controller = new AbortController();
    const runner = {
      ...(await here.runner()),
      deadlines: { answer: 50_000, stall: 50_000, whole: 50_000 },
    };
    const restoring = restoreEntries([ask("own", "k")], runner, controller.signal);
    await until(() => here.server.requests().length > 0);
    controller.abort(new Error("interrupted"));
    await expect(restoring).rejects.toThrow("interrupted");
  });

  test("tar and zstd learn nothing of the token", async () => {
    await using here = await site();
    const runner = await here.runner();
    const bin = join(runner.directory, "bin");
    const record = join(runner.directory, "environment");
    await mkdir(bin);
    for (const name of ["tar", "zstd"]) {
      const real = `PATH=${runner.environment["PATH"]} exec ${name} "$@"`;
      await writeFile(join(bin, name), `#!/bin/sh\nenv >> ${record}\n${real}\n`);
      await chmod(join(bin, name), 0o755);
    }
    const environment = {
      ...runner.environment,
      INPUT_TOKEN: "input",
      PATH: `${bin}:${runner.environment["PATH"]}`,
    };
    await fill(runner, "own", "content");
    expect(
      await saveEntry({ folder: "own", key: "k" }, { ...runner, environment }, SIGNAL),
    ).toBeUndefined();
    const seen = await readFile(record, "utf8");
    expect(seen.match(/^PATH=/gm)?.length).toBeGreaterThanOrEqual(2);
    expect(seen).not.toMatch(/ACTIONS_|INPUT_/);
  });
});

function fail(server: GithubCacheServer, status: number, code: string, msg: string): void {
  for (const method of ["CreateCacheEntry", "GetCacheEntryDownloadURL"] as const) {
    server.fail(method, twirp(status, code, msg).reply);
  }
}

function hang(server: GithubCacheServer): void {
  for (const method of ["CreateCacheEntry", "GetCacheEntryDownloadURL"] as const) {
    server.fail(method, "hang");
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20));
}
