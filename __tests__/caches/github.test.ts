import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import type { OpenRequest } from "../../src/caches/kind.ts";
import { openCache } from "../../src/caches/register.ts";
import type { BinaryCache } from "../../src/domain/cache.ts";
import { HttpClient } from "../../src/host/http-client.ts";
import { newKey } from "../support/keys.ts";
import { openRequest } from "../support/open-cache.ts";
import { userError } from "../support/thrown.ts";
import { cacheContract } from "./contract.ts";
import { fileFaults } from "./file-faults.ts";

const request = (http: HttpClient, githubDirectory: string | undefined): OpenRequest =>
  openRequest("github", { http, githubDirectory });

const key = newKey();

cacheContract(
  "github",
  async () => {
    const directory = await mkdtemp(join(tmpdir(), "ncp-github-"));
    const http = new HttpClient({});
    const open = (): BinaryCache => {
      const cache = openCache({ kind: "github" }, request(http, directory));
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
  },
  fileFaults((directory) => {
    const given = { http: new HttpClient({}), githubDirectory: directory, signingKey: key };
    const cache = openCache({ kind: "github" }, openRequest("github", given));
    if (!cache) throw new Error("no such kind");
    return cache;
  }),
);

test.each([
  ["on the command line, where there is no such folder", "own", undefined],
  ["as one more cache to read", "substituter", "/folder"],
] as const)("%s it is refused, and says what would be right", (_, role, directory) => {
  const http = new HttpClient({});
  const error = userError(() =>
    openCache({ kind: "github" }, { ...request(http, directory), role }),
  );
  http.close();
  expect(error.code).toBe("NCP-103");
  expect(error.hint).toContain("file:///DIRECTORY");
});
