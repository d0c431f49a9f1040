/** Owns nix-cache-info as people and servers write it: is the cache read, and before or after another one? */

import { join } from "node:path";
import { UserError } from "../../src/domain/errors.ts";
import { describeSubstituters } from "../../src/engine/survey/substituters.ts";
import { type Chance, chance } from "../support/fuzz.ts";
import { newKey } from "../support/keys.ts";
import { openAt } from "../support/open-cache.ts";
import type { Comparison } from "./difference.ts";
import type { Court } from "./judges.ts";
import { type MadeUp, madeUp, narInfoText, writeCache } from "./made-up.ts";

export interface CacheInfoWorld {
  readonly what: string;
  readonly text: string;
  readonly made: MadeUp;
  readonly at: string;
  /** How its address is written. */
  readonly scheme: "http" | "file";
}

/** Texts about a store `S`; the other cache has `Priority: 30`. */
const TEXTS: Readonly<Record<string, string>> = {
  "as Nix writes it": "StoreDir: S\n",
  "as cache.nixos.org has it": "StoreDir: S\nWantMassQuery: 1\nPriority: 40\n",
  nothing: "",
  "no StoreDir": "WantMassQuery: 1\nPriority: 40\n",
  "a lower priority": "StoreDir: S\nPriority: 10\n",
  "an equal priority": "StoreDir: S\nPriority: 30\n",
  "a priority of 0": "StoreDir: S\nPriority: 0\n",
  "a negative priority": "StoreDir: S\nPriority: -5\n",
  "a priority with a plus": "StoreDir: S\nPriority: +40\n",
  "an empty priority": "StoreDir: S\nPriority: \n",
  "a priority in words": "StoreDir: S\nPriority: low\n",
  "a priority with a point": "StoreDir: S\nPriority: 40.5\n",
  "a priority behind a number": "StoreDir: S\nPriority: 40 # ours\n",
  "a priority in hex": "StoreDir: S\nPriority: 0x40\n",
  "a priority beyond 32 bits": "StoreDir: S\nPriority: 99999999999\n",
  "a priority of 32 bits": "StoreDir: S\nPriority: 2147483647\n",
  "priority twice": "StoreDir: S\nPriority: 10\nPriority: 40\n",
  "a comment first": "# my cache\nStoreDir: S\nPriority: 40\n",
  "a comment last": "StoreDir: S\nPriority: 40\n# end\n",
  "a comment with a colon": "# see: there\nStoreDir: S\nPriority: 40\n",
  CRLF: "StoreDir: S\r\nWantMassQuery: 1\r\nPriority: 40\r\n",
  "no last newline": "StoreDir: S\nPriority: 40",
  "empty lines": "\n\nStoreDir: S\n\nPriority: 40\n\n",
  "blanks at the ends": "StoreDir:   S  \nPriority:\t40 \n",
  "no blank": "StoreDir:S\nPriority:40\n",
  "blanks before a name": "  StoreDir: S\n Priority: 40\n",
  "a blank before the colon": "StoreDir : S\nPriority : 40\n",
  "another case": "storedir: /other\npriority: 40\n",
  "StoreDir with a slash at its end": "StoreDir: S/\nPriority: 40\n",
  "another store": "StoreDir: /gnu/store\nPriority: 40\n",
  "another store, then ours": "StoreDir: /gnu/store\nStoreDir: S\n",
  "our store, then another": "StoreDir: S\nStoreDir: /gnu/store\n",
  "an empty StoreDir": "StoreDir: \nPriority: 40\n",
  "names nobody knows": "StoreDir: S\nX_Server: y\nFuture Thing: z\nPriority: 40\n",
  "a line of words": "hello there\nStoreDir: S\nPriority: 40\n",
  "WantMassQuery in words": "StoreDir: S\nWantMassQuery: yes\nPriority: 40\n",
  "a byte order mark": "\ufeffStoreDir: S\nPriority: 40\n",
  "an HTML page": "<!DOCTYPE html>\n<html><body>Please log in</body></html>\n",
  JSON: '{"storeDir": "S", "priority": 40}\n',
};

export function cacheInfos(court: Court): Comparison<CacheInfoWorld> {
  const key = newKey("k-1");
  const { storeDir } = court.machine;
  let number = 0;
  const world = (what: string, text: string, scheme: "http" | "file", next: Chance) => ({
    what: `${what} (${scheme})`,
    text: text.replaceAll("S", (at, offset: number, all: string) =>
      /[A-Za-z]/.test(all[offset + 1] ?? "") ? at : storeDir,
    ),
    made: madeUp(storeDir, next, "path"),
    at: `info/${number++}`,
    scheme,
  });
  const once = chance(9);
  const lines = Object.values(TEXTS).flatMap((text) =>
    text.split("\n").filter((line) => !line.startsWith("<")),
  );
  const urlOf = ({ at, scheme }: CacheInfoWorld, name: string) =>
    scheme === "file"
      ? `file://${join(court.folder, at, name)}`
      : `${court.server.origin}/${at}/${name}`;
  return {
    name: "nix-cache-info",
    usual: 20,
    share: 8,
    always: Object.entries(TEXTS).flatMap(([what, text]) => [
      world(what, text, "http", once),
      world(what, text, "file", once),
    ]),
    make(next) {
      const some = Array.from({ length: 1 + next(5) }, () => lines[next(lines.length)] ?? "");
      return world("lines of several", `${some.join("\n")}\n`, next(2) ? "http" : "file", next);
    },
    async nix(one) {
      const paths = [{ made: one.made, text: narInfoText(one.made, key) }];
      const folder = join(court.folder, one.at);
      await writeCache({ directory: join(folder, "a"), storeDir, info: one.text }, paths);
      const info = `StoreDir: ${storeDir}\nPriority: 30\n`;
      await writeCache({ directory: join(folder, "b"), storeDir, info }, paths);
      const [a, b] = [urlOf(one, "a"), urlOf(one, "b")];
      const { code, text } = await court.run(
        "nix-store",
        ["--realise", one.made.path],
        `substituters = ${b} ${a}\ntrusted-public-keys = ${key.publicKey.text}`,
      );
      if (code !== 0) return "stops";
      const from = /copying path '[^']+' from '([^']+)'/.exec(text)?.[1] ?? "";
      const first = from.startsWith(a) ? "a" : "b";
      if (first === "a") return "a first";
      const alone = await court.run(
        "nix",
        ["path-info", "--store", a, one.made.path],
        `trusted-public-keys = ${key.publicKey.text}`,
      );
      return alone.code === 0 ? "b first" : "b only";
    },
    async ours(one) {
      const caches = ["b", "a"].map((name) => {
        const url = urlOf(one, name);
        const publicKeys = [key.publicKey];
        return openAt(url, { name, role: "substituter", storeDir, publicKeys, http: court.http });
      });
      const clock = { now: () => 0, sleep: async () => undefined };
      const signal = AbortSignal.timeout(60_000);
      const described = await describeSubstituters(
        { own: undefined, substituters: caches, nix: undefined, clock },
        signal,
      );
      const errors = described.map(({ state }) =>
        state.kind === "down" ? state.error : undefined,
      );
      if (errors.some((error) => error instanceof UserError && error.code === "NCP-353"))
        return "stops";
      const there = described.filter(({ state }) => state.kind === "reachable");
      if (there.length < 2) return `${there[0]?.substituter.cache.name} only`;
      return `${there[0]?.substituter.cache.name} first`;
    },
  };
}
