import { createServer } from "node:https";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { afterEach, expect, test } from "@jest/globals";
import { HttpClient } from "../../src/host/http-client.ts";
import { certificateFor } from "../support/certificate.ts";

const before = getCACertificates("default");
afterEach(() => setDefaultCACertificates(before));

async function server(host: string) {
  const { key, cert } = certificateFor(host);
  let connections = 0;
  const made = createServer({ key, cert }, (request, response) => {
    request.resume().on("end", () => response.end(`${request.method} ${request.url}`));
  });
  made.on("secureConnection", () => {
    connections++;
  });
  made.on("tlsClientError", () => undefined);
  await new Promise<void>((resolve) => made.listen(0, "127.0.0.1", resolve));
  const address = made.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const http = new HttpClient({});
  const { signal } = new AbortController();
  return {
    cert,
    count: () => connections,
    ask: async (body?: string) => {
      const method = body === undefined ? "GET" : "PUT";
      const url = new URL(`https://localhost:${address.port}/x`);
      const request = { method, url, signal, deadline: 10_000 } as const;
      const answer = await http.request(body === undefined ? request : { ...request, body });
      return answer.body.toString();
    },
    async [Symbol.asyncDispose]() {
      http.close();
      made.closeAllConnections();
      await new Promise((resolve) => made.close(resolve));
    },
  };
}

test("a server whose certificate is trusted is asked, and its connection is kept", async () => {
  await using there = await server("localhost");
  setDefaultCACertificates([there.cert]);
  for (let n = 0; n < 4; n++) expect(await there.ask()).toBe("GET /x");
  expect(await there.ask("x".repeat(100_000))).toBe("PUT /x");
  expect(await there.ask()).toBe("GET /x");
  expect(there.count()).toBe(1);
});

test("one whose certificate nobody vouches for is told nothing", async () => {
  await using there = await server("localhost");
  await expect(there.ask()).rejects.toThrow("self-signed certificate");
});

test("one that goes by another name is told nothing", async () => {
  await using there = await server("elsewhere.example");
  setDefaultCACertificates([there.cert]);
  await expect(there.ask()).rejects.toThrow("does not match certificate's altnames");
});
