/** Owns requests to a bucket: where it is, signed anew on each try, refusals put into words. */

import { UserError } from "../domain/errors.ts";
import type { AwsCredentials } from "../host/aws-credentials.ts";
import type { Http, HttpRequest, HttpResponse } from "../host/http.ts";
import { signatureHeaders } from "./s3-sign.ts";

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
