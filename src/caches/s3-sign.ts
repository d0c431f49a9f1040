/**
 * Owns the signature of a request to S3, version 4.
 * Source: AWS, "Signature Calculations for the Authorization Header" of the S3 API reference.
 */

import { createHash, createHmac } from "node:crypto";
import type { AwsCredentials } from "../host/aws-credentials.ts";
import type { HttpRequest } from "../host/http-request.ts";

export interface Signable {
  readonly method: HttpRequest["method"];
  readonly url: URL;
  /** What is sent whole; undefined for nothing. */
  readonly body: Uint8Array | string | readonly Uint8Array[] | undefined;
}

/** The headers to send along: date, hash of the body, authorization. */
export function signatureHeaders(
  { method, url, body }: Signable,
  { keyId, secret, sessionToken }: AwsCredentials,
  region: string,
  now: Date,
): Record<string, string> {
  const time = now.toISOString().replace(/[-:]|\.\d{3}/g, "");
  const day = time.slice(0, 8);
  const hash = hashOf(body);
  const headers: Record<string, string> = {
    host: url.host,
    "x-amz-content-sha256": hash,
    "x-amz-date": time,
    ...(sessionToken === undefined ? {} : { "x-amz-security-token": sessionToken }),
  };
  const names = Object.keys(headers).sort();
  const canonical = [
    method,
    canonicalPath(url),
    canonicalQuery(url),
    ...names.map((name) => `${name}:${headers[name]}`),
    "",
    names.join(";"),
    hash,
  ].join("\n");
  const scope = `${day}/${region}/s3/aws4_request`;
  const text = ["AWS4-HMAC-SHA256", time, scope, sha256(canonical)].join("\n");
  const key = [region, "s3", "aws4_request"].reduce<Uint8Array>(
    (before, part) => hmac(before, part),
    hmac(`AWS4${secret}`, day),
  );
  const signature = hmac(key, text).toString("hex");
  const { host, ...sent } = headers;
  return {
    ...sent,
    authorization: `AWS4-HMAC-SHA256 Credential=${keyId}/${scope}, SignedHeaders=${names.join(";")}, Signature=${signature}`,
  };
}

function hashOf(body: Signable["body"]): string {
  const hash = createHash("sha256");
  if (typeof body === "string" || body instanceof Uint8Array) hash.update(body);
  else for (const piece of body ?? []) hash.update(piece);
  return hash.digest("hex");
}

/** Each segment encoded once, as S3 alone among AWS's services has it. */
function canonicalPath({ pathname }: URL): string {
  return pathname
    .split("/")
    .map((segment) => encode(decodeURIComponent(segment)))
    .join("/");
}

function canonicalQuery({ searchParams }: URL): string {
  return [...searchParams]
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join("&");
}

/** All but letters, digits and `-._~`. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function hmac(key: string | Uint8Array, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}
