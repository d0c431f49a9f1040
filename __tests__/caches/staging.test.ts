import { randomBytes } from "node:crypto";
import { access, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { staging } from "../../src/caches/staging.ts";
import type { NarInfo } from "../../src/domain/narinfo.ts";
import { parseNarInfo } from "../../src/domain/narinfo.ts";
import type { Log } from "../../src/domain/ports.ts";
import { hashPart } from "../../src/domain/store-path.ts";
import { HttpClient } from "../../src/host/http-client.ts";
import { fileServer } from "../servers/files.ts";
import { openAt } from "../support/open-cache.ts";
import { madeUp } from "./made-up.ts";

const signal = new AbortController().signal;
const quiet: Log = { group() {}, endGroup() {}, info() {}, debug() {} };
const SIGNATURES = ["one-1:AAAA", "two-1:BBBB"];
const LARGE = 33 * 1024 * 1024;

async function site(ranges: "served" | "ignored" = "served") {
  const root = await mkdtemp(join(tmpdir(), "ncp-staging-"));
  const far = join(root, "far");
  await mkdir(join(far, "nar"), { recursive: true });
  const server = await fileServer(far, { ranges });
  const http = new HttpClient({});
  const cache = openAt(server.origin, { http, role: "substituter" });
  const folder = join(root, "near");
  return {
    server,
    folder,
    staging: staging(folder, "/nix/store", 1024 ** 3, quiet),
    /** A path of the far cache; without `content` its NAR is gone. */
    async member(name: string, content: Buffer | undefined, size = content?.length ?? 1) {
      const { info } = madeUp(name);
      const url = `nar/${name}.nar.xz`;
      if (content) await writeFile(join(far, url), content);
      const narInfo: NarInfo = {
        ...info,
        deriver: undefined,
        url,
        compression: "xz",
        fileHash: undefined,
        fileSize: size,
        signatures: SIGNATURES,
        contentAddress: undefined,
      };
      return { narInfo, cache };
    },
    async [Symbol.asyncDispose]() {
      http.close();
      await server[Symbol.asyncDispose]();
      await rm(root, { recursive: true });
    },
  };
}

function directoryOf(url: string): string {
  return decodeURI(url.slice("file://".length));
}

test("NARs and narinfos arrive as they were, signatures too; disposing frees the disk", async () => {
  await using at = await site();
  const content = randomBytes(5_000);
  const member = await at.member("small", content);
  const staged = await at.staging.stage([member], signal);
  const directory = directoryOf(staged.url);
  expect(staged.paths).toEqual([member.narInfo.storePath]);
  const file = join(directory, `${hashPart(member.narInfo.storePath)}.narinfo`);
  const near = parseNarInfo(await readFile(file, "utf8"), file, "/nix/store");
  expect({ ...near, url: member.narInfo.url }).toEqual(member.narInfo);
  expect((await readFile(join(directory, near.url))).equals(content)).toBe(true);
  expect(staged.url).not.toContain("trusted");
  await staged[Symbol.asyncDispose]();
  await expect(access(directory)).rejects.toThrow("ENOENT");
});

test("what does not arrive is left out, and the others are there", async () => {
  await using at = await site();
  const members = [await at.member("there", randomBytes(10)), await at.member("gone", undefined)];
  await using staged = await at.staging.stage(members, signal);
  expect(staged.paths).toEqual([members[0]?.narInfo.storePath]);
});

test("a large NAR comes in ranges, and is the same bytes", async () => {
  await using at = await site();
  const content = randomBytes(LARGE);
  await using staged = await at.staging.stage([await at.member("large", content)], signal);
  expect(staged.paths).toHaveLength(1);
  expect(at.server.requests.filter((line) => line.includes("bytes="))).toHaveLength(4);
  const [nar = ""] = await readdir(join(directoryOf(staged.url), "nar"));
  const near = await readFile(join(directoryOf(staged.url), "nar", nar));
  expect(near.equals(content)).toBe(true);
});

test.each([
  ["a server that ignores ranges", "ignored", 0],
  ["a NAR that is shorter than its narinfo says", "served", 7],
] as const)("%s: a large NAR is left to Nix", async (_, ranges, missing) => {
  await using at = await site(ranges);
  const content = Buffer.alloc(LARGE - missing);
  await using staged = await at.staging.stage([await at.member("large", content, LARGE)], signal);
  expect(staged.paths).toEqual([]);
});

test("an interrupted run leaves nothing behind", async () => {
  await using at = await site();
  at.server.instead = () => "hang";
  const controller = new AbortController();
  const staging = at.staging.stage([await at.member("slow", randomBytes(10))], controller.signal);
  while (at.server.requests.length === 0) await new Promise((done) => setImmediate(done));
  controller.abort(new Error("enough"));
  await expect(staging).rejects.toThrow("enough");
  expect(await readdir(at.folder)).toEqual([]);
});
