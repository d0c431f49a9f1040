import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { HttpClient } from "../../src/host/http-client.ts";
import { newKey } from "../support/keys.ts";
import { openAt } from "../support/open-cache.ts";
import { userError } from "../support/thrown.ts";
import { cacheContract } from "./contract.ts";
import { fileFaults } from "./file-faults.ts";

const key = newKey();

cacheContract(
  "github",
  async () => {
    const directory = await mkdtemp(join(tmpdir(), "ncp-github-"));
    const http = new HttpClient({});
    const open = () => openAt("github", { http, githubDirectory: directory });
    return {
      cache: open(),
      reopen: async () => open(),
      async [Symbol.asyncDispose]() {
        http.close();
        await rm(directory, { recursive: true });
      },
    };
  },
  fileFaults("github", (directory) =>
    openAt("github", { http: new HttpClient({}), githubDirectory: directory, signingKey: key }),
  ),
);

test.each([
  ["on the command line, where there is no such folder", "own", undefined],
  ["as one more cache to read", "substituter", "/folder"],
] as const)("%s it is refused, and says what would be right", (_, role, directory) => {
  const http = new HttpClient({});
  const error = userError(() => openAt("github", { http, githubDirectory: directory, role }));
  http.close();
  expect(error.code).toBe("NCP-103");
  expect(error.hint).toContain("file:///DIRECTORY");
});
