/** Requests to a bucket: where it is, signed anew on each try, refusals put into words. */

import { createHash, createHmac } from "node:crypto";
import { UserError } from "../../domain/errors.ts";
import type { Http, HttpRequest, HttpResponse } from "../../host/http-client.ts";
import type { AwsCredentials } from "./credentials.ts";

export interface Bucket {
  /** Its root, with a slash at the end. */
  readonly base: URL;
  readonly region: string;
}

const REGION = "us-east-1";
const BUCKET = /^[0-9a-z][0-9a-z.-]{1,61}[0-9a-z]$/;

/**
 * Reads `s3://BUCKET?region=…&endpoint=…&scheme=…`, as Nix does: at an endpoint of one's own the bucket
 * stands in the path; at AWS in the host name, unless a dot in it would break the certificate.
 */
export function parseBucket(url: URL, name: string): Bucket {
  const bad = (why: string) =>
    new UserError("NCP-103", `${name}: ${why}`, {
      hint: "write s3://BUCKET?region=REGION, with &endpoint=HOST for storage that is not AWS's",
    });
  const bucket = url.host;
  if (!BUCKET.test(bucket)) throw bad(`"${bucket}" is not the name of a bucket`);
  if (!/^\/?$/.test(url.pathname))
    throw bad("Nix keeps a cache at a bucket's root, not in a folder");
  const option = (key: string) => url.searchParams.get(key) || undefined;
  const region = option("region") ?? REGION;
  if (!/^[0-9a-z-]+$/.test(region)) throw bad(`"${region}" is not a region`);
  const endpoint = option("endpoint");
  const scheme = option("scheme") ?? "https";
  const text =
    endpoint === undefined
      ? bucket.includes(".")
        ? `${scheme}://s3.${region}.amazonaws.com/${bucket}/`
        : `${scheme}://${bucket}.s3.${region}.amazonaws.com/`
      : `${/^https?:\/\//.test(endpoint) ? "" : `${scheme}://`}${endpoint.replace(/\/+$/, "")}/${bucket}/`;
  if (!/^https?:/.test(text) || !URL.canParse(text)) throw bad("its endpoint is not a host");
  return { base: new URL(text), region };
}

/** A client whose every request is signed; without credentials it asks as anybody may. */
export function signedHttp(
  http: Http,
  region: string,
  credentials: () => Promise<AwsCredentials | undefined>,
): Http {
  const sign = async (request: HttpRequest): Promise<HttpRequest> => {
    const known = await credentials();
    if (!known) return request;
    const { body } = request;
    if (typeof body === "object" && Symbol.asyncIterator in body) {
      throw new Error("S3 takes no bodies of unknown length");
    }
    const { method, url } = request;
    // The host would refuse a signature that is minutes old: each try has its own.
    const signed = signatureHeaders({ method, url, body }, known, region, new Date());
    return { ...request, headers: { ...request.headers, ...signed } };
  };
  return {
    request: async (request) => http.request(await sign(request)),
    stream: async (request) => http.stream(await sign(request)),
  };
}

/** What S3 says with its error codes; undefined where it is no error, or only "no such key". */
export function explainS3(name: string, { status, headers, body }: HttpResponse) {
  const code = /<Code>([A-Za-z]{1,60})<\/Code>/.exec(body.toString("utf8", 0, 4_000))?.[1];
  const said = `HTTP ${status}${code ? `, ${code}` : ""}`;
  if (code === "RequestTimeTooSkewed") {
    const theirs = headers.date ? `, and it is ${headers.date} there` : "";
    return new UserError(
      "NCP-332",
      `${name}: this machine's clock is too far off (${said}${theirs})`,
      {
        hint: "set the clock; signed requests are good for some minutes only",
      },
    );
  }
  if (code === "NoSuchBucket") {
    return new UserError("NCP-304", `${name}: there is no such bucket (${said})`, {
      hint: "make it, or mend its name and endpoint",
    });
  }
  if (status === 301 || code === "AuthorizationHeaderMalformed" || code === "PermanentRedirect") {
    const region = headers["x-amz-bucket-region"];
    return new UserError("NCP-304", `${name}: the bucket is in another region (${said})`, {
      hint: `write ?region=${typeof region === "string" ? region : "REGION"} behind its name`,
    });
  }
  if (status !== 401 && status !== 403) return undefined;
  return new UserError("NCP-303", `${name} refuses our credentials (${said})`, {
    hint: "give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or token as KEYID:SECRET, with s3:GetObject, s3:PutObject and s3:ListBucket: without the last, S3 says the same of a key that is missing",
  });
}

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
