import { chmod, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import type { GuardOptions } from "../../src/caches/guard.ts";
import type { RemoteStore } from "../../src/domain/cache.ts";
import { type BinaryCache, can } from "../../src/domain/cache.ts";
import type { SigningKey } from "../../src/domain/signature.ts";
import { baseName } from "../../src/domain/store-path.ts";
import { HttpClient } from "../../src/host/http-client.ts";
import { remoteStores } from "../../src/nix/remote-store.ts";
import { nowhere } from "../servers/nowhere.ts";
import { type SshStore, sshStore } from "../servers/sshd.ts";
import { newKey } from "../support/keys.ts";
import { openAt, SHORT } from "../support/open-cache.ts";
import { cacheContract } from "./contract.ts";
import { type FaultSubject, PATH } from "./contract-faults.ts";
import type { Spoilt } from "./fault-table.ts";
import { type MadeUp, madeUp, narsOf } from "./made-up.ts";

const http = new HttpClient({});
const signal = new AbortController().signal;
/** A process of its own for each question takes its time on a machine with other work. */
const PATIENT = { describe: 120_000, query: 120_000, parallel: 128 };

interface How {
  readonly environment?: Readonly<Record<string, string>>;
  readonly url?: string;
  readonly patience?: GuardOptions;
}

function open(at: SshStore, signingKey: SigningKey | undefined, how: How = {}) {
  const { environment = at.environment, url = at.url, patience = PATIENT } = how;
  const storeDir = "/nix/store";
  const { TMPDIR: workspace = "", TMPDIR: folder = "" } = environment;
  const remoteStore = remoteStores({ environment, workspace, version: at.version, storeDir });
  return openAt(url, { http, signingKey, remoteStore, folder }, patience);
}

async function send(cache: BinaryCache, paths: readonly MadeUp[]) {
  if (!can(cache, "push")) throw new Error(`${cache.name} cannot push`);
  const infos = paths.map(({ info }) => info);
  return cache.push(infos, narsOf(paths), () => undefined, signal);
}

cacheContract(
  "ssh-ng://",
  async () => {
    const at = await sshStore();
    const key = newKey();
    return {
      cache: open(at, key),
      reopen: async () => open(at, key),
      [Symbol.asyncDispose]: () => at[Symbol.asyncDispose](),
    };
  },
  {
    kind: "ssh-ng",
    start: faulty,
  },
);

async function faulty(): Promise<FaultSubject> {
  const at = await sshStore();
  const dead = await nowhere();
  const key = newKey();
  expect([...(await send(open(at, key), [PATH])).failed]).toEqual([]);
  const file = join(at.folder, baseName(PATH.info.storePath));
  const content = await readFile(file);
  const behind = async (fault: Spoilt | "none") => {
    await chmod(file, 0o644);
    await writeFile(file, fault === "wrong hash" ? content.toReversed() : content);
    if (fault === "truncated NAR") await truncate(file, content.length / 2);
    switch (fault) {
      case "401":
      case "403":
        return open(at, key, { environment: at.withSsh(at.strangersClient) });
      case "404 for nix-cache-info":
        return open(at, key, { url: at.urlOf("/nowhere/nix-daemon") });
      case "HTML instead of narinfo":
        return open(at, key, { url: at.urlOf("/bin/echo") });
      case "wrong key name":
        return open(at, newKey("another-1"));
      default:
        return open(at, key);
    }
  };
  return {
    withoutInfo: "an error",
    behind,
    async nowhere(where) {
      switch (where) {
        case "unknown host":
          return open(at, key, { url: "ssh-ng://nowhere.invalid" });
        case "refused":
          return open(at, key, { environment: at.withSsh([`-p ${dead.refused}`, ...at.client]) });
        case "never answers":
          return open(at, key, {
            environment: at.withSsh([`-p ${dead.silent}`, ...at.client]),
            patience: SHORT,
          });
        case "TLS error":
          return open(at, key, {
            environment: at.withSsh([...at.client.slice(0, 1), "-o UserKnownHostsFile=/nowhere"]),
          });
        default:
          return where satisfies never;
      }
    },
    async [Symbol.asyncDispose]() {
      await dead[Symbol.asyncDispose]();
      await at[Symbol.asyncDispose]();
    },
  };
}

test("many questions are a few processes, and what is there is told from what is not", async () => {
  await using at = await sshStore();
  const cache = open(at, newKey());
  const paths = Array.from({ length: 400 }, (_, index) => madeUp(`many-${index}`));
  const [there, ...rest] = paths;
  if (!there) throw new Error("there are some");
  expect([...(await send(cache, [there])).failed]).toEqual([]);
  const before = at.connections();
  const kinds = await Promise.all(
    paths.map(async ({ info }) => (await cache.query(info.storePath, signal)).kind),
  );
  expect(kinds).toEqual(["hit", ...rest.map(() => "miss")]);
  expect(at.connections() - before).toBeLessThanOrEqual(2);
});

test("another store folder's host is named, and not used", async () => {
  await using at = await sshStore("/other/store");
  await expect(open(at, newKey()).describe(signal)).rejects.toMatchObject({
    code: "NCP-304",
    message: expect.stringContaining("its store folder is not this machine's"),
  });
});

const answering = (trust: "trusted" | "not trusted" | undefined): RemoteStore => ({
  describe: async () => ({ trust }),
  query: async () => new Map(),
  nar: async function* () {
    yield Buffer.alloc(0);
  },
  receive: async () => undefined,
});

test.each([
  ["nobody signs, and readers trust no place", "", undefined, "trusted", "NCP-105"],
  [
    "nobody signs, and our user is not trusted there",
    "?trusted=1",
    undefined,
    "not trusted",
    "NCP-303",
  ],
  ["nobody signs, and our user is trusted there", "?trusted=1", undefined, "trusted", undefined],
  ["nobody signs, and the host does not say", "?trusted=1", undefined, undefined, undefined],
  ["we sign, and our user is not trusted there", "", newKey(), "not trusted", undefined],
] as const)(
  "where %s, that is told before anything is built",
  async (_, query, key, trust, code) => {
    const remoteStore = () => answering(trust);
    const cache = openAt(`ssh-ng://cache.lan${query}`, { http, signingKey: key, remoteStore });
    const { permission, trouble } = await cache.describe(signal);
    expect(trouble?.code).toBe(code);
    expect(permission).toBe(code === undefined ? undefined : "read");
  },
);
