import { spawn } from "node:child_process";
import { cp, mkdir, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import {
  formatIndex,
  INDEX_MOST,
  IndexReader,
  indexFile,
  parseIndex,
  prefixesOf,
} from "../../src/caches/index-file.ts";
import { type BinaryCache, can } from "../../src/domain/cache.ts";
import { UserError } from "../../src/domain/errors.ts";
import { parseSigningKey } from "../../src/domain/signature.ts";
import { hashPart } from "../../src/domain/store-path.ts";
import { Lookup } from "../../src/engine/survey/lookup.ts";
import { HttpClient } from "../../src/host/http-client.ts";
import { s3Server } from "../servers/moto.ts";
import { startNginx } from "../servers/nginx.ts";
import { type PutServer, putServer } from "../servers/put.ts";
import { versitygw, versitygwProgram } from "../servers/versitygw.ts";
import { temporaryFolder } from "../support/folder.ts";
import { newSecretKey } from "../support/keys.ts";
import { openAt } from "../support/open-cache.ts";
import { type MadeUp, madeUp, narsOf } from "./made-up.ts";

const signal = new AbortController().signal;
const secretKey = newSecretKey();
const signingKey = parseSigningKey(secretKey);
const http = new HttpClient({});

function many(prefix: string, count: number): MadeUp[] {
  return Array.from({ length: count }, (_, n) => madeUp(`${prefix}-${n}`));
}

async function send(cache: BinaryCache, paths: readonly MadeUp[]): Promise<void> {
  if (!can(cache, "push")) throw new Error("it cannot push");
  const infos = paths.map(({ info }) => info);
  const { failed } = await cache.push(infos, narsOf(paths), () => undefined, signal);
  for (const error of failed.values()) throw error;
}

async function mayHave(cache: BinaryCache, paths: readonly MadeUp[]) {
  if (!cache.mayHave) throw new Error("it has no index");
  const said = new Set<string>();
  for (const { info } of paths) {
    const answer = await cache.mayHave(info.storePath, signal);
    said.add(answer instanceof UserError ? `${answer.code}: ${answer.message}` : answer);
  }
  return [...said].sort();
}

/** Another process, as another job is; its exit code, or the signal that ended it. */
function writer(address: string, prefix: string, count: number, how: "whole" | "killed" = "whole") {
  const file = join(import.meta.dirname, "index-writer.ts");
  const child = spawn(process.execPath, [file, address, prefix, String(count), how], {
    env: { ...WRITER, WRITER_KEY: secretKey },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let words = "";
  child.stderr.on("data", (chunk) => {
    words += chunk;
  });
  return new Promise<string>((resolve) => {
    child.on("close", (code, by) => resolve(code === 0 ? "done" : (by ?? words)));
  });
}
const WRITER: Record<string, string> = {};

const NOT_USED = expect.stringMatching(
  /^NCP-318: .* its index is not used, and every path is asked/,
);

describe("the form of an index", () => {
  const prefixes = prefixesOf(many("form", 1_000).map(({ info }) => hashPart(info.storePath)));
  const file = formatIndex(indexFile("whole", prefixes));

  test("a thousand paths take some four kilobytes, and are read again", () => {
    expect(file.length).toBeLessThan(4_200);
    expect(parseIndex(file)?.prefixes).toEqual(prefixes);
  });

  test.each([
    [
      "one byte of it another",
      (bytes: Buffer) => bytes.writeUInt8(1 ^ bytes.readUInt8(2_000), 2_000),
    ],
    ["a part called whole", (bytes: Buffer) => bytes.write("part ", 28)],
    ["another version", (bytes: Buffer) => bytes.write("2", 26)],
  ])("%s is none", (_, spoil) => {
    const bytes = Buffer.from(file);
    spoil(bytes);
    expect(parseIndex(bytes)).toBeUndefined();
  });

  test("what is cut off, too large, or something else is none", () => {
    expect(parseIndex(file.subarray(0, -4))).toBeUndefined();
    expect(parseIndex(Buffer.from("<html>"))).toBeUndefined();
    expect(parseIndex(new Uint8Array())).toBeUndefined();
    const large = Uint32Array.from({ length: INDEX_MOST / 4 + 1 }, (_, n) => n);
    expect(parseIndex(formatIndex(indexFile("whole", large)))).toBeUndefined();
  });

  test("what was read holds for a minute; what cannot be read says nothing", async () => {
    let now = 0;
    let reads = 0;
    const [first, second] = many("age", 2) as [MadeUp, MadeUp];
    let there = prefixesOf([hashPart(first.info.storePath)]);
    const reader = new IndexReader(
      "shelf",
      async () => {
        reads++;
        if (reads === 3) throw new Error("it does not answer");
        return there;
      },
      () => now,
    );
    const has = ({ info }: MadeUp) => reader.has(info.storePath, signal);
    expect([await has(first), await has(second), reads]).toEqual(["perhaps", "absent", 1]);
    there = prefixesOf([hashPart(second.info.storePath)]);
    now += 61_000;
    expect([await has(first), await has(second), reads]).toEqual(["absent", "perhaps", 2]);
    now += 61_000;
    const why = "shelf: its index is not used, and every path is asked for: it cannot be read";
    const unread = expect.objectContaining({ message: `${why}: it does not answer` });
    expect([await has(first), await has(second), reads]).toEqual([unread, unread, 3]);
  });
});

interface Place extends AsyncDisposable {
  /** With `?index=yes`. */
  readonly address: string;
  open(): BinaryCache;
  /** Without an index: what an older version of ours, or a forgotten workflow, does. */
  openPlain(): BinaryCache;
}

const gateway = await versitygwProgram();
const PLACES: readonly (readonly [string, () => Promise<Place>])[] = [
  [
    "file://",
    async () => {
      const folder = await temporaryFolder();
      const plain = `file://${folder.at("cache")}`;
      const open = (text: string) => openAt(text, { http });
      return {
        address: `${plain}?index=yes`,
        open: () => open(`${plain}?index=yes`),
        openPlain: () => open(plain),
        [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
      };
    },
  ],
  [
    "http:// with ETag",
    async () => {
      const server = await putServer("heeded");
      server.files.clear();
      const open = (text: string) => openAt(text, { http, signingKey });
      return {
        address: `${server.origin}/?index=yes`,
        open: () => open(`${server.origin}/?index=yes`),
        openPlain: () => open(server.origin),
        [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
      };
    },
  ],
  // Moto reckons the signature of a list from what the query means, not from how it is written.
  ["s3:// (moto)", () => bucket(() => s3Server("taken as they are"))],
  ...(gateway === undefined
    ? []
    : ([["s3:// (versitygw)", () => bucket(() => versitygw(gateway))]] as const)),
];

async function bucket(
  start: () => Promise<Omit<Awaited<ReturnType<typeof s3Server>>, "makePublic">>,
): Promise<Place> {
  const at = await start();
  const environment = { AWS_ACCESS_KEY_ID: at.keyId, AWS_SECRET_ACCESS_KEY: at.secret };
  Object.assign(WRITER, environment);
  const open = (text: string) => openAt(text, { http, signingKey, environment });
  return {
    address: `${at.url}&index=yes`,
    open: () => open(`${at.url}&index=yes`),
    openPlain: () => open(at.url),
    [Symbol.asyncDispose]: () => at[Symbol.asyncDispose](),
  };
}

describe.each(PLACES)("an index in %s", (kind, start) => {
  test("names what is there, for another client too, and nothing else", async () => {
    await using place = await start();
    const paths = many("there", 20);
    const others = many("absent", 200);
    const first = place.open();
    await send(first, paths);
    expect(await mayHave(first, paths)).toEqual(["perhaps"]);
    expect(await mayHave(place.open(), paths)).toEqual(["perhaps"]);
    expect(await mayHave(place.open(), others)).toEqual(["absent"]);
    // Read back it is the cache itself that answers.
    const [one] = paths as [MadeUp];
    expect((await place.open().query(one.info.storePath, signal)).kind).toBe("hit");
    // Nix knows no such option, and is handed the address without it.
    expect(place.open().substituter.url).not.toContain("index");
  });

  test("two processes that push at a time both stand in it", async () => {
    await using place = await start();
    await send(place.open(), many("before", 1));
    const count = 12;
    const ends = ["left", "right"].map((prefix) => writer(place.address, prefix, count));
    expect(await Promise.all(ends)).toEqual(["done", "done"]);
    const reader = place.open();
    expect(await mayHave(reader, [...many("left", count), ...many("right", count)])).toEqual([
      "perhaps",
    ]);
    for (const path of many("left", count))
      expect((await reader.query(path.info.storePath, signal)).kind).toBe("hit");
    // An index that swaps fails may be given up; with listed files it is there all the same.
    if (!kind.startsWith("http"))
      expect(await mayHave(reader, many("absent", 50))).toEqual(["absent"]);
  });

  test("a writer that is killed between index and narinfo has named too much, and no more", async () => {
    await using place = await start();
    await send(place.open(), many("before", 1));
    expect(await writer(place.address, "killed", 1, "killed")).toBe("SIGKILL");
    const [path] = many("killed", 1) as [MadeUp];
    const reader = place.open();
    expect(await mayHave(reader, [path])).toEqual(["perhaps"]);
    expect((await reader.query(path.info.storePath, signal)).kind).toBe("miss");
    expect(await mayHave(reader, many("absent", 50))).toEqual(["absent"]);
    await send(place.open(), [path]);
    expect((await reader.query(path.info.storePath, signal)).kind).toBe("hit");
  });

  test("a writer without an index beside it is not seen: the documented limit, which a push does not share", async () => {
    await using place = await start();
    await send(place.open(), many("before", 1));
    const foreign = many("foreign", 1) as [MadeUp];
    await send(place.openPlain(), foreign);
    const cache = place.open();
    const { storePath } = foreign[0].info;
    expect(await mayHave(cache, foreign)).toEqual(["absent"]);
    const lookup = new Lookup([{ cache, role: "own" }], signal);
    expect(await lookup.ask(storePath)).toMatchObject({ own: undefined, how: "by index" });
    expect(await lookup.certain(storePath)).toMatchObject({
      own: { cache: cache.name },
      how: "asked",
    });
    expect(await lookup.ask(storePath)).toMatchObject({ own: { cache: cache.name } });
    const confirming = new Lookup([{ cache, role: "own" }], signal, new Set(), "confirmed");
    expect(await confirming.ask(storePath)).toMatchObject({ own: { cache: cache.name } });
  });
});

describe.each(PLACES.filter(([kind]) => !kind.startsWith("http")))("%s", (_, start) => {
  test("what was there before stands in the index that is begun", async () => {
    await using place = await start();
    const old = many("old", 30);
    await send(place.openPlain(), old);
    // None yet: nothing is known.
    expect(await mayHave(place.open(), many("absent", 5))).toEqual(["perhaps"]);
    await send(place.open(), many("new", 1));
    expect(await mayHave(place.open(), [...old, ...many("new", 1)])).toEqual(["perhaps"]);
    expect(await mayHave(place.open(), many("absent", 50))).toEqual(["absent"]);
  });

  test("after many writers it is a few files, and names them all", async () => {
    await using place = await start();
    for (let n = 0; n < 20; n++) await send(place.open(), many(`run${n}`, 2));
    const all = Array.from({ length: 20 }, (_unused, n) => many(`run${n}`, 2)).flat();
    expect(await mayHave(place.open(), all)).toEqual(["perhaps"]);
    expect(await mayHave(place.open(), many("absent", 50))).toEqual(["absent"]);
  });
});

describe("the files of a file:// index", () => {
  const folderOf = (place: Place) => join(new URL(place.address).pathname, "nix-cache-index");
  const [, start] = PLACES[0] as (typeof PLACES)[number];

  test("stay few: one for each writer, until one is made of them", async () => {
    await using place = await start();
    const cache = place.open();
    for (let n = 0; n < 5; n++) await send(cache, many(`push${n}`, 1));
    expect(await readdir(folderOf(place))).toHaveLength(2);
    for (let n = 0; n < 40; n++) await send(place.open(), many(`run${n}`, 1));
    expect((await readdir(folderOf(place))).length).toBeLessThan(20);
  });

  test.each([
    ["damaged", (file: string) => truncate(file, 150)],
    ["huge", (file: string) => truncate(file, 64 * INDEX_MOST)],
    ["of another version", (file: string) => cp(file, file.replace(/1$/, "2"))],
    ["somebody else's", (file: string) => writeFile(join(file, "..", "README"), "by hand")],
  ])("where one is %s, the cache itself is asked, and a push goes well", async (_, spoil) => {
    await using place = await start();
    await send(place.open(), many("there", 3));
    const [first = ""] = await readdir(folderOf(place));
    await spoil(join(folderOf(place), first));
    const why =
      /^NCP-318: .* its index is not used, .*: nix-cache-index\/\S+ is (damaged|none of its)/;
    const unusable = [expect.stringMatching(why)];
    expect(await mayHave(place.open(), many("absent", 5))).toEqual(unusable);
    await send(place.open(), many("later", 3));
    expect(await mayHave(place.open(), many("absent", 5))).toEqual(unusable);
    // As docs/addresses.md says: without the folder it is begun anew.
    await rm(folderOf(place), { recursive: true });
    await send(place.open(), many("again", 1));
    const all = ["there", "later"].flatMap((prefix) => many(prefix, 3));
    expect(await mayHave(place.open(), all)).toEqual(["perhaps"]);
    expect(await mayHave(place.open(), many("absent", 50))).toEqual(["absent"]);
  });

  test("where they cannot be written nothing is pushed, and the error says so", async () => {
    await using place = await start();
    const directory = new URL(place.address).pathname;
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, "nix-cache-index"), "a file in its place");
    const pushing = send(place.open(), many("not", 1));
    await expect(pushing).rejects.toThrow(UserError);
    await expect(pushing).rejects.toMatchObject({ code: "NCP-315" });
    expect((await readdir(directory)).filter((name) => name.endsWith(".narinfo"))).toEqual([]);
    expect(await readFile(join(directory, "nix-cache-info"), "utf8")).toContain("/nix/store");
  });
});

describe("the one file of an http:// index", () => {
  const open = (server: PutServer) => openAt(`${server.origin}/?index=yes`, { http, signingKey });
  const FILE = "/nix-cache-index/1";
  const fresh = async (conditions: Parameters<typeof putServer>[0]) => {
    const server = await putServer(conditions);
    server.files.clear();
    return server;
  };

  test("5,000 paths in it and 1,000 others asked for: not one narinfo is", async () => {
    await using server = await fresh("heeded");
    const there = many("there", 5_000);
    await send(open(server), many("first", 1));
    const prefixes = prefixesOf(there.map(({ info }) => hashPart(info.storePath)));
    const file = formatIndex(indexFile("whole", prefixes));
    expect(file.length).toBeLessThan(20_300);
    server.files.set(FILE, file);
    server.requests.length = 0;
    const cache = open(server);
    const lookup = new Lookup([{ cache, role: "own" }], signal);
    const answers = await Promise.all(
      many("absent", 1_000).map(({ info }) => lookup.ask(info.storePath)),
    );
    expect(new Set(answers.map(({ how }) => how))).toEqual(new Set(["by index"]));
    expect(server.requests).toEqual([`GET ${FILE} undefined`]);
    expect(lookup.counts.get(cache.name)).toMatchObject({ asked: 0, byIndex: 1_000, hits: 0 });
    // What it names it is asked for, once.
    await lookup.ask((there[0] as MadeUp).info.storePath);
    expect(server.requests).toHaveLength(2);
  });

  test("a server that does not heed If-Match has none, and is pushed to all the same", async () => {
    await using server = await fresh("ignored");
    await send(open(server), many("there", 3));
    expect([...server.files.keys()].filter((name) => name.includes("index"))).toEqual([]);
    expect(await mayHave(open(server), many("absent", 5))).toEqual(["perhaps"]);
  });

  test("nginx, which does not, is left without one", async () => {
    await using nginx = await startNginx("takes PUT");
    const cache = () => openAt(`${nginx.origin}/?index=yes`, { http, signingKey });
    await send(cache(), many("there", 3));
    expect(await mayHave(cache(), many("absent", 5))).toEqual(["perhaps"]);
    const [path] = many("there", 1) as [MadeUp];
    expect((await cache().query(path.info.storePath, signal)).kind).toBe("hit");
    const left = await readdir(join(nginx.directory, "nix-cache-index"));
    expect(left).not.toContain("1");
  });

  test("a cache that was there before has none: what is in it cannot be listed", async () => {
    await using server = await putServer("heeded");
    await send(open(server), many("there", 3));
    expect(server.files.has(FILE)).toBe(false);
  });

  test("where others are always faster it is deleted, and the push goes on", async () => {
    await using server = await fresh("heeded");
    await send(open(server), many("there", 1));
    server.refuse = (path) => (path === FILE ? { status: 412 } : undefined);
    await send(open(server), many("later", 1));
    expect(server.files.has(FILE)).toBe(false);
    expect(server.requests.filter((line) => line.startsWith(`PUT ${FILE}`))).toHaveLength(
      2 + 1 + 3,
    );
    expect(await mayHave(open(server), many("later", 1))).toEqual(["perhaps"]);
  });

  test.each([
    ["damaged", (server: PutServer) => server.files.set(FILE, Buffer.from("nothing"))],
    ["huge", (server: PutServer) => server.files.set(FILE, Buffer.alloc(INDEX_MOST + 1_000))],
  ])("one that is %s is not believed, and the next push deletes it", async (_, spoil) => {
    await using server = await fresh("heeded");
    await send(open(server), many("there", 1));
    spoil(server);
    expect(await mayHave(open(server), many("absent", 5))).toEqual([NOT_USED]);
    await send(open(server), many("later", 1));
    expect(server.files.has(FILE)).toBe(false);
  });

  test("one that a cache on the way has kept is not believed, and the next push deletes it", async () => {
    await using server = await fresh("heeded");
    await send(open(server), many("there", 1));
    const body = server.files.get(FILE) as Buffer;
    await send(open(server), many("later", 1));
    const stale = { status: 200, headers: { etag: '"kept"', age: "300" }, body };
    server.spoil = (method, path) => (method === "GET" && path === FILE ? stale : undefined);
    expect(await mayHave(open(server), many("later", 1))).toEqual([NOT_USED]);
    // That there is none is kept as well: a writer that believed it would name nothing.
    const none = { status: 404, headers: { age: "20" } };
    server.spoil = (method, path) => (method === "GET" && path === FILE ? none : undefined);
    await send(open(server), many("last", 1));
    expect(server.files.has(FILE)).toBe(false);
  });

  test("where it can be neither changed nor deleted nothing is pushed", async () => {
    await using server = await fresh("heeded");
    await send(open(server), many("there", 1));
    server.spoil = (method, path) =>
      path === FILE && method !== "GET" ? { status: 403 } : undefined;
    const before = [...server.files.keys()].sort();
    const pushing = send(open(server), many("later", 1));
    await expect(pushing).rejects.toMatchObject({ code: "NCP-316" });
    expect([...server.files.keys()].sort()).toEqual(before);
  });

  test("one that another writer began before the cache was made is not called whole", async () => {
    await using server = await fresh("heeded");
    // The cache is made by somebody else just after it was looked at.
    server.refuse = (path) => {
      if (path === FILE) server.files.set("/nix-cache-info", Buffer.from("StoreDir: /nix/store\n"));
      return undefined;
    };
    await send(open(server), many("there", 1));
    expect(server.files.has(FILE)).toBe(false);
    expect(await mayHave(open(server), many("absent", 5))).toEqual(["perhaps"]);
  });
});
