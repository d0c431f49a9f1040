/** The cache `s3://`: a binary cache in a bucket, read and written over S3's own HTTP (docs/adr/0011). */

import type { CacheDescription } from "../../domain/cache.ts";
import { UserError } from "../../domain/errors.ts";
import { packingTrouble } from "../../host/compress.ts";
import type { HttpRequest, HttpResponse } from "../../host/http-client.ts";
import { ASK, isSuccess, retry } from "../../host/retry.ts";
import {
  hasIndex,
  parseHostUrl,
  parsePacking,
  parsePriority,
  placeAt,
  signedPathsOnly,
  signingOf,
  withoutSlash,
} from "../address.ts";
import { S3_OPTIONS } from "../address-options.ts";
import { below, httpCache } from "../http/http.ts";
import { type HttpPushOptions, httpPush, httpRealise } from "../http/push.ts";
import { HEAD_MOST, INDEX_FOLDER, INDEX_MOST } from "../index-file.ts";
import { SegmentedIndex, type SegmentStore } from "../index-segments.ts";
import type { CacheKind, OpenRequest } from "../kind.ts";
import { PartMemory } from "../parts.ts";
import {
  type AwsCredentials,
  awsCredentials,
  explainS3,
  parseBucket,
  signedHttp,
} from "./client.ts";
import { putParts } from "./push.ts";

/** Bytes of all parts together: two large parts under way. The rest of 256 MB is Node's. */
const MEMORY = 76 * 1024 * 1024;

/** Milliseconds for a question. */
const DEADLINE = 15_000;

export const s3Kind: CacheKind<URL> = {
  facts: {
    kind: "s3",
    token: "not needed",
    readers: "everybody",
    keeper: "itself",
    staging: "needed",
  },
  options: S3_OPTIONS,
  form: "s3://BUCKET",
  begins: ["s3://"],
  parse: parseHostUrl,
  place: (url) => placeAt(url, ["endpoint"]),
  name: ({ hostname }) => hostname,
  page: () => undefined,
  open(url, request) {
    const { name, role, storeDir } = request;
    const { base, region } = parseBucket(url, name);
    const { policy, publicKeys, signingKey, canWrite, readAt } = signingOf(url, request);
    let known: Promise<AwsCredentials | undefined> | undefined;
    const credentials = () => {
      known ??= credentialsOf(url, request);
      return known;
    };
    let place = new URL(readAt);
    const http = signedHttp(request.http, region, credentials, (other) => {
      place = new URL(readAt);
      place.searchParams.set("region", other);
    });
    const explain = (answer: Parameters<typeof explainS3>[1]) => explainS3(name, answer);
    const substituter = {
      publicKeys,
      priority: parsePriority(url),
      environment: async () => variablesOf(await credentials()),
      // Nix does not look for another region.
      get url() {
        return place.href;
      },
    };
    const at = (path: string) => below(base, path);
    const storageClass = url.searchParams.get("storage-class");
    const headers: Readonly<Record<string, string>> =
      storageClass === null ? {} : { "x-amz-storage-class": storageClass };
    const index = hasIndex(url)
      ? new SegmentedIndex(name, bucketSegments({ at, http, headers }))
      : undefined;
    const cache = httpCache({
      name,
      base,
      index,
      substituter,
      policy,
      storeDir,
      http,
      headers: {},
      explain,
      // Who writes first to a bucket makes the cache.
      withoutInfo: role === "own" ? "not written yet" : "no cache",
    });
    if (role === "substituter") return cache;
    const describe = async (signal: AbortSignal): Promise<CacheDescription> => {
      const info = await cache.describe(signal);
      const trouble = canWrite
        ? (await credentials()) === undefined
          ? noCredentials(name)
          : undefined
        : signedPathsOnly(name);
      return trouble ? { ...info, permission: "read", trouble } : info;
    };
    if (!canWrite) return { ...cache, describe };
    const memory = new PartMemory(MEMORY);
    const options: HttpPushOptions = {
      name,
      at,
      http,
      headers,
      ...(index ? { index } : {}),
      ...parsePacking(url),
      signingKey,
      explain,
      putLarge: (all, info, nar, signal) => putParts(all, memory, info, nar, signal),
      folder: request.folder,
      storeDir,
      isNew: async (signal) => (await cache.describe(signal)).storeDir === undefined,
    };
    return {
      ...cache,
      describe,
      mayPush: async (signal) =>
        (await refusesParts(options, signal)) ?? packingTrouble(name, options),
      push: httpPush(options),
      realise: httpRealise(options),
    };
  },
};

/**
 * A part of an upload that nobody began: who may write hears that there is no such upload, and who may not,
 * that. Nothing is written by it.
 */
async function refusesParts(
  { name, at, http, explain }: HttpPushOptions,
  signal: AbortSignal,
): Promise<UserError | undefined> {
  const url = at("nix-cache-info");
  url.search = "partNumber=1&uploadId=nix-cache-preflight-asks";
  const request = { method: "PUT", url, body: "", signal, deadline: DEADLINE } as const;
  const answer = await retry(() => http.request(request), signal, ASK);
  const trouble = explain?.(answer);
  if (trouble?.code !== "NCP-303") return undefined;
  return new UserError("NCP-303", `${name} takes nothing from us: ${trouble.message}`, {
    hint: "the credentials may read; to push they need s3:PutObject and s3:AbortMultipartUpload",
  });
}

/** The token is `KEYID:SECRET` or `KEYID:SECRET:SESSION`; without one, what AWS's own tools would use. */
async function credentialsOf(
  url: URL,
  { name, token, environment }: OpenRequest,
): Promise<AwsCredentials | undefined> {
  if (token === undefined) {
    return awsCredentials(environment, url.searchParams.get("profile") || undefined);
  }
  const [keyId, secret, sessionToken] = token.split(":");
  if (keyId && secret) return { keyId, secret, sessionToken: sessionToken || undefined };
  throw new UserError("NCP-105", `${name}: the token is not KEYID:SECRET`, {
    hint: "join the access key's id and its secret with a colon; or leave token away and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
  });
}

/** As AWS's own tools, and Nix, read them. */
function variablesOf(known: AwsCredentials | undefined): Record<string, string> {
  if (!known) return {};
  const { keyId, secret, sessionToken } = known;
  return {
    AWS_ACCESS_KEY_ID: keyId,
    AWS_SECRET_ACCESS_KEY: secret,
    ...(sessionToken === undefined ? {} : { AWS_SESSION_TOKEN: sessionToken }),
  };
}

function noCredentials(name: string): UserError {
  return new UserError("NCP-303", `${name}: there are no AWS credentials`, {
    hint: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (aws-actions/configure-aws-credentials does), or token to KEYID:SECRET",
  });
}

/** Of a thousand names each: more are not listed to begin an index. */
const LISTS_MOST = 200;

/** Beside the narinfos in the bucket; who reads an index, or writes one, needs `s3:ListBucket`. */
function bucketSegments(bucket: Pick<HttpPushOptions, "at" | "http" | "headers">): SegmentStore {
  const { at, http, headers } = bucket;
  const ask = async (
    method: HttpRequest["method"],
    url: URL,
    signal: AbortSignal,
    body?: Uint8Array,
  ): Promise<HttpResponse> => {
    const request = {
      ...{ method, url, signal, deadline: DEADLINE, maxBytes: HEAD_MOST + INDEX_MOST },
      ...(body ? { body, headers } : {}),
    };
    const answer = await retry(() => http.request(request), signal, ASK);
    if (isSuccess(answer.status) || (answer.status === 404 && method !== "PUT")) return answer;
    throw new Error(`${method} ${url.pathname} answers ${answer.status}`);
  };
  const names = async (prefix: string, signal: AbortSignal): Promise<string[] | undefined> => {
    const found: string[] = [];
    let token: string | undefined;
    for (let n = 0; n < LISTS_MOST; n++) {
      const url = at("");
      // The bucket itself, as AWS's own tools write it: not every server knows it by another name.
      url.pathname = withoutSlash(url.pathname);
      // Without the folders' own files: of the bucket's root only the narinfos, and none of the NARs.
      url.searchParams.set("list-type", "2");
      url.searchParams.set("delimiter", "/");
      url.searchParams.set("prefix", prefix);
      if (token !== undefined) url.searchParams.set("continuation-token", token);
      const { status, body } = await ask("GET", url, signal);
      if (status === 404) throw new Error("there is no such bucket");
      const text = body.toString("utf8");
      for (const [, key = ""] of text.matchAll(/<Key>([^<]{1,1024})<\/Key>/g)) {
        if (key !== prefix) found.push(key.slice(prefix.length));
      }
      if (!/<IsTruncated>true</.test(text)) return found;
      token = unescaped(/<NextContinuationToken>([^<]{1,2048})</.exec(text)?.[1]);
      if (token === undefined) throw new Error("a list has no end");
    }
    return undefined;
  };
  const file = (name: string) => at(`${INDEX_FOLDER}/${name}`);
  return {
    names: async (signal) => (await names(`${INDEX_FOLDER}/`, signal)) ?? ["too many"],
    async read(name, signal) {
      const { status, body } = await ask("GET", file(name), signal);
      return isSuccess(status) ? body : undefined;
    },
    write: async (name, content, signal) => {
      await ask("PUT", file(name), signal, content);
    },
    remove: async (name, signal) => {
      await ask("DELETE", file(name), signal);
    },
    members: async (signal) =>
      (await names("", signal))?.flatMap(
        (name) => /^([0-9a-z]{32})\.narinfo$/.exec(name)?.[1] ?? [],
      ),
  };
}

function unescaped(text: string | undefined): string | undefined {
  return text
    ?.replaceAll("&quot;", '"')
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&amp;", "&");
}
