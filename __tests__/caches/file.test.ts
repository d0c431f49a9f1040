import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { HttpClient } from "../../src/host/http-client.ts";
import { temporaryFolder } from "../support/folder.ts";
import { newKey } from "../support/keys.ts";
import { openAt } from "../support/open-cache.ts";
import { cacheContract } from "./contract.ts";
import { fileFaults } from "./file-faults.ts";

const key = newKey();
const faults = fileFaults("file", (directory) =>
  openAt(`file://${directory}`, { http: new HttpClient({}), signingKey: key }),
);

for (const compression of ["zstd", "xz", "none"]) {
  cacheContract(
    `file:// (${compression})`,
    async () => {
      const directory = await mkdtemp(join(tmpdir(), "ncp-file-"));
      const http = new HttpClient({});
      const open = () => openAt(`file://${directory}?compression=${compression}`, { http });
      return {
        cache: open(),
        reopen: async () => open(),
        async [Symbol.asyncDispose]() {
          http.close();
          await rm(directory, { recursive: true });
        },
      };
    },
    compression === "zstd" ? faults : undefined,
  );
}

test("a folder that cannot be made is told before anything is built", async () => {
  await using folder = await temporaryFolder();
  await folder.write("a-file", "");
  const http = new HttpClient({});
  for (const [directory, code] of [
    [folder.at("a-file/below"), "NCP-303"],
    [folder.at("new/below"), undefined],
  ] as const) {
    const cache = openAt(`file://${directory}`, { http });
    expect((await cache.mayPush?.(new AbortController().signal))?.code).toBe(code);
  }
  http.close();
});
