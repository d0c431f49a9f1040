/** Owns the fault suite of caches that are a folder on this disk: the folder itself is spoilt. */

import { cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { type BinaryCache, can } from "../../src/domain/cache.ts";
import { hashPart } from "../../src/domain/store-path.ts";
import { type Folder, temporaryFolder } from "../support/folder.ts";
import { type FaultSuite, PATH } from "./contract-faults.ts";
import { narsOf } from "./made-up.ts";

/** `open` gives the cache in a folder, which signs and is not trusted for where it is. */
export function fileFaults(
  kind: "file" | "github",
  open: (directory: string) => BinaryCache,
): FaultSuite {
  return {
    kind,
    async start() {
      const folder = await temporaryFolder();
      const good = folder.at("good");
      const cache = open(good);
      if (!can(cache, "push")) throw new Error(`${cache.name} cannot push`);
      const signal = new AbortController().signal;
      await cache.push([PATH.info], narsOf([PATH]), () => undefined, signal);
      let copies = 0;
      return {
        withoutInfo: "not written yet",
        nowhere: async () => open(folder.at("nowhere")),
        async behind(fault) {
          const spoilt = folder.at(`spoilt-${copies++}`);
          await cp(good, spoilt, { recursive: true });
          await spoil(folder, spoilt, fault);
          return open(spoilt);
        },
        [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
      };
    },
  };
}

async function spoil(folder: Folder, directory: string, fault: string): Promise<void> {
  const narInfo = `${directory}/${hashPart(PATH.info.storePath)}.narinfo`;
  const [name = ""] = await readdir(`${directory}/nar`);
  const nar = `${directory}/nar/${name}`;
  const bytes = await readFile(nar);
  if (fault === "404 for nix-cache-info") await rm(`${directory}/nix-cache-info`);
  else if (fault === "HTML instead of narinfo") await writeFile(narInfo, "<!doctype html>");
  else if (fault === "truncated NAR") await writeFile(nar, bytes.subarray(0, bytes.length / 2));
  else if (fault === "wrong hash") {
    const middle = Math.floor(bytes.length / 2);
    bytes[middle] = (bytes[middle] ?? 0) ^ 0xff;
    await writeFile(nar, bytes);
  } else if (fault === "wrong key name") {
    const text = await readFile(narInfo, "utf8");
    await writeFile(narInfo, text.replace(/^Sig: [^:]+:/gm, "Sig: stranger-1:"));
  } else if (fault === "unknown compression") {
    const text = await readFile(narInfo, "utf8");
    await writeFile(narInfo, text.replace(/^Compression: .*/m, "Compression: lz4"));
    await writeFile(nar, Buffer.concat([Buffer.from([0x04, 0x22, 0x4d, 0x18]), bytes.subarray(4)]));
  } else if (fault !== "none") throw new Error(`${folder.path}: ${fault} cannot be`);
}
