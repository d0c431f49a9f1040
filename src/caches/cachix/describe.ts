/** What a Cachix cache says of itself, and each way of not being allowed in, told apart. */

import * as z from "zod/mini";
import { parseCacheInfo, usableInfo } from "../../domain/cache.ts";
import { UserError } from "../../domain/errors.ts";
import { type PublicKey, parsePublicKey, type SigningKey } from "../../domain/signature.ts";
import type { Compression } from "../../host/compress.ts";
import type { HttpResponse } from "../../host/http-client.ts";
import type { CachixApi } from "./api.ts";

export interface CachixCache {
  /** Where Nix reads it. */
  readonly uri: URL;
  /** Its own keys: what none of them signed is another cache's. */
  readonly keys: readonly PublicKey[];
  readonly access: "public" | "private";
  readonly permission: "read" | "write";
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

/** What Cachix says of its priority where nix-cache-info cannot be read. */
const PRIORITY = 41;

export interface DescribeRequest {
  readonly api: CachixApi;
  readonly name: string;
  readonly host: URL;
  readonly storeDir: string;
  readonly signingKey: SigningKey | undefined;
}

/** Asks once, before anything is built. Throws a UserError where the cache cannot even be read. */
export async function describeCachix(
  request: DescribeRequest,
  signal: AbortSignal,
): Promise<CachixCache> {
  const { api, storeDir } = request;
  const ask = (path: string, as: "bearer" | "nobody" = "bearer") =>
    api.ask({ method: "GET", path, signal }, as);
  const [first, info] = await Promise.all([ask(""), ask("/nix-cache-info").catch(() => undefined)]);
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
  const permission = said.permission === "Write" || said.permission === "Admin" ? "write" : "read";
  if (token !== undefined) trouble ??= troubleWithWriting(request, permission, keys);
  const cacheInfo = info?.status === 200 ? parseCacheInfo(info.body.toString("utf8")) : undefined;
  const told = cacheInfo
    ? usableInfo(api.label, cacheInfo, storeDir)
    : { storeDir: undefined, priority: undefined };
  return {
    uri,
    keys,
    access: said.isPublic ? "public" : "private",
    permission: token !== undefined && !trouble ? permission : "read",
    token,
    compression: said.preferredCompressionMethod?.toUpperCase() === "XZ" ? "xz" : "zstd",
    storeDir: told.storeDir,
    priority: told.priority ?? PRIORITY,
    trouble,
  };
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
  permission: "read" | "write",
  keys: readonly PublicKey[],
): UserError | undefined {
  if (permission === "read") {
    return new UserError("NCP-303", `${api.label}: this token may read, and not write`, {
      hint: "make a token with write access, or leave it out to say that this run only reads",
    });
  }
  if (!signingKey || keys.some(({ text }) => text === signingKey.publicKey.text)) return undefined;
  return new UserError(
    "NCP-105",
    `signing-key: its public half, ${signingKey.publicKey.text}, is no key of ${api.label} (${keys.map(({ name }) => name).join(", ")})`,
    { hint: "leave signing-key out where Cachix signs; else give the key the cache was made with" },
  );
}

function readKeys({ api, name }: DescribeRequest, texts: readonly string[]): PublicKey[] {
  const keys = texts.flatMap((text) => parsePublicKey(text) ?? []);
  if (keys.length > 0) return keys;
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
