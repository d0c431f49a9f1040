/** Owns caches that can be written to, each with a valid token, and what of their requests can write. */

import type { Machine } from "../../scripts/machine.ts";
import { startCachix } from "../servers/cachix.ts";
import { generateSecretKey } from "../servers/cachix-state.ts";
import { startGithubCache } from "../servers/github-cache.ts";
import { putServer } from "../servers/put.ts";
import { TOKEN } from "./cachix-job.ts";
import type { Inputs } from "./job.ts";

export interface Wire extends AsyncDisposable {
  readonly inputs: Inputs;
  readonly environment: Readonly<Record<string, string>>;
  /** Every request that can write, since the beginning. */
  writes(): string[];
  /** All of them: a test in which nothing was asked shows nothing. */
  requests(): number;
}

export const WIRES = {
  cachix: async ({ storeDir }: Machine): Promise<Wire> => {
    const server = await startCachix({ storeDir, tokens: { [TOKEN]: "Write" } });
    return {
      inputs: { cache: `cachix:${server.name}?host=${server.origin}`, token: TOKEN },
      environment: {},
      writes: () => server.writes().map(({ method, path }) => `${method} ${path}`),
      requests: () => server.requests.length,
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },
  "http with PUT": async ({ storeDir }: Machine): Promise<Wire> => {
    const server = await putServer();
    server.files.set("/nix-cache-info", Buffer.from(`StoreDir: ${storeDir}\nPriority: 40\n`));
    return {
      inputs: {
        cache: server.origin,
        token: TOKEN,
        "signing-key": generateSecretKey("ours-1"),
      },
      environment: {},
      writes: () => server.requests.filter((line) => !/^(GET|HEAD) /.test(line)),
      requests: () => server.requests.length,
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },
  // Its token may write: it is we who must not.
  github: async (): Promise<Wire> => {
    const server = await startGithubCache();
    const seen: string[] = [];
    const collect = () => {
      seen.push(...server.requests());
      return seen;
    };
    return {
      inputs: { cache: "github" },
      environment: server.variables(),
      // Every question of this protocol is a POST: its name tells whether it writes.
      writes: () => collect().filter((line) => !/^(GetCacheEntryDownloadURL|GET|HEAD) /.test(line)),
      requests: () => collect().length,
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },
} as const;
