/** Owns moto's S3 server on loopback: it knows one user and one bucket, and checks signatures. */

import { homedir } from "node:os";
import { join } from "node:path";
import { processEnvironment } from "../../src/host/environment.ts";
import { findProgram, freePort, startProgram } from "./program.ts";

export interface S3Server extends AsyncDisposable {
  /** `s3://BUCKET?…` of an empty bucket. */
  readonly url: string;
  readonly origin: string;
  readonly keyId: string;
  readonly secret: string;
  /** The same server by another name: a proxy's. */
  urlThrough(host: string): string;
  /** Lets everybody read what is there: Debian's Nix is built without the signing of requests. */
  makePublic(): Promise<void>;
}

/** As ./scripts/setup-servers names it. */
const VERSION = "moto-5.1.22";
const BUCKET = "nix-cache";
/** Requests before which it asks for no credentials: those that make the user. */
const OPEN = 4;

/** `taken as they are`: every request that has a signature counts as the user's. */
export async function s3Server(
  signatures: "checked" | "taken as they are" = "checked",
): Promise<S3Server> {
  const environment = processEnvironment();
  const cache = environment["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
  const folder = join(cache, "nix-cache-preflight", "servers", VERSION, "bin");
  const open = signatures === "checked" ? OPEN : Number.MAX_SAFE_INTEGER;
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const server = await startProgram(
    await findProgram("moto_server", [folder]),
    ["-H", "127.0.0.1", "-p", String(port)],
    { PATH: environment["PATH"] ?? "", INITIAL_NO_AUTH_ACTION_COUNT: String(open) },
    async () => (await fetch(`${origin}/moto-api/`)).ok,
  );
  await iam(origin, { Action: "CreateUser", UserName: "preflight" });
  const made = await iam(origin, { Action: "CreateAccessKey", UserName: "preflight" });
  const rights = { Effect: "Allow", Action: "s3:*", Resource: "*" };
  await iam(origin, {
    Action: "PutUserPolicy",
    UserName: "preflight",
    PolicyName: "all-of-s3",
    PolicyDocument: JSON.stringify({ Version: "2012-10-17", Statement: [rights] }),
  });
  await expectOk(await fetch(`${origin}/${BUCKET}`, { method: "PUT", headers: unsigned("s3") }));
  const urlThrough = (host: string) =>
    `s3://${BUCKET}?region=us-east-1&scheme=http&endpoint=${encodeURIComponent(host)}`;
  return {
    url: urlThrough(`127.0.0.1:${port}`),
    origin,
    keyId: field(made, "AccessKeyId"),
    secret: field(made, "SecretAccessKey"),
    urlThrough,
    async makePublic() {
      const listed = await expectOk(
        await fetch(`${origin}/${BUCKET}`, { headers: unsigned("s3") }),
      );
      for (const [, key = ""] of listed.matchAll(/<Key>([^<]+)<\/Key>/g)) {
        const headers = { ...unsigned("s3"), "x-amz-acl": "public-read" };
        await expectOk(await fetch(`${origin}/${BUCKET}/${key}?acl`, { method: "PUT", headers }));
      }
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function iam(origin: string, call: Readonly<Record<string, string>>): Promise<string> {
  const body = new URLSearchParams({ ...call, Version: "2010-05-08" });
  return expectOk(await fetch(`${origin}/`, { method: "POST", headers: unsigned("iam"), body }));
}

async function expectOk(answer: Response): Promise<string> {
  const text = await answer.text();
  if (!answer.ok) throw new Error(`moto answers ${answer.status}: ${text}`);
  return text;
}

/** The server reads from it which of its services is meant. */
function unsigned(service: string): Record<string, string> {
  const scope = `x/20260101/us-east-1/${service}/aws4_request`;
  return {
    authorization: `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=x`,
  };
}

function field(xml: string, name: string): string {
  const value = new RegExp(`<${name}>([^<]+)</${name}>`).exec(xml)?.[1];
  if (!value) throw new Error(`there is no ${name} in ${xml}`);
  return value;
}
