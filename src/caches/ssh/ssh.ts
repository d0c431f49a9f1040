/** The cache `ssh-ng://`: a store on another machine, read and written by Nix's own client. */

import type {
  CacheClient,
  Presence,
  RemotePath,
  RemoteStore,
  Substituter,
} from "../../domain/cache.ts";
import { asError, UserError } from "../../domain/errors.ts";
import { judge, type SignaturePolicy } from "../accept.ts";
import { parseHostUrl, parsePriority, placeAt, signedPathsOnly, signingOf } from "../address.ts";
import { SSH_OPTIONS } from "../address-options.ts";
import { Batch } from "../batch.ts";
import type { CacheKind } from "../kind.ts";
import { storePush } from "./push.ts";

export interface SshCacheOptions {
  readonly name: string;
  readonly store: RemoteStore;
  readonly storeDir: string;
  readonly substituter: Substituter;
  readonly policy: SignaturePolicy;
  /** What we are to it. */
  readonly writer: "signs" | "does not sign" | "whom no reader takes" | "nobody";
}

/** Two connections; while they are asked, the next questions gather. */
const BATCHES = 2;
const QUESTIONS = 500;
/** A connection and a process for each NAR. */
const NARS = 4;

function sshCache(options: SshCacheOptions): CacheClient {
  const { name, store, storeDir, policy } = options;
  const batch = new Batch<RemotePath | undefined>({
    parallel: BATCHES,
    most: QUESTIONS,
    answer: (paths, signal) => store.query(paths, signal),
    absent: undefined,
  });
  return {
    name,
    substituter: options.substituter,
    questionsAtOnce: BATCHES * QUESTIONS,
    narsAtOnce: NARS,
    async describe(signal) {
      const { trust } = await store.describe(signal);
      const trouble = troubleOf(options, trust);
      return {
        storeDir,
        priority: undefined,
        publicKeys: [],
        permission: trouble ? "read" : undefined,
        ...(trouble ? { trouble } : {}),
      };
    },
    async query(path, signal): Promise<Presence> {
      try {
        const found = await batch.ask(path, signal);
        return found ? await judge(found, `${name}'s ${path}`, path, policy) : { kind: "miss" };
      } catch (error) {
        signal.throwIfAborted();
        return { kind: "unknown", cause: asError(error) };
      }
    },
    // A store keeps no file of it to be measured: what it called valid a moment ago has this size.
    narSize: async ({ narSize }) => narSize,
    readNar: ({ storePath }, signal) => store.nar(storePath, signal),
  };
}

/** Who is not trusted there can bring signed paths only. */
function troubleOf(
  { name, writer }: SshCacheOptions,
  trust: "trusted" | "not trusted" | undefined,
): UserError | undefined {
  if (writer === "nobody") return undefined;
  if (writer === "whom no reader takes") return signedPathsOnly(name);
  if (writer === "signs" || trust !== "not trusted") return undefined;
  return new UserError("NCP-303", `${name} takes signed paths only from our user`, {
    hint: "set signing-key, with its public key in the host's trusted-public-keys; or make the user a trusted user there",
  });
}

export const sshKind: CacheKind<URL> = {
  facts: {
    kind: "ssh-ng",
    token: "not needed",
    readers: "this job or machine",
    keeper: "itself",
    // A process for each NAR: Nix brings them all through one connection.
    staging: "never",
  },
  options: SSH_OPTIONS,
  form: "ssh-ng://HOST",
  begins: ["ssh-ng://"],
  parse: parseHostUrl,
  place: (url) => placeAt(url, ["remote-store", "remote-program"]),
  name: ({ hostname }) => hostname,
  page: () => undefined,
  open(url, request) {
    const { name, role, storeDir, folder } = request;
    const { policy, publicKeys, signingKey, canWrite } = signingOf(url, request);
    const store = request.remoteStore(url.href, name);
    const writer = canWrite ? (signingKey ? "signs" : "does not sign") : "whom no reader takes";
    const cache = sshCache({
      name,
      store,
      storeDir,
      substituter: { url: url.href, publicKeys, priority: parsePriority(url) },
      policy,
      writer: role === "own" ? writer : "nobody",
    });
    if (role === "substituter" || !canWrite) return cache;
    return { ...cache, push: storePush({ store, storeDir, folder, signingKey }) };
  },
};
