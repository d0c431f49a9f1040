/**
 * Owns Azurite behind the names of Azure's own storage: for those hosts alone, GitHub's client downloads
 * in ranges side by side. Nothing resolves them: the client is told of a proxy, which is here.
 */

import { createHmac } from "node:crypto";
import {
  createServer,
  type IncomingMessage,
  type ServerResponse,
  request as send,
} from "node:http";
import { type AddressInfo, connect } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import { processEnvironment } from "../../src/host/environment.ts";
import { temporaryFolder } from "../support/folder.ts";
import type { BlobStore } from "./github-blobs.ts";
import { findProgram, freePort, startProgram } from "./program.ts";

export interface AzureBlobs extends AsyncDisposable {
  readonly store: BlobStore;
  /** The proxy, for a client's environment. */
  readonly variables: Readonly<Record<string, string>>;
  /** `METHOD` and the range asked for, of every request. */
  readonly requests: readonly string[];
}

/** As ./scripts/setup-servers names it. */
const VERSION = "azurite-3.35.0";
/** The account that every emulator has. Source: Azurite's README. */
const ACCOUNT = "devstoreaccount1";
const KEY =
  "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const HOST = `${ACCOUNT}.blob.core.windows.net`;
const CONTAINER = "cache";

export async function azureBlobs(): Promise<AzureBlobs> {
  const environment = processEnvironment();
  const cache = environment["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
  const bin = join(cache, "nix-cache-preflight/servers", VERSION, "node_modules/.bin");
  const folder = await temporaryFolder();
  const port = await freePort();
  const azurite = await startProgram(
    await findProgram("azurite-blob", [bin]),
    [
      ...["--blobHost", "127.0.0.1", "--blobPort", String(port), "--location", folder.path],
      ...["--skipApiVersionCheck", "--disableTelemetry"],
    ],
    { PATH: environment["PATH"] ?? "", HOME: folder.path },
    async (log) => log.includes("successfully listens"),
  );
  const requests: string[] = [];
  const proxy = await startProxy(port, requests);
  const at = (path: string, may: string, kind: "container" | "object") =>
    `http://${HOST}/${path}?${signature(may, kind)}`;
  const ask = (method: string, url: string) => through(proxy.port, method, url);
  const made = await ask("PUT", `${at(CONTAINER, "c", "container")}&restype=container`);
  if (made.status !== 201) throw new Error(`Azurite makes no container: ${made.status}`);
  requests.length = 0;
  return {
    requests,
    variables: { http_proxy: `http://127.0.0.1:${proxy.port}`, no_proxy: "127.0.0.1" },
    store: {
      url: (_, id, may) => at(`${CONTAINER}/${id}`, may === "read" ? "r" : "cw", "object"),
      answer: async () => ({ status: 404 }),
      async size(id) {
        const { length } = await ask("HEAD", at(`${CONTAINER}/${id}`, "r", "object"));
        return length;
      },
      damage() {
        throw new Error("Azurite's blobs stay whole");
      },
    },
    async [Symbol.asyncDispose]() {
      await proxy.close();
      await azurite[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** Source: https://learn.microsoft.com/rest/api/storageservices/create-account-sas, 2018-11-09. */
function signature(may: string, kind: "container" | "object"): string {
  const until = `${new Date(Date.now() + 3_600_000).toISOString().slice(0, 19)}Z`;
  const [services, version, types] = ["b", "2018-11-09", kind === "container" ? "c" : "o"];
  const text = `${[ACCOUNT, may, services, types, "", until, "", "", version].join("\n")}\n`;
  const sig = createHmac("sha256", Buffer.from(KEY, "base64")).update(text).digest("base64");
  const fields = { sv: version, ss: services, srt: types, sp: may, se: until, sig };
  return new URLSearchParams(fields).toString();
}

/** Whatever host is asked for, Azurite answers, and is told the host. */
async function startProxy(port: number, requests: string[]) {
  const hand = (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url ?? "/", `http://${request.headers.host}`);
    const range = request.headers.range ?? request.headers["x-ms-range"] ?? "";
    requests.push(`${request.method} ${range}`.trim());
    const headers = { ...request.headers, host: HOST };
    const path = `${url.pathname}${url.search}`;
    const options = { host: "127.0.0.1", port, method: request.method, path, headers };
    const sent = send(options, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    sent.on("error", () => response.destroy());
    request.pipe(sent);
  };
  const server = createServer(hand);
  // A tunnel leads back to this server, which so hears what is said in it.
  server.on("connect", (_, socket) => {
    const inner = connect((server.address() as AddressInfo).port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      socket.pipe(inner).pipe(socket);
    });
    for (const one of [socket, inner]) one.on("error", () => inner.destroy());
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((done) => {
        server.close(done);
        server.closeAllConnections();
      }),
  };
}

function through(
  port: number,
  method: string,
  path: string,
): Promise<{ readonly status: number; readonly length: number | undefined }> {
  return new Promise((resolve, reject) => {
    const headers = { host: HOST, "x-ms-version": "2018-11-09", "content-length": "0" };
    const sent = send({ host: "127.0.0.1", port, method, path, headers }, (answer) => {
      const length = answer.headers["content-length"];
      answer.resume().on("end", () =>
        resolve({
          status: answer.statusCode ?? 0,
          length: answer.statusCode === 200 && length !== undefined ? Number(length) : undefined,
        }),
      );
    });
    sent.on("error", reject);
    sent.end();
  });
}
