/** The cache `s3://`: a binary cache in a bucket, read and written over S3's own HTTP (docs/adr/0011). */

import type { CacheDescription } from "../../domain/cache.ts";
import { UserError } from "../../domain/errors.ts";
import {
  parseCompression,
  parseHostUrl,
  parsePriority,
  placeAt,
  signedPathsOnly,
  signingOf,
} from "../address.ts";
import { below, httpCache } from "../http/http.ts";
import { type HttpPushOptions, httpPush } from "../http/push.ts";
import type { CacheKind, OpenRequest } from "../kind.ts";
import { PartMemory } from "../parts.ts";
import { explainS3, parseBucket, signedHttp } from "./client.ts";
import { type AwsCredentials, awsCredentials } from "./credentials.ts";
import { putParts } from "./push.ts";

/** Bytes of all parts together: two large parts under way. The rest of 256 MB is Node's. */
const MEMORY = 76 * 1024 * 1024;

export const s3Kind: CacheKind<URL> = {
  facts: {
    kind: "s3",
    token: "not needed",
    readers: "everybody",
    keeper: "itself",
    staging: "needed",
  },
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
    const http = signedHttp(request.http, region, credentials);
    const explain = (answer: Parameters<typeof explainS3>[1]) => explainS3(name, answer);
    const cache = httpCache({
      name,
      base,
      substituter: {
        url: readAt,
        publicKeys,
        priority: parsePriority(url),
        environment: async () => variablesOf(await credentials()),
      },
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
      at: (path) => below(base, path),
      http,
      headers: {},
      compression: parseCompression(url),
      signingKey,
      explain,
      putLarge: (all, info, nar, signal) => putParts(all, memory, info, nar, signal),
      folder: request.folder,
      storeDir,
      isNew: async (signal) => (await cache.describe(signal)).storeDir === undefined,
    };
    return { ...cache, describe, push: httpPush(options) };
  },
};

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
