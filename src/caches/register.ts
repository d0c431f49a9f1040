/** The register: every kind of cache there is, written out, and the addresses they read. */

import type { BinaryCache } from "../domain/cache.ts";
import { UserError } from "../domain/errors.ts";
import { type Addresses, type CacheLocation, plainAddress } from "../domain/location.ts";
import type { StorePath } from "../domain/store-path.ts";
import { didYouMean } from "../domain/suggest.ts";
import { PoliteHttp } from "../host/retry.ts";
import { parseUrl } from "./address.ts";
import { checkOptions } from "./address-options.ts";
import { atticKind } from "./attic/attic.ts";
import { cachixKind } from "./cachix/cachix.ts";
import { fileKind } from "./file/file.ts";
import { githubKind } from "./github/github.ts";
import { type GuardOptions, guarded, PATIENCE } from "./guard.ts";
import { httpKind } from "./http/http.ts";
import type { BadAddress, CacheKind, OpenRequest } from "./kind.ts";
import { s3Kind } from "./s3/s3.ts";
import { sshKind } from "./ssh/ssh.ts";

/** In the order in which an error lists their forms. */
export const KINDS: readonly CacheKind[] = [
  githubKind,
  cachixKind,
  atticKind,
  s3Kind,
  httpKind,
  fileKind,
  sshKind,
];

export interface Register extends Addresses {
  /** Who is asked first there. */
  hosts(location: CacheLocation): readonly URL[];
  /** The cache at `location`, with patience around it. */
  open(location: CacheLocation, request: OpenRequest, patience?: GuardOptions): BinaryCache;
}

export function registerOf(kinds: readonly CacheKind[]): Register {
  const kindAt = (text: string) => kinds.find(({ begins }) => begins.some(isBeginningOf(text)));
  const parse: Register["parse"] = (text, input) => {
    if (text === "none") return undefined;
    const bad = badAddress(text, input, kinds);
    const kind = kindAt(text);
    if (!kind) throw unknownKind(text, bad);
    const address = kind.parse(text, bad);
    const use = USES.get(input);
    if (use && kind.options) checkOptions(text, kind.options, use, bad);
    const place = kind.place(address);
    const keyName = kind.keyName?.(address);
    return {
      ...kind.facts,
      address: text,
      place,
      name: kind.name(address),
      ...(keyName === undefined ? {} : { keyName }),
    };
  };
  const placeOf: Register["placeOf"] = (text) => {
    try {
      return parse(text, "")?.place ?? text;
    } catch (error) {
      // Nix takes kinds of store that we do not read: `daemon`, `/a/folder`.
      if (error instanceof UserError) return plainAddress(text);
      throw error;
    }
  };
  const kindOf = (text: string) => {
    const bad = badAddress(text, "cache", kinds);
    const kind = kindAt(text);
    if (!kind) throw unknownKind(text, bad);
    return { kind, address: kind.parse(text, bad) };
  };
  return {
    parse,
    placeOf,
    kindOf: (text) => kindAt(text)?.facts,
    hosts: ({ address: text }) => {
      const { kind, address } = kindOf(text);
      return kind.hosts?.(address) ?? [];
    },
    open(location, request, patience = PATIENCE) {
      const { kind, address } = kindOf(location.address);
      const http = new PoliteHttp(request.http);
      const client = guarded(
        kind.open(address, { ...request, http }),
        patience,
        () => http.answerTrouble,
      );
      // Not spread: the client tells its address anew once the cache has said where it is read.
      return Object.assign(client, {
        staging: location.staging,
        place: () => placeOf(client.substituter.url),
        page: (path: StorePath) => kind.page(address, path, client.substituter.url),
      });
    },
  };
}

export const register = registerOf(KINDS);

/** What an input's cache is for. Of other addresses no option is refused: they are Nix's, and Nix takes them. */
const USES: ReadonlyMap<string, "own" | "substituter"> = new Map([
  ["cache", "own"],
  ["substituters", "substituter"],
]);

function isBeginningOf(text: string): (beginning: string) => boolean {
  return (beginning) => (/[:/]$/.test(beginning) ? text.startsWith(beginning) : text === beginning);
}

function unknownKind(text: string, bad: BadAddress): UserError {
  if (!/^[a-z][a-z0-9+-]*:\/\//.test(text)) return bad("it is not a kind of cache");
  return bad(`"${parseUrl(text, bad).protocol}//" is not a kind of cache`);
}

function badAddress(text: string, input: string, kinds: readonly CacheKind[]): BadAddress {
  const forms = [...kinds.map(({ form }) => form), "none"];
  // GitHub's cache is a job's own, and never among the others.
  const read = kinds.filter(({ facts }) => facts.keeper !== "GitHub").map(({ form }) => form);
  // What stands in capitals is the user's own.
  const beginnings = forms.map((form) => form.replace(/[A-Z].*$/, ""));
  const word = /^[A-Za-z0-9-]*:?\/*/.exec(text)?.[0] ?? text;
  // Who wrote a beginning that there is meant it: the fault is behind it.
  const isKnown = kinds.some(({ begins }) => begins.some(isBeginningOf(text)));
  const instead = isKnown ? "" : didYouMean(word, beginnings);
  // A variable may be empty in a fork, and whole names are made of them.
  const empty =
    isKnown && word === text ? "its name is missing, as where a variable is empty" : undefined;
  return (why) =>
    new UserError(
      "NCP-103",
      `${input}: "${withoutPassword(text)}" cannot be used: ${empty ?? why}.${instead}`,
      { hint: `write one of ${(USES.get(input) === "substituter" ? read : forms).join(", ")}` },
    );
}

/** What cannot be read may hold a password all the same, and errors are printed. */
function withoutPassword(text: string): string {
  const at = text.lastIndexOf("@");
  if (at < 0) return text;
  return `${/^[0-9A-Za-z+.-]*:\/*/.exec(text)?.[0] ?? ""}***${text.slice(at)}`;
}
