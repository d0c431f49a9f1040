/** Requests to a bucket: where it is, by whose credentials, signed anew on each try, refusals put into words. */

import { createHash, createHmac } from "node:crypto";
import { join } from "node:path";
import { UserError } from "../../domain/errors.ts";
import { readIfThere } from "../../host/disk.ts";
import type { Environment } from "../../host/environment.ts";
import type { Http, HttpRequest, HttpResponse } from "../../host/http-client.ts";

export interface Bucket {
  /** Its root, with a slash at the end. */
  readonly base: URL;
  readonly region: string;
}

const REGION = "us-east-1";
const BUCKET = /^[0-9a-z][0-9a-z.-]{1,61}[0-9a-z]$/;

/**
 * Reads `s3://BUCKET?region=…&endpoint=…&scheme=…&addressing-style=…`, as Nix does: at an endpoint of one's
 * own the bucket stands in the path; at AWS in the host name, unless a dot in it would break the certificate.
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
  const [, protocol = scheme, host = ""] =
    /^(?:(https?):\/\/)?(.*?)\/*$/.exec(endpoint ?? `s3.${region}.amazonaws.com`) ?? [];
  const auto = endpoint === undefined && !bucket.includes(".") ? "virtual" : "path";
  const style = option("addressing-style") ?? "auto";
  const text =
    (style === "auto" ? auto : style) === "virtual"
      ? `${protocol}://${bucket}.${host}/`
      : `${protocol}://${host}/${bucket}/`;
  if (!/^https?:/.test(text) || !URL.canParse(text)) throw bad("its endpoint is not a host");
  return { base: new URL(text), region };
}

export interface AwsCredentials {
  readonly keyId: string;
  readonly secret: string;
  readonly sessionToken: string | undefined;
}

/**
 * The environment's, unless a profile is named; else that profile's of ~/.aws/credentials. Undefined:
 * there are none, and requests go unsigned. Roles of machines and web identities are not asked for:
 * the step that makes credentials of them (aws-actions/configure-aws-credentials) sets the variables.
 */
export async function awsCredentials(
  environment: Environment,
  profile: string | undefined,
): Promise<AwsCredentials | undefined> {
  const keyId = environment["AWS_ACCESS_KEY_ID"];
  const secret = environment["AWS_SECRET_ACCESS_KEY"];
  if (profile === undefined && keyId && secret) {
    return { keyId, secret, sessionToken: environment["AWS_SESSION_TOKEN"] || undefined };
  }
  const file =
    environment["AWS_SHARED_CREDENTIALS_FILE"] ||
    join(environment["HOME"] ?? "/root", ".aws", "credentials");
  const text = await readIfThere(file);
  return text === undefined
    ? undefined
    : fromFile(text, profile ?? (environment["AWS_PROFILE"] || "default"));
}

/** `[profile]` and `name = value` lines. */
function fromFile(text: string, profile: string): AwsCredentials | undefined {
  const found = new Map<string, string>();
  let section = "";
  for (const line of text.split("\n")) {
    const head = /^\s*\[\s*([^\]]+?)\s*\]/.exec(line)?.[1];
    if (head !== undefined) section = head;
    const [, name, value] = /^\s*([a-z_]+)\s*=\s*(\S+)\s*$/.exec(line) ?? [];
    if (section === profile && name && value) found.set(name, value);
  }
  const keyId = found.get("aws_access_key_id");
  const secret = found.get("aws_secret_access_key");
  if (!keyId || !secret) return undefined;
  return { keyId, secret, sessionToken: found.get("aws_session_token") };
}

/**
 * A client whose every request is signed; without credentials it asks as anybody may. Where an answer says
 * that the bucket is in another region, it is asked there, and so is whatever follows.
 */
export function signedHttp(
  http: Http,
  first: string,
  credentials: () => Promise<AwsCredentials | undefined>,
  moved: (region: string) => void = () => undefined,
): Http {
  let region = first;
  const follows = (answer: Parameters<typeof otherRegion>[0]): boolean => {
    const other = otherRegion(answer);
    if (other === undefined || other === region) return false;
    region = other;
    moved(other);
    return true;
  };
  const sign = async (request: HttpRequest): Promise<HttpRequest> => {
    const known = await credentials();
    const url = new URL(inRegion(request.url, first, region));
    if (!known) return { ...request, url };
    // Not every server writes anew what it is asked for before it reckons: it is asked as it is signed.
    url.pathname = canonicalPath(url);
    const { body } = request;
    if (typeof body === "object" && Symbol.asyncIterator in body) {
      throw new Error("S3 takes no bodies of unknown length");
    }
    const { method, headers } = request;
    // The host would refuse a signature that is minutes old: each try has its own.
    const signed = signatureHeaders({ method, url, headers, body }, known, region, new Date());
    return { ...request, url, headers: { ...request.headers, ...signed } };
  };
  return {
    async request(request) {
      const answer = await http.request(await sign(request));
      return follows(answer) ? http.request(await sign(request)) : answer;
    },
    async stream(request) {
      const answer = await http.stream(await sign(request));
      if (!follows(answer)) return answer;
      answer.discard();
      return http.stream(await sign(request));
    },
  };
}

/** AWS has the region in the host's name, too; at an endpoint of one's own it is in the signature alone. */
function inRegion(url: URL, from: string, to: string): URL {
  if (from === to) return url;
  const there = new URL(url);
  there.host = url.host.replace(`s3.${from}.amazonaws.com`, `s3.${to}.amazonaws.com`);
  return there;
}

/** Where the bucket is, said by a server that was asked as if it were elsewhere. */
function otherRegion(answer: {
  readonly status: number;
  readonly headers: HttpResponse["headers"];
  readonly body: unknown;
}): string | undefined {
  const { status, headers, body } = answer;
  if (status !== 301 && status !== 307 && status !== 400 && status !== 403) return undefined;
  const header = headers["x-amz-bucket-region"];
  const text = Buffer.isBuffer(body) ? body.toString("utf8", 0, 4_000) : "";
  const isWrong = status !== 403 || text.includes("AuthorizationHeaderMalformed");
  const said =
    typeof header === "string" ? header : /<Region>([^<]{1,40})<\/Region>/.exec(text)?.[1];
  return isWrong && said !== undefined && /^[0-9a-z-]{1,40}$/.test(said) ? said : undefined;
}

/** What S3 and its kin call credentials that they do not take, with whatever status. */
const REFUSED = new Set([
  "ExpiredToken",
  "InvalidToken",
  "TokenRefreshRequired",
  "InvalidAccessKeyId",
  "SignatureDoesNotMatch",
  "AccessDenied",
]);
const TOO_LATE = new Set(["ExpiredToken", "TokenRefreshRequired"]);

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
      hint: "make it, or correct its name and endpoint",
    });
  }
  if (status === 301 || code === "AuthorizationHeaderMalformed" || code === "PermanentRedirect") {
    const region = headers["x-amz-bucket-region"];
    return new UserError("NCP-304", `${name}: the bucket is in another region (${said})`, {
      hint: `write ?region=${typeof region === "string" ? region : "REGION"} behind its name`,
    });
  }
  if (code !== undefined && TOO_LATE.has(code)) {
    return new UserError("NCP-303", `${name}: the session of our credentials is over (${said})`, {
      hint: "they were good for a time: make new ones shortly before this step (aws-actions/configure-aws-credentials, with a role-duration that the job fits into)",
    });
  }
  if (status !== 401 && status !== 403 && !REFUSED.has(code ?? "")) return undefined;
  return new UserError("NCP-303", `${name} refuses our credentials (${said})`, {
    hint: "give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or token as KEYID:SECRET, with s3:GetObject, s3:PutObject and s3:ListBucket: without the last, S3 says the same of a key that is missing",
  });
}

export interface Signable {
  readonly method: HttpRequest["method"];
  readonly url: URL;
  /** Of these, S3's own (`x-amz-…`) have to be signed, too. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** What is sent whole; undefined for nothing. */
  readonly body: Uint8Array | string | readonly Uint8Array[] | undefined;
}

/** The headers to send along: date, hash of the body, authorization. */
export function signatureHeaders(
  { method, url, headers: given = {}, body }: Signable,
  { keyId, secret, sessionToken }: AwsCredentials,
  region: string,
  now: Date,
): Record<string, string> {
  const time = now.toISOString().replace(/[-:]|\.\d{3}/g, "");
  const day = time.slice(0, 8);
  const hash = hashOf(body);
  const headers: Record<string, string> = {
    ...Object.fromEntries(Object.entries(given).filter(([name]) => name.startsWith("x-amz-"))),
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
