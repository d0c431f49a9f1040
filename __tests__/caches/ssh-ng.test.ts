import { chmod, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "@jest/globals";
import type { GuardOptions } from "../../src/caches/guard.ts";
import { type BinaryCache, can } from "../../src/domain/cache.ts";
import type { SigningKey } from "../../src/domain/signature.ts";
import { baseName } from "../../src/domain/store-path.ts";
import { HttpClient } from "../../src/host/http.ts";
import { remoteStores } from "../../src/nix/remote-store.ts";
import { nowhere } from "../servers/nowhere.ts";
import { type SshStore, sshStore } from "../servers/sshd.ts";
import { newKey } from "../support/keys.ts";
import { openAt, SHORT } from "../support/open-cache.ts";
import { cacheContract } from "./contract.ts";
import { type FaultSubject, PATH, type Spoilt } from "./contract-faults.ts";
import { type MadeUp, narsOf } from "./made-up.ts";

const http = new HttpClient({});
const signal = new AbortController().signal;
/** A process of its own for each question takes its time on a machine with other work. */
const PATIENT = { describe: 15_000, query: 15_000, parallel: 128 };

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
  { start: faulty },
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
