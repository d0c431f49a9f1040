import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import {
  contentOf,
  layOut,
  namesIn,
  reachedFrom,
  takeIn,
} from "../../src/caches/github/content.ts";
import { fingerprint, formatNarInfo, type NarInfo } from "../../src/domain/narinfo.ts";
import { baseName, hashPart, type StorePath } from "../../src/domain/store-path.ts";
import { narInfo } from "../support/graph.ts";
import { newKey } from "../support/keys.ts";
import { STORE, storePath } from "../support/paths.ts";

const LEAF = storePath("leaf");
const TOP = storePath("top");
const OTHER = storePath("other");

interface Folders extends AsyncDisposable {
  readonly cache: string;
  readonly entry: string;
}

async function folders(): Promise<Folders> {
  const root = await mkdtemp(join(tmpdir(), "ncp-content-"));
  return {
    cache: join(root, "cache"),
    entry: join(root, "entry"),
    [Symbol.asyncDispose]: () => rm(root, { recursive: true }),
  };
}

async function hold(folder: string, ...infos: readonly NarInfo[]): Promise<void> {
  await mkdir(join(folder, "nar"), { recursive: true });
  await mkdir(join(folder, "memos"), { recursive: true });
  await writeFile(join(folder, "nix-cache-info"), `StoreDir: ${STORE}\n`);
  for (const info of infos) {
    await writeFile(join(folder, `${hashPart(info.storePath)}.narinfo`), formatNarInfo(info));
    await writeFile(join(folder, info.url), `NAR of ${info.storePath}`);
  }
}

const holding = (storePath: StorePath, references: readonly StorePath[] = []): NarInfo => ({
  ...narInfo(storePath, references),
  url: `nar/${hashPart(storePath)}.nar.zst`,
});

describe("the files of our cache", () => {
  test("what was restored joins what is there", async () => {
    await using at = await folders();
    await hold(at.cache, holding(OTHER));
    await hold(at.entry, holding(LEAF), holding(TOP, [LEAF]));
    await writeFile(join(at.entry, "memos", "key"), "record");
    expect(await takeIn(at.entry, at.cache, STORE, undefined)).toEqual({
      held: new Set([LEAF, TOP].map(hashPart)),
      contradicting: [],
      unsigned: 0,
    });
    expect(await namesIn(at.cache)).toEqual(new Set([LEAF, TOP, OTHER].map(hashPart)));
    expect(await readFile(join(at.cache, "memos", "key"), "utf8")).toBe("record");
    expect([...(await contentOf(at.cache, STORE)).keys()].sort()).toEqual(
      [LEAF, TOP, OTHER].sort(),
    );
  });

  test("a link or a folder in a file's place does not come along", async () => {
    await using at = await folders();
    await hold(at.entry, holding(LEAF));
    await symlink("/etc/passwd", join(at.entry, "nar", "link"));
    await symlink("/etc/passwd", join(at.entry, `${hashPart(TOP)}.narinfo`));
    await mkdir(join(at.entry, "memos", "folder"));
    await takeIn(at.entry, at.cache, STORE, undefined);
    expect(await namesIn(at.cache)).toEqual(new Set([hashPart(LEAF)]));
    expect(await readdir(join(at.cache, "nar"))).toEqual([`${hashPart(LEAF)}.nar.zst`]);
    expect(await readdir(join(at.cache, "memos"))).toEqual([]);
  });

  test("a later layer replaces nothing that an earlier one gave", async () => {
    await using at = await folders();
    const evil = { ...holding(LEAF), narHash: narInfo(OTHER).narHash, url: "nar/evil.nar" };
    await hold(at.cache, holding(LEAF), holding(TOP, [LEAF]));
    await hold(at.entry, evil, holding(OTHER), holding(TOP, [LEAF]));
    // Its NAR under the name that another path's has here.
    await writeFile(join(at.entry, holding(TOP).url), "other bytes");
    await writeFile(join(at.entry, "nix-cache-info"), "StoreDir: /elsewhere\n");
    expect(await takeIn(at.entry, at.cache, STORE, undefined)).toEqual({
      held: new Set([OTHER, TOP].map(hashPart)),
      contradicting: ["leaf"],
      unsigned: 0,
    });
    const content = await contentOf(at.cache, STORE);
    expect(content.get(LEAF)?.narHash).toEqual(holding(LEAF).narHash);
    expect(await readFile(join(at.cache, holding(TOP).url), "utf8")).toBe(`NAR of ${TOP}`);
    expect(await readFile(join(at.cache, "nix-cache-info"), "utf8")).toContain(STORE);
  });

  test("where there is a signer, only what it signed comes along", async () => {
    await using at = await folders();
    const [ours, theirs] = [newKey("ours-1"), newKey("theirs-1")];
    const signed = (info: NarInfo, key: typeof ours): NarInfo => ({
      ...info,
      signatures: [key.sign(fingerprint(info))],
    });
    const forged = { ...signed(holding(OTHER), ours), narHash: narInfo(LEAF).narHash };
    const bare = { ...holding(storePath("bare")), signatures: [] };
    await hold(at.entry, signed(holding(LEAF), ours), signed(holding(TOP), theirs), forged, bare);
    expect(await takeIn(at.entry, at.cache, STORE, ours.publicKey)).toEqual({
      held: new Set([hashPart(LEAF)]),
      contradicting: [],
      unsigned: 3,
    });
    expect(await namesIn(at.cache)).toEqual(new Set([hashPart(LEAF)]));
  });

  test("a narinfo that cannot be read, or is another path's, is no content", async () => {
    await using at = await folders();
    await hold(at.cache, holding(LEAF));
    await writeFile(join(at.cache, `${hashPart(TOP)}.narinfo`), "half of one");
    await writeFile(join(at.cache, `${hashPart(OTHER)}.narinfo`), formatNarInfo(holding(LEAF)));
    expect([...(await contentOf(at.cache, STORE)).keys()]).toEqual([LEAF]);
  });

  test("a layer is a cache of its own, without paths whose NAR is gone", async () => {
    await using at = await folders();
    await hold(at.cache, holding(LEAF), holding(TOP, [LEAF]), holding(OTHER));
    await rm(join(at.cache, holding(TOP).url));
    const content = await contentOf(at.cache, STORE);
    const wanted = [...content.values()].filter(({ storePath }) => storePath !== OTHER);
    await layOut(at.entry, at.cache, wanted);
    expect([...(await contentOf(at.entry, STORE)).keys()]).toEqual([LEAF]);
    expect(await readdir(join(at.entry, "nar"))).toEqual([`${hashPart(LEAF)}.nar.zst`]);
    expect(await readFile(join(at.entry, "nix-cache-info"), "utf8")).toContain(STORE);
  });

  test("realisations go with the paths that they lead to; where entries are signed, with none", async () => {
    await using at = await folders();
    const key = newKey();
    const info = holding(LEAF);
    const signed = { ...info, signatures: [key.sign(fingerprint(info))] };
    await hold(at.cache, signed, holding(OTHER));
    const [mine, others, odd] = ["1", "2", "x"].map(
      (digit) => `sha256:${digit.repeat(64)}!out.doi`,
    );
    const leading = (path: StorePath) => JSON.stringify({ outPath: baseName(path) });
    await mkdir(join(at.cache, "realisations"));
    for (const [name, path] of [
      [mine, LEAF],
      [others, OTHER],
      [odd, LEAF],
    ] as const) {
      await writeFile(join(at.cache, "realisations", name ?? ""), leading(path));
    }
    const taken = async (signer: Parameters<typeof takeIn>[3]) => {
      await layOut(at.entry, at.cache, [signed]);
      expect(await readdir(join(at.entry, "realisations"))).toEqual([mine]);
      const fresh = join(at.entry, "..", `fresh-${signer?.name ?? "of nobody"}`);
      await takeIn(at.entry, fresh, STORE, signer);
      expect([...(await contentOf(fresh, STORE)).keys()]).toEqual([LEAF]);
      return readdir(join(fresh, "realisations"));
    };
    expect(await taken(undefined)).toEqual([mine]);
    expect(await taken(key.publicKey)).toEqual([]);
  });

  test("roots reach what they refer to, and a derivation what it made", () => {
    const made = { ...holding(OTHER), deriver: "0000-other.drv" };
    const content = new Map(
      [holding(LEAF), holding(TOP, [LEAF, TOP]), made].map((one) => [one.storePath, one]),
    );
    expect(reachedFrom(content, (one) => one === TOP)).toEqual(new Set([TOP, LEAF]));
    expect(reachedFrom(content, (one) => one === LEAF)).toEqual(new Set([LEAF]));
    expect(reachedFrom(content, (_, deriver) => deriver === "0000-other.drv")).toEqual(
      new Set([OTHER]),
    );
    expect(reachedFrom(content, (one) => baseName(one) === "nothing")).toEqual(new Set());
  });
});
