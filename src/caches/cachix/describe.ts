/** What a Cachix cache says of itself, and each way of not being allowed in, told apart. */

import * as z from "zod/mini";
import { parseCacheInfo, usableInfo } from "../../domain/cache.ts";
import { asError, UserError } from "../../domain/errors.ts";
import { type PublicKey, parsePublicKey, type SigningKey } from "../../domain/signature.ts";
import { type Compression, packingTrouble } from "../../host/compress.ts";
import type { HttpResponse } from "../../host/http-client.ts";
import { retry } from "../../host/retry.ts";
import type { CachixApi } from "./api.ts";

export interface CachixCache {
  /** Where Nix reads it. */
  readonly uri: URL;
  /** Its own keys: what none of them signed is another cache's. */
  readonly keys: readonly PublicKey[];
  readonly access: "public" | "private";
  /** Undefined where the server does not say: then a push shows it. */
  readonly permission: "read" | "write" | undefined;
  /** Undefined where no token is of use here. */
  readonly token: string | undefined;
  readonly compression: Exclude<Compression, "none">;
  readonly storeDir: string | undefined;
  readonly priority: number;
  readonly trouble: UserError | undefined;
}

/** Source: cachix-api's Types/BinaryCache.hs. */
const Answer = z.object({
  uri: z.string(),
  isPublic: z.boolean(),
  publicSigningKeys: z.array(z.string()),
  permission: z.optional(z.nullable(z.string())),
  preferredCompressionMethod: z.optional(z.string()),
});

const INFO_DEADLINE = 15_000;

/** What Cachix says of its priority where nix-cache-info cannot be read. */
const PRIORITY = 41;

export interface DescribeRequest {
  readonly api: CachixApi;
  readonly name: string;
  readonly host: URL;
  /** Where it is read, as long as nobody has said it. */
  readonly guess: URL;
  readonly storeDir: string;
  readonly signingKey: SigningKey | undefined;
  /** Keys that Nix trusts here: by these a cache is read whose API is down. */
  readonly trusted: readonly PublicKey[];
}

/**
 * As `describeCachix`; where the API is down and the cache itself serves, it is read on by the keys that are
 * trusted already, and nothing is pushed.
 */
export async function describeOrRead(
  request: DescribeRequest,
  signal: AbortSignal,
): Promise<CachixCache> {
  try {
    return await describeCachix(request, signal);
  } catch (error) {
    signal.throwIfAborted();
    const read = isDown(error) ? await readWithoutApi(request, asError(error), signal) : undefined;
    if (!read) throw error;
    return read;
  }
}

/** No answer, or a server's own fault: a refusal and a name that is not there are answers. */
function isDown(error: unknown): boolean {
  if (!(error instanceof UserError)) return true;
  return error.code === "NCP-501" || /answers 5\d\d/.test(error.message);
}

async function readWithoutApi(
  { api, name, guess, storeDir, trusted }: DescribeRequest,
  cause: Error,
  signal: AbortSignal,
): Promise<CachixCache | undefined> {
  const answer = await readInfo(api, guess, undefined, signal);
  const info = answer?.status === 200 ? parseCacheInfo(answer.body.toString("utf8")) : undefined;
  if (!info) return undefined;
  const told = usableInfo(api.label, info, storeDir);
  return {
    uri: guess,
    keys: trusted.filter((key) => key.name.startsWith(`${name}.cachix.org-`)),
    access: "public",
    permission: "read",
    token: undefined,
    compression: "zstd",
    storeDir: told.storeDir,
    priority: told.priority ?? PRIORITY,
    trouble: new UserError("NCP-302", `${api.label}: its API is down, the cache itself answers`, {
      cause,
      hint: "it is read by the keys that Nix trusts already; run it again to push",
    }),
  };
}

/** Asks once, before anything is built. Throws a UserError where the cache cannot even be read. */
async function describeCachix(request: DescribeRequest, signal: AbortSignal): Promise<CachixCache> {
  const { api, storeDir } = request;
  const ask = (path: string, as: "bearer" | "nobody" = "bearer") =>
    api.ask({ method: "GET", path, signal }, as);
  const first = await ask("");
  let answer = first;
  let trouble: UserError | undefined;
  if (isRefusal(first) && api.token !== undefined) {
    // Without a token, a public cache answers: then it is the token that is wrong, not the name.
    answer = await ask("", "nobody");
    if (answer.status === 200) trouble = api.refusal(first);
  }
  if (answer.status !== 200) throw noEntry(request, answer, first);
  const said = api.read(answer, Answer, "GET the cache");
  const keys = readKeys(request, said.publicSigningKeys);
  const uri = readUri(request, said);
  const token = trouble ? undefined : api.token;
  const permission = permissionOf(said.permission);
  if (token !== undefined) trouble ??= troubleWithWriting(request, permission, keys);
  const access = said.isPublic ? "public" : "private";
  const info = await readInfo(api, uri, access === "private" ? token : undefined, signal);
  const cacheInfo = info?.status === 200 ? parseCacheInfo(info.body.toString("utf8")) : undefined;
  const told = cacheInfo
    ? usableInfo(api.label, cacheInfo, storeDir)
    : { storeDir: undefined, priority: undefined };
  return {
    uri,
    keys,
    access,
    permission: token !== undefined && !trouble ? permission : "read",
    token,
    compression: compressionOf(api.label, said.preferredCompressionMethod),
    storeDir: told.storeDir,
    priority: told.priority ?? PRIORITY,
    trouble,
  };
}

/** A word of another server's says nothing: then the first push shows it. */
function permissionOf(said: string | null | undefined): CachixCache["permission"] {
  if (/^(write|admin)$/i.test(said ?? "")) return "write";
  return /^read$/i.test(said ?? "") ? "read" : undefined;
}

/** Where Nix reads it: a server of the same protocol need not have it at its API. */
async function readInfo(
  api: CachixApi,
  uri: URL,
  token: string | undefined,
  signal: AbortSignal,
): Promise<HttpResponse | undefined> {
  const url = new URL("nix-cache-info", uri.href.replace(/\/*$/, "/"));
  const pair = Buffer.from(`:${token}`).toString("base64");
  const headers = token === undefined ? {} : { authorization: `Basic ${pair}` };
  const request = { method: "GET", url, headers, signal, deadline: INFO_DEADLINE } as const;
  try {
    return await retry(() => api.http.request(request), signal, api.askPolicy);
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

function isRefusal({ status }: HttpResponse): boolean {
  return status === 401 || status === 403;
}

function noEntry({ api, name, host }: DescribeRequest, last: HttpResponse, first: HttpResponse) {
  const page = `${host.origin}/cache/${name}`;
  if (last.status === 404) {
    return new UserError("NCP-304", `${api.label}: there is no cache "${name}" on ${host.host}`, {
      hint: `look how it is written: ${page}`,
    });
  }
  if (!isRefusal(last)) return api.failure("GET the cache", last, api.askPolicy);
  if (api.token === undefined) {
    return new UserError(
      "NCP-303",
      `${api.label}: "${name}" is private, or does not exist (HTTP ${last.status}), and there is no token`,
      { hint: "give a token that may read it in the input token; a fork's run gets no secrets" },
    );
  }
  return new UserError(
    "NCP-303",
    `${api.label}: "${name}" is private, and this token does not open it (HTTP ${first.status})`,
    { hint: `is it a token of this cache, and not revoked? ${page} makes a new one` },
  );
}

function troubleWithWriting(
  { api, signingKey }: DescribeRequest,
  permission: CachixCache["permission"],
  keys: readonly PublicKey[],
): UserError | undefined {
  if (permission === "read") {
    return new UserError("NCP-303", `${api.label}: this token may read, and not write`, {
      hint: "make a token with write access, or leave it out to say that this run only reads",
    });
  }
  // It is the key that signs; what it is called, the server says.
  const bytes = (text: string) => text.slice(text.indexOf(":") + 1);
  const ours = signingKey && bytes(signingKey.publicKey.text);
  if (!signingKey || keys.some(({ text }) => bytes(text) === ours)) return undefined;
  return new UserError(
    "NCP-105",
    `signing-key: its public half, ${signingKey.publicKey.text}, is no key of ${api.label} (${keys.map(({ name }) => name).join(", ")})`,
    { hint: "leave signing-key out where Cachix signs; else give the key the cache was made with" },
  );
}

function readKeys({ api, name }: DescribeRequest, texts: readonly string[]): PublicKey[] {
  const keys = texts.flatMap((text) => parsePublicKey(text) ?? []);
  if (keys.length > 0) return keys;
  const [first] = texts;
  if (first !== undefined) {
    throw new UserError(
      "NCP-302",
      `${api.label}: its public key cannot be read: ${JSON.stringify(first.slice(0, 80))}`,
      { hint: "a public key is NAME:BASE64 of 32 bytes; the server hands out something else" },
    );
  }
  throw new UserError("NCP-302", `${api.label}: the cache has no signing key yet`, {
    hint: `without one nobody can trust it; make one with: cachix generate-keypair ${name}`,
  });
}

/** Where a private cache is read the token goes along: nowhere but to the host the user named. */
function readUri({ api, host }: DescribeRequest, said: z.infer<typeof Answer>): URL {
  const uri = URL.canParse(said.uri) ? new URL(said.uri) : undefined;
  if (!uri || !/^https?:$/.test(uri.protocol)) {
    throw new UserError("NCP-302", `${api.label}: the cache gives no address to read it at`);
  }
  const isHome = uri.hostname === host.hostname || uri.hostname.endsWith(`.${host.hostname}`);
  const isAsSafe = uri.protocol === "https:" || host.protocol === "http:";
  if (said.isPublic || (isHome && isAsSafe)) return uri;
  throw new UserError(
    "NCP-302",
    `${api.label}: the cache is private and says that it is read at ${uri.origin}, which is not ${host.host}'s`,
    { hint: "the token is not sent there; name the right server with ?host=URL" },
  );
}

/** What a cache prefers is no condition: it takes zstd, too, which needs no program. */
function compressionOf(name: string, preferred = ""): "xz" | "zstd" {
  if (preferred.toUpperCase() !== "XZ") return "zstd";
  return packingTrouble(name, { compression: "xz" }) === undefined ? "xz" : "zstd";
}
