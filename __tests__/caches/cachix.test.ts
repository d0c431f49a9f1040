import { expect, test } from "@jest/globals";
import type { Http } from "../../src/host/http-client.ts";
import { startCachix } from "../servers/cachix.ts";
import { generateSecretKey } from "../servers/cachix-state.ts";
import { openAt, SHORT } from "../support/open-cache.ts";
import { Client, TOKEN } from "./cachix-client.ts";
import { transact } from "./cachix-transaction.ts";
import { cacheContract } from "./contract.ts";
import { WIRES } from "./contract-faults.ts";
import { httpFaults } from "./http-faults.ts";
import { madeUp } from "./made-up.ts";

const secret = generateSecretKey("mycache.cachix.org-1");

cacheContract("cachix: (zstd, signed by the server)", () => subject({}), {
  kind: "cachix",
  wires: WIRES,
  start: async (wire) => {
    const server = await startCachix({ tokens: { [TOKEN]: "Write" } });
    return httpFaults(
      {
        origin: server.origin,
        withoutInfo: "known from elsewhere",
        open: (origin, http) =>
          openAt(`cachix:${server.name}?host=${origin}`, { http, token: TOKEN }, SHORT),
        end: () => server[Symbol.asyncDispose](),
      },
      wire,
    );
  },
});
cacheContract("cachix: (xz, redirects off)", () =>
  subject({ preferredCompression: "xz", narDelivery: "direct" }),
);
cacheContract("cachix: (private, signed by us)", () =>
  subject({ isPrivate: true, selfSignedBy: secret }, secret),
);
// As iglu-sh/cache and others answer.
cacheContract("cachix: (another server: no padding, no word of rights)", () =>
  subject({ base64: "unpadded", saysPermission: "unsaid" }),
);

async function subject(options: Parameters<typeof startCachix>[0], signingKey?: string) {
  const server = await startCachix({ tokens: { [TOKEN]: "Write" }, ...options });
  const clients: Client[] = [];
  const open = () => {
    const client = new Client(server, signingKey === undefined ? {} : { signingKey });
    clients.push(client);
    return client.cache;
  };
  return {
    cache: open(),
    reopen: async () => open(),
    async [Symbol.asyncDispose]() {
      for (const client of clients) client[Symbol.dispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

test("a completion may take ten minutes, as Cachix's own client lets it", async () => {
  await using server = await startCachix({ tokens: { [TOKEN]: "Write" } });
  const path = madeUp("subject");
  let completions = 0;
  // A clock of its own: so long it takes, and who waits less has gone by then.
  const takes = 595_000;
  const around = (http: Http): Http => ({
    stream: (request) => http.stream(request),
    request: async (request) => {
      const { deadline, url } = request;
      if (url.pathname.endsWith("/complete")) {
        completions++;
        if (deadline < takes) throw new Error(`no answer within ${deadline / 1000} s`);
      }
      return http.request(request);
    },
  });
  expect(await transact(server, [path], { around })).toMatchObject({ outcome: "verified" });
  expect(completions).toBe(1);
});
