/** Owns the proof that an entry comes back whole by the way GitHub's client takes with Azure's storage. */

import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import {
  type GithubClientOptions,
  restoreEntries,
  saveEntry,
} from "../../src/caches/github/client.ts";
import { processEnvironment } from "../../src/host/environment.ts";
import { azureBlobs } from "../servers/azurite.ts";
import { startGithubCache } from "../servers/github-cache.ts";
import { temporaryFolder } from "../support/folder.ts";

const SIGNAL = new AbortController().signal;
const PROGRAM = new URL("../../src/github-cache-transfer.ts", import.meta.url);
const PATIENT = { answer: 30_000, stall: 60_000, whole: 90_000 };
/** The client asks for 4 MiB at a time: this makes four ranges, since nothing compresses it. */
const BYTES = 14 * 1024 * 1024;

test("a large entry is saved to Azure's storage, and restored in ranges side by side", async () => {
  await using blobs = await azureBlobs();
  await using server = await startGithubCache(blobs.store);
  await using folder = await temporaryFolder();
  const { PATH = "" } = processEnvironment();
  const runner = async (name: string): Promise<GithubClientOptions> => {
    const directory = folder.at(name);
    await mkdir(directory);
    const environment = { PATH, HOME: folder.path, ...server.variables(), ...blobs.variables };
    return { environment, directory, deadlines: PATIENT, program: PROGRAM };
  };
  const content = randomBytes(BYTES);
  const first = await runner("first");
  await mkdir(join(first.directory, "layer/nar"), { recursive: true });
  await writeFile(join(first.directory, "layer/nar/a"), content);
  expect(await saveEntry({ folder: "layer", key: "k-1" }, first, SIGNAL)).toBeUndefined();
  const second = await runner("second");
  const asked = [{ folder: "layer", key: "k-1", restoreKeys: [] }];
  expect(await restoreEntries(asked, second, SIGNAL)).toEqual({
    keys: ["k-1"],
    trouble: undefined,
  });
  const ranges = blobs.requests.filter((line) => /^GET bytes=/.test(line));
  expect(ranges.length).toBeGreaterThan(3);
  expect(new Set(ranges).size).toBe(ranges.length);
  const restored = await readFile(folder.at("second", "layer/nar/a"));
  expect(restored.equals(content)).toBe(true);
});
