/**
 * The netrc file that lets Nix into private caches: whatever one was there before, and ours.
 * It is the only file that ever holds a token: mode 600, in the runner's temporary folder, until post.
 */

import { join } from "node:path";
import type { Credentials, Netrc } from "../domain/cache.ts";
import { writeWhole } from "../host/atomic.ts";
import { readIfThere } from "../host/disk.ts";

/** Where it lies in our folder. */
export function netrcIn(folder: string): string {
  return join(folder, "netrc");
}

/** A line as we write it. */
const OURS = /^machine \S+ login "" password \S+$/;

/**
 * Writes `file`: `credentials`, then the entries of `before`, the file Nix was told to use. curl takes
 * the first entry of a host, so ours come first, and an older one of ours is left out. The format
 * (`login ""`) is the one Cachix's own client writes (cachix/src/Cachix/Client/NetRc.hs).
 */
export async function writeNetrc(
  file: string,
  credentials: readonly Credentials[],
  before: string | undefined,
): Promise<"written" | "unchanged"> {
  const base = before === undefined || before === file ? "" : await readOther(before);
  const lines = credentials.map(
    ({ machine, login, password }) =>
      `machine ${machine} login ${login === "" ? '""' : login} password ${password}`,
  );
  const heads = credentials.map(({ machine }) => `machine ${machine} login "" password `);
  const isOld = (line: string) => heads.some((head) => line.startsWith(head));
  const others = base.split("\n").filter((line) => !isOld(line));
  const now = await readIfThere(file);
  // An earlier call of this run was for another private cache.
  const kept = (now ?? "")
    .split("\n")
    .filter((line) => OURS.test(line) && !isOld(line) && !others.includes(line));
  const text = `${[...new Set(lines), ...kept, ...others].join("\n").trimEnd()}\n`;
  if (now === text) return "unchanged";
  await writeWhole(file, text, 0o600);
  return "written";
}

/** The entries of the netrc file that Nix reads, if it reads one. */
export async function readNetrc(file: string | undefined): Promise<Netrc> {
  return parseNetrc(file === undefined ? "" : await readOther(file));
}

/**
 * Words, in any lines: `machine HOST login NAME password SECRET`, or `default` for whatever host is asked;
 * the first entry that fits counts, and keywords in any case. `macdef` ends at an empty line. Hosts are
 * those of caches that Nix would ask, and it would tell them the same.
 * Source: netrc(5), and curl's lib/netrc.c.
 */
export function parseNetrc(text: string): Netrc {
  const entries: { host: string | "any"; login: string; password: string }[] = [];
  const plain = text.replace(/^\s*#.*$/gm, "").replace(/\bmacdef\b[\s\S]*?(\n\s*\n|$)/gi, "\n");
  const words = plain.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at]?.toLowerCase();
    const entry = entries.at(-1);
    if (word === "default") entries.push({ host: "any", login: "", password: "" });
    else if (word === "machine") {
      entries.push({ host: unquote(words[++at] ?? ""), login: "", password: "" });
    } else if (entry && (word === "login" || word === "password")) {
      entry[word] = unquote(words[++at] ?? "");
    }
  }
  return {
    get(host) {
      const found = entries.find(
        (entry) => entry.host === "any" || entry.host.toLowerCase() === host.toLowerCase(),
      );
      return found && { machine: host, login: found.login, password: found.password };
    },
  };
}

function unquote(word: string): string {
  return word.startsWith('"') ? word.slice(1, -1).replace(/\\(.)/g, "$1") : word;
}

/** To Nix as well it is as if there were none. */
const UNREADABLE = new Set(["EACCES", "EISDIR", "ENOTDIR"]);

/** A file that only the daemon may read has entries that only the daemon could use. */
async function readOther(file: string): Promise<string> {
  try {
    return (await readIfThere(file)) ?? "";
  } catch (error) {
    if (UNREADABLE.has((error as NodeJS.ErrnoException).code ?? "")) return "";
    throw error;
  }
}
