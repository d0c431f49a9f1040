/** Owns addresses where nobody answers, or not as HTTP should: what a mistyped or dead cache is. */

import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer as createTls } from "node:https";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { promisify } from "node:util";
import { temporaryFolder } from "../support/folder.ts";
import { freePort } from "./program.ts";

export interface Nowhere extends AsyncDisposable {
  /** A port nobody listens on. */
  readonly refused: number;
  /** A port where connections are taken and nothing is ever said. */
  readonly silent: number;
  /** A port of HTTPS with a certificate that nobody vouches for. */
  readonly untrusted: number;
}

export async function nowhere(): Promise<Nowhere> {
  const sockets = new Set<Socket>();
  const silent = createServer();
  const untrusted = createTls(await certificate(), (_, response) => response.end("never read"));
  for (const server of [silent, untrusted]) {
    server.on("connection", (socket: Socket) => {
      sockets.add(socket);
      socket.on("error", () => undefined);
    });
  }
  const ports = await Promise.all([silent, untrusted].map(listening));
  return {
    refused: await freePort(),
    silent: ports[0] ?? 0,
    untrusted: ports[1] ?? 0,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await Promise.all([silent, untrusted].map((one) => new Promise((done) => one.close(done))));
    },
  };
}

function listening(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}

async function certificate(): Promise<{ readonly key: Buffer; readonly cert: Buffer }> {
  await using folder = await temporaryFolder();
  const [key, cert] = [folder.at("key.pem"), folder.at("cert.pem")];
  const subject = ["-subj", "/CN=localhost", "-days", "2"];
  const kind = ["-newkey", "rsa:2048", "-nodes"];
  await promisify(execFile)("openssl", [
    ...["req", "-x509", ...kind, ...subject],
    ...["-keyout", key, "-out", cert],
  ]);
  return { key: await readFile(key), cert: await readFile(cert) };
}
