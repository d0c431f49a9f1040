/** Owns versitygw on loopback, an S3 server of another house than moto's: one user, one bucket. */

import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { signedHttp } from "../../src/caches/s3/client.ts";
import { processEnvironment } from "../../src/host/environment.ts";
import { HttpClient } from "../../src/host/http-client.ts";
import type { S3Server } from "./moto.ts";
import { findProgram, freePort, startProgram } from "./program.ts";

/** As ./scripts/setup-servers names it. */
const VERSION = "versitygw-1.8.0";
const BUCKET = "nix-cache";
const DEADLINE = 10_000;

/** The program's file; undefined where there was no Go to install it with. */
export async function versitygwProgram(): Promise<string | undefined> {
  const cache = processEnvironment()["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
  const folder = join(cache, "nix-cache-preflight", "servers", VERSION, "bin");
  return findProgram("versitygw", [folder]).catch(() => undefined);
}

export async function versitygw(program: string): Promise<Omit<S3Server, "makePublic">> {
  const folder = await mkdtemp(join(tmpdir(), "ncp-versitygw-"));
  for (const name of ["files", "notes"]) await mkdir(join(folder, name));
  const keyId = "preflight";
  const secret = randomBytes(20).toString("hex");
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const server = await startProgram(
    program,
    // What a file system cannot note beside a file stands in files of its own.
    [
      "--port",
      `127.0.0.1:${port}`,
      "posix",
      "--sidecar",
      join(folder, "notes"),
      join(folder, "files"),
    ],
    {
      PATH: processEnvironment()["PATH"] ?? "",
      ROOT_ACCESS_KEY: keyId,
      ROOT_SECRET_KEY: secret,
    },
    async () => (await fetch(origin)).status < 500,
  );
  const http = new HttpClient({});
  const keys = { keyId, secret, sessionToken: undefined };
  const { status } = await signedHttp(http, "us-east-1", async () => keys).request({
    method: "PUT",
    url: new URL(`${origin}/${BUCKET}`),
    signal: AbortSignal.timeout(DEADLINE),
    deadline: DEADLINE,
  });
  http.close();
  if (status !== 200) throw new Error(`versitygw makes no bucket: ${status}; ${server.log()}`);
  const urlThrough = (host: string) =>
    `s3://${BUCKET}?region=us-east-1&scheme=http&endpoint=${encodeURIComponent(host)}`;
  return {
    url: urlThrough(`127.0.0.1:${port}`),
    origin,
    keyId,
    secret,
    urlThrough,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
