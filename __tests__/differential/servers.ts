/** Owns how servers answer: encodings, refusals, redirects; and paths that vouch for themselves. */

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, normalize } from "node:path";
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { nixReading } from "../../src/caches/accept.ts";
import { storePathOf } from "../../src/domain/content-address.ts";
import { encodeNix32 } from "../../src/domain/hash.ts";
import type { StorePath } from "../../src/domain/store-path.ts";
import { type LoopbackServer, listen, type Reply } from "../servers/http.ts";
import { type Chance, chance } from "../support/fuzz.ts";
import { newKey } from "../support/keys.ts";
import { openAt } from "../support/open-cache.ts";
import type { Comparison } from "./difference.ts";
import { type Court, presenceOf, realisedAlone } from "./judges.ts";
import {
  type MadeUp,
  madeUp,
  narInfoText,
  narOf,
  sha256,
  withPath,
  writeCache,
} from "./made-up.ts";

export interface ServerWorld {
  readonly what: string;
  readonly made: MadeUp;
  readonly address: string | undefined;
  readonly signed: "signed" | "not signed";
  readonly at: string;
}

type Manner = (body: Buffer | undefined, path: string) => Reply;

const plain: Manner = (body) => (body ? { status: 200, body } : { status: 404 });
const encoded =
  (name: string, pack: (body: Buffer) => Buffer): Manner =>
  (body) =>
    body
      ? { status: 200, body: pack(body), headers: { "content-encoding": name } }
      : { status: 404 };
const absent =
  (status: number): Manner =>
  (body) =>
    body ? { status: 200, body } : { status };

/** How one of them answers, of what is there and of what is not. */
const MANNERS: Readonly<Record<string, Manner>> = {
  plainly: plain,
  "in gzip": encoded("gzip", gzipSync),
  "in x-gzip": encoded("x-gzip", gzipSync),
  "in br": encoded("br", brotliCompressSync),
  "in deflate": encoded("deflate", deflateSync),
  "in zstd": encoded("zstd", zstdCompressSync),
  "as identity": encoded("identity", (body) => body),
  "with 403 of what it lacks": absent(403),
  "with 410 of what it lacks": absent(410),
  "as a text": (body) =>
    body ? { status: 200, body, headers: { "content-type": "text/html" } } : { status: 404 },
  "in pieces": (body) => (body ? { status: 200, body, length: "untold" } : { status: 404 }),
};

/** What of a cache is answered so; the rest plainly. */
const PARTS: Readonly<Record<string, RegExp>> = {
  narinfos: /\.narinfo$/,
  NARs: /\/nar\//,
  "all but nix-cache-info": /\.narinfo$|\/nar\//,
};

/** What vouches for a path, by its content. */
const ADDRESSES: Readonly<
  Record<string, (nar: Buffer, contents: Buffer) => [string, string, string]>
> = {
  "fixed:r:sha256": (nar) => ["source", sha256(nar).toString("hex"), encodeNix32(sha256(nar))],
  "fixed:sha256": (_, contents) => {
    const inner = `fixed:out:sha256:${sha256(contents).toString("hex")}:`;
    return ["output:out", sha256(inner).toString("hex"), encodeNix32(sha256(contents))];
  },
  "text:sha256": (_, contents) => [
    "text",
    sha256(contents).toString("hex"),
    encodeNix32(sha256(contents)),
  ],
};

/** Addresses are `ORIGIN/MANNER/PART/…`, of their places in the lists above. */
export function serveByManner(court: Court): Promise<LoopbackServer> {
  return listen(async ({ url = "/" }) => {
    const path = decodeURIComponent(new URL(url, "http://server").pathname);
    const [, manner = "0", part = "0", ...rest] = path.split("/");
    const file = join(court.folder, normalize(`servers/${rest.join("/")}`));
    const body = await readFile(file).catch(() => undefined);
    const pattern = Object.values(PARTS)[Number(part)];
    const how = Object.values(MANNERS)[Number(manner)] ?? plain;
    return (pattern?.test(path) ? how : plain)(body, path);
  });
}

export function servers(court: Court, origin: string): Comparison<ServerWorld> {
  const { storeDir } = court.machine;
  const key = newKey("k-1");
  let number = 0;
  const once = chance(23);
  const manners = Object.keys(MANNERS);
  const parts = Object.keys(PARTS);
  const create = (manner: number, part: number, next: Chance, there: "there" | "not there") => {
    const made = madeUp(storeDir, next, "path", [], next(2) ? "zstd" : "none");
    return {
      what: `${parts[part]} ${manners[manner]}, ${there}`,
      made,
      address: undefined,
      signed: "signed" as const,
      at: `${manner}/${part}/${number++}${there === "there" ? "" : "-lacks"}`,
    };
  };
  const addressed = (
    name: string,
    fits: "fits" | "of other bytes" | "of another way",
    signed: ServerWorld["signed"],
    next: Chance,
  ): ServerWorld => {
    const contents = Buffer.from(`content ${next(1_000_000)} ${number}`);
    const nar = narOf(contents);
    const [type, sum, said] = ADDRESSES[name]?.(nar, contents) ?? ["", "", ""];
    const path = storePathOf(type, `sha256:${sum}`, storeDir, "addressed") as StorePath;
    const told = fits === "of other bytes" ? encodeNix32(sha256(`${said}x`)) : said;
    const way =
      fits === "of another way" ? (name === "text:sha256" ? "fixed:sha256" : "text:sha256") : name;
    return {
      what: `CA ${name} that is ${fits}, ${signed}`,
      made: withPath(path, nar, []),
      address: `${way}:${told}`,
      signed,
      at: `0/0/${number++}`,
    };
  };
  const all: ServerWorld[] = [
    ...manners.flatMap((_, manner) =>
      parts.flatMap((__, part) => [
        create(manner, part, once, "there"),
        ...(part === 1 ? [] : [create(manner, part, once, "not there")]),
      ]),
    ),
    ...Object.keys(ADDRESSES).flatMap((name) =>
      (["fits", "of other bytes", "of another way"] as const).flatMap((fits) =>
        (["signed", "not signed"] as const).map((signed) => addressed(name, fits, signed, once)),
      ),
    ),
  ];
  const urlOf = ({ at }: ServerWorld) => `${origin}/${at}`;
  const trusted = `trusted-public-keys = ${key.publicKey.text}`;
  return {
    name: "servers",
    usual: 0,
    share: 0,
    always: all,
    make() {
      throw new Error("chance makes none of these");
    },
    async prepare(worlds) {
      for (const { made, address, signed, at } of worlds) {
        const directory = join(court.folder, "servers", at.replace(/^\d+\/\d+\//, ""));
        const text = narInfoText(made, signed === "signed" ? key : undefined);
        const whole = address === undefined ? text : `${text}CA: ${address}\n`;
        await mkdir(directory, { recursive: true });
        if (at.endsWith("-lacks"))
          await writeFile(join(directory, "nix-cache-info"), `StoreDir: ${storeDir}\n`);
        else await writeCache({ directory, storeDir }, [{ made, text: whole }]);
      }
    },
    async nix(world) {
      const settings = `substituters = ${urlOf(world)}\n${trusted}`;
      return realisedAlone(await court.run("nix-store", ["--realise", world.made.path], settings));
    },
    async ours(world) {
      const cache = openAt(urlOf(world), {
        role: "substituter",
        reading: nixReading(`2.${court.minor}`),
        storeDir,
        publicKeys: [key.publicKey],
        http: court.http,
      });
      await cache.describe(AbortSignal.timeout(60_000));
      return presenceOf(cache, world.made.path);
    },
  };
}
