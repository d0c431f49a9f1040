import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openCache } from "../../src/caches/index.ts";
import type { BinaryCache } from "../../src/domain/cache.ts";
import { parseCacheLocation } from "../../src/domain/location.ts";
import { HttpClient } from "../../src/host/http.ts";
import { cacheContract } from "./contract.ts";

for (const compression of ["zstd", "xz", "none"]) {
  cacheContract(`file:// (${compression})`, async () => {
    const directory = await mkdtemp(join(tmpdir(), "ncp-file-"));
    const http = new HttpClient({});
    const open = (): BinaryCache => {
      const text = `file://${directory}?compression=${compression}`;
      const cache = openCache(parseCacheLocation(text), {
        name: text,
        role: "own",
        storeDir: "/nix/store",
        publicKeys: [],
        signatures: "require",
        token: undefined,
        signingKey: undefined,
        http,
      });
      if (!cache) throw new Error("no such kind");
      return cache;
    };
    return {
      cache: open(),
      reopen: async () => open(),
      async [Symbol.asyncDispose]() {
        http.close();
        await rm(directory, { recursive: true });
      },
    };
  });
}
