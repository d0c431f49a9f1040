/** Owns narinfos as servers write them, and as nobody should: each signed, signed wrongly, or by content alone. */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { nixReading } from "../../src/caches/accept.ts";
import { encodeNix32 } from "../../src/domain/hash.ts";
import { type Chance, chance } from "../support/fuzz.ts";
import { newKey } from "../support/keys.ts";
import { openAt } from "../support/open-cache.ts";
import type { Comparison } from "./difference.ts";
import { type Court, presenceOf, realised, realisedAlone } from "./judges.ts";
import {
  fingerprintOf,
  type MadeUp,
  madeUp,
  narInfoText,
  randomHash,
  sha256,
  writeCache,
} from "./made-up.ts";

export interface NarInfoWorld {
  readonly what: string;
  readonly text: string;
  readonly made: MadeUp;
  readonly below: readonly MadeUp[];
  /** Its cache, below the court's folder and its server. */
  readonly at: string;
}

/** The lines of a narinfo, to be changed; `signed` is what the signature is over. */
interface Draft {
  lines: string[];
  signed: { narHash: string; narSize: number; references: readonly string[] };
  readonly made: MadeUp;
  readonly storeDir: string;
  readonly origin: string;
  /** Another server's. */
  readonly elsewhere: string;
  /** Where this cache stands, as a path. */
  readonly at: string;
  next: Chance;
}

type Change = (draft: Draft) => void;

const set = (name: string, value: (old: string, draft: Draft) => string): Change => {
  return (draft) => {
    draft.lines = draft.lines.map((line) =>
      line.startsWith(`${name}:`) ? `${name}: ${value(line.slice(name.length + 2), draft)}` : line,
    );
  };
};
const add =
  (line: (draft: Draft) => string, at: "first" | "last" | "before Sig" = "last"): Change =>
  (draft) => {
    const index =
      at === "first" ? 0 : at === "last" ? draft.lines.length : draft.lines.indexOf(SIGNATURE);
    draft.lines.splice(index, 0, line(draft));
  };
const drop =
  (name: string): Change =>
  (draft) => {
    draft.lines = draft.lines.filter((line) => !line.startsWith(`${name}:`));
  };
const raw =
  (change: (text: string, draft: Draft) => string): Change =>
  (draft) => {
    draft.lines = change(draft.lines.join("\n"), draft).split("\n");
  };
const sumOf = (how: string, made: MadeUp) => createHash(how).update(made.file).digest();

/** Where the signature goes. */
const SIGNATURE = "@SIG@";
/** At the end of a text: without its last newline. */
const NO_NEWLINE = "@NO-NEWLINE@";

/** What is done to a narinfo; each stands in the suite once with a good signature and once with a bad one. */
const CHANGES: Readonly<Record<string, Change>> = {
  nothing: () => undefined,
  "CRLF line ends": raw((text) => text.replaceAll("\n", "\r\n").replace(/$/, "\r")),
  "one CRLF": set("Compression", (old) => `${old}\r`),
  "no last newline": raw((text) => text + NO_NEWLINE),
  "an empty line at the end": raw((text) => `${text}\n`),
  "an empty line in the middle": raw((text) => text.replace("\nNarSize", "\n\nNarSize")),
  "an empty line before a field that is not needed": raw((t) =>
    t.replace("\nFileSize", "\n\nFileSize"),
  ),
  "a line without a colon, last": add(() => "garbage"),
  "a line without a colon, first": add(() => "garbage", "first"),
  "a comment first": add(() => "# a comment: of somebody", "first"),
  "a byte order mark": raw((text) => `\ufeff${text}`),
  "blanks before a field": raw((text) => text.replace("NarSize", " NarSize")),
  "a tab instead of a blank": raw((text) => text.replace("NarSize: ", "NarSize:\t")),
  "two blanks behind a colon": raw((text) => text.replace("NarSize: ", "NarSize:  ")),
  "no blank behind a colon": raw((text) => text.replace("NarSize: ", "NarSize:")),
  "a blank at the end of a number": set("NarSize", (old) => `${old} `),
  "a blank at the end of a hash": set("NarHash", (old) => `${old} `),
  "a blank at the end of a URL": set("URL", (old) => `${old} `),
  "a blank at the end of the path": set("StorePath", (old) => `${old} `),
  "a name in lower case": raw((text) => text.replace("NarSize", "narsize")),
  "an absolute URL": set("URL", (old, { origin, at }) => `${origin}/${at}/${old}`),
  "an absolute URL with another case": set(
    "URL",
    (old, { origin, at }) => `${origin.replace("http", "HTTP")}/${at}/${old}`,
  ),
  "an absolute URL of another host": set(
    "URL",
    (old, { elsewhere, at }) => `${elsewhere}/${at}/${old}`,
  ),
  "a URL with a slash before": set("URL", (old) => `/${old}`),
  "a URL with two slashes before": set("URL", (old) => `//${old}`),
  "a URL with ./ before": set("URL", (old) => `./${old}`),
  "a URL with two slashes within": set("URL", (old) => old.replace("/", "//")),
  "a URL with .. within": set("URL", (old) => `nar/../${old}`),
  "a URL above the cache and back": set(
    "URL",
    (old, { at }) => `../${at.split("/").at(-1)}/${old}`,
  ),
  "a URL with a % escape": set("URL", (old) => old.replace("nar/", "n%61r/")),
  "a URL with an escaped slash": set("URL", (old) => old.replace("nar/", "nar%2F")),
  "a URL with a query": set("URL", (old) => `${old}?hash=x&sig=a%2Fb:c`),
  "a URL with a fragment": set("URL", (old) => `${old}#x`),
  "a URL with a blank within": set("URL", (old) => old.replace(".nar", " .nar")),
  "a URL of a NAR that is not there": set("URL", (old) => old.replace("nar/", "nar/0")),
  "an empty URL": set("URL", () => ""),
  "no URL": drop("URL"),
  "a second URL": add(({ made }) => `URL: ${made.url}`),
  "a second URL that is wrong, first": add(() => "URL: nar/nothing.nar", "first"),
  "a second URL that is wrong, last": add(() => "URL: nar/nothing.nar"),
  "no Compression": drop("Compression"),
  "an empty Compression": set("Compression", () => ""),
  "Compression nobody knows": set("Compression", () => "shrink"),
  "Compression in upper case": set("Compression", (old) => old.toUpperCase()),
  "Compression that it is not": set("Compression", () => "xz"),
  "no FileHash": drop("FileHash"),
  "an empty FileHash": set("FileHash", () => ""),
  "a wrong FileHash": set("FileHash", () => `sha256:${encodeNix32(sha256("x"))}`),
  "FileHash of SHA-512": set(
    "FileHash",
    (_, { made }) => `sha512:${sumOf("sha512", made).toString("hex")}`,
  ),
  "FileHash of SHA-1": set(
    "FileHash",
    (_, { made }) => `sha1:${sumOf("sha1", made).toString("hex")}`,
  ),
  "FileHash of MD5": set("FileHash", (_, { made }) => `md5:${sumOf("md5", made).toString("hex")}`),
  "FileHash of SHA-512 in base 32": set(
    "FileHash",
    (_, { made }) => `sha512:${encodeNix32(sumOf("sha512", made))}`,
  ),
  "FileHash of another algorithm": set("FileHash", () => `sha3:${"0".repeat(64)}`),
  "FileHash without its algorithm": set("FileHash", (old) => old.replace("sha256:", "")),
  "FileHash too short": set("FileHash", (old) => old.slice(0, -1)),
  "no FileSize": drop("FileSize"),
  "an empty FileSize": set("FileSize", () => ""),
  "FileSize of 0": set("FileSize", () => "0"),
  "a wrong FileSize": set("FileSize", () => "7"),
  "FileSize with a plus": set("FileSize", (old) => `+${old}`),
  "a negative FileSize": set("FileSize", (old) => `-${old}`),
  "FileSize that is no number": set("FileSize", () => "12 kB"),
  "FileSize beyond 64 bits": set("FileSize", () => "18446744073709551616"),
  "FileSize of 64 bits": set("FileSize", () => "18446744073709551615"),
  "NarHash of SHA-512": (draft) => {
    const bytes = createHash("sha512").update(draft.made.nar).digest();
    const narHash = `sha512:${encodeNix32(bytes)}`;
    draft.signed = { ...draft.signed, narHash };
    set("NarHash", () => narHash)(draft);
  },
  "NarHash in hex": set("NarHash", (_, { made }) => `sha256:${sha256(made.nar).toString("hex")}`),
  "NarHash in upper case hex": set(
    "NarHash",
    (_, { made }) => `sha256:${sha256(made.nar).toString("hex").toUpperCase()}`,
  ),
  "NarHash in base 64": set(
    "NarHash",
    (_, { made }) => `sha256:${sha256(made.nar).toString("base64")}`,
  ),
  "NarHash as SRI": set(
    "NarHash",
    (_, { made }) => `sha256-${sha256(made.nar).toString("base64")}`,
  ),
  "NarHash as SRI without padding": set(
    "NarHash",
    (_, { made }) => `sha256-${sha256(made.nar).toString("base64").replace("=", "")}`,
  ),
  "NarHash as SRI in hex": set(
    "NarHash",
    (_, { made }) => `sha256-${sha256(made.nar).toString("hex")}`,
  ),
  "NarHash in base 64 without padding": set(
    "NarHash",
    (_, { made }) => `sha256:${sha256(made.nar).toString("base64").replace("=", "")}`,
  ),
  "NarHash in upper case base 32": set("NarHash", (old) => `sha256:${old.slice(7).toUpperCase()}`),
  "NarHash without its algorithm": set("NarHash", (old) => old.slice(7)),
  "NarHash with its algorithm in upper case": set("NarHash", (old) =>
    old.replace("sha256", "SHA256"),
  ),
  "NarHash with a letter that is none of base 32": set("NarHash", (old) => `${old.slice(0, -1)}e`),
  "an empty NarHash": set("NarHash", () => ""),
  "a wrong NarHash": (draft) => {
    const narHash = `sha256:${encodeNix32(sha256("another"))}`;
    draft.signed = { ...draft.signed, narHash };
    set("NarHash", () => narHash)(draft);
  },
  "no NarHash": drop("NarHash"),
  "NarHash twice": add(({ made }) => `NarHash: ${made.narHash}`),
  "NarHash twice, the first is wrong": add(
    () => `NarHash: sha256:${encodeNix32(sha256("x"))}`,
    "first",
  ),
  "NarHash twice, the last is wrong": add(() => `NarHash: sha256:${encodeNix32(sha256("x"))}`),
  "NarSize with a plus": set("NarSize", (old) => `+${old}`),
  "NarSize with zeros before": set("NarSize", (old) => `000${old}`),
  "NarSize with zeros before, many": set("NarSize", (old) => `${"0".repeat(30)}${old}`),
  "a negative NarSize": set("NarSize", (old) => `-${old}`),
  "NarSize of 0": set("NarSize", () => "0"),
  "NarSize in hex": set("NarSize", () => "0xb0"),
  "NarSize with a point": set("NarSize", (old) => `${old}.0`),
  "NarSize with an underscore": set("NarSize", (old) => `${old.slice(0, 1)}_${old.slice(1)}`),
  "an empty NarSize": set("NarSize", () => ""),
  "NarSize beyond 64 bits": set("NarSize", () => "99999999999999999999999"),
  "a wrong NarSize": (draft) => {
    draft.signed = { ...draft.signed, narSize: 7 };
    set("NarSize", () => "7")(draft);
  },
  "no NarSize": drop("NarSize"),
  "NarSize twice": add(({ made }) => `NarSize: ${made.nar.length}`),
  "NarSize twice, the last is wrong": add(() => "NarSize: 3"),
  "no References": drop("References"),
  "References: without a blank": raw((text) => text.replace(/^References:.*$/m, "References:")),
  "References: without a blank, last": (draft) => {
    drop("References")(draft);
    add(() => "References:")(draft);
  },
  "References with two blanks between": set(
    "References",
    (old) => ` ${old.replaceAll(" ", "   ")} `,
  ),
  "References with a tab between": set("References", (old) => old.replaceAll(" ", "\t")),
  "References with a comma between": set("References", (old) => old.replaceAll(" ", ",")),
  "References twice": add(() => "References: "),
  "References twice, each half": (draft) => {
    const { references } = draft.made;
    const name = (path: string) => path.slice(path.lastIndexOf("/") + 1);
    set("References", () => name(references[0] ?? ""))(draft);
    add(() => `References: ${references.slice(1).map(name).join(" ")}`)(draft);
  },
  "References in another order": set("References", (old) => old.split(" ").reverse().join(" ")),
  "a reference twice": set("References", (old) => `${old} ${old.split(" ")[0]}`),
  "a reference with its folder": set("References", (old, { storeDir }) => `${storeDir}/${old}`),
  "a reference that is no path": set("References", (old) => `${old} hello`),
  "a reference without a name": set("References", (old, { next }) => `${old} ${randomHash(next)}-`),
  "a reference of an impossible hash": set("References", (old) => `${old} ${"e".repeat(32)}-x`),
  "a reference in upper case": set("References", (old) => old.toUpperCase()),
  "a reference with an odd name": set(
    "References",
    (old, { next }) => `${old} ${randomHash(next)}-x!`,
  ),
  "a reference with a name that begins with a point": set(
    "References",
    (old, { next }) => `${old} ${randomHash(next)}-.x`,
  ),
  "a reference with a name of two points": set(
    "References",
    (old, { next }) => `${old} ${randomHash(next)}-..`,
  ),
  "a reference with a long name": set(
    "References",
    (old, { next }) => `${old} ${randomHash(next)}-${"x".repeat(212)}`,
  ),
  "a reference to itself": (draft) => {
    const references = [...draft.made.references, draft.made.path];
    draft.signed = { ...draft.signed, references };
    set("References", (old) => `${old} ${draft.made.base}`)(draft);
  },
  "Deriver: unknown-deriver": add(() => "Deriver: unknown-deriver"),
  "an empty Deriver": add(() => "Deriver: "),
  "Deriver: without a blank": add(() => "Deriver:"),
  "a Deriver": add(({ next }) => `Deriver: ${randomHash(next)}-x.drv`),
  "a Deriver that is no derivation": add(({ next }) => `Deriver: ${randomHash(next)}-x`),
  "a Deriver with its folder": add(
    ({ next, storeDir }) => `Deriver: ${storeDir}/${randomHash(next)}-x.drv`,
  ),
  "a Deriver that is no path": add(() => "Deriver: nobody"),
  "a second Deriver": (draft) => {
    add(({ next }) => `Deriver: ${randomHash(next)}-x.drv`)(draft);
    add(({ next }) => `Deriver: ${randomHash(next)}-y.drv`)(draft);
  },
  System: add(() => "System: x86_64-linux"),
  "fields nobody knows": add(() => "X-Foo: bar\nDownloadTime: 3"),
  "a field nobody knows, empty": add(() => "X-Foo: "),
  "a field nobody knows, without a blank, last": add(() => "X-Foo:"),
  "a field nobody knows, without a blank, first": add(() => "X-Foo:", "first"),
  "an empty CA": add(() => "CA: "),
  "a CA that is none": add(() => "CA: hello"),
  "a CA of an algorithm nobody knows": add(() => `CA: fixed:r:sha3:${"0".repeat(52)}`),
  "a CA that does not fit": add(() => `CA: fixed:r:sha256:${encodeNix32(sha256("x"))}`),
  "a text CA that does not fit": add(() => `CA: text:sha256:${encodeNix32(sha256("x"))}`),
  "a CA of its NAR, at a path of another": add(
    ({ made }) => `CA: fixed:r:sha256:${made.narHash.slice(7)}`,
  ),
  "a flat CA of its content, at a path of another": add(({ made }) => {
    const content = made.nar.subarray(made.nar.indexOf("contents") + 16).subarray(0, -16);
    return `CA: fixed:sha256:${sha256(content.subarray(0, content.indexOf(0) < 0 ? undefined : content.indexOf(0))).toString("hex")}`;
  }),
  "CA twice": add(
    () =>
      `CA: text:sha256:${encodeNix32(sha256("x"))}\nCA: text:sha256:${encodeNix32(sha256("x"))}`,
  ),
  "StorePath with a slash behind": set("StorePath", (old) => `${old}/`),
  "StorePath with two slashes": set("StorePath", (old, { storeDir }) =>
    old.replace(storeDir, `${storeDir}/`),
  ),
  "StorePath with a point": set("StorePath", (old, { storeDir }) =>
    old.replace(storeDir, `${storeDir}/.`),
  ),
  "StorePath with two points": set("StorePath", (old, { storeDir }) =>
    old.replace(storeDir, `${storeDir}/x/..`),
  ),
  "StorePath of a file below": set("StorePath", (old) => `${old}/bin`),
  "StorePath without its folder": set("StorePath", (old) => old.slice(old.lastIndexOf("/") + 1)),
  "StorePath of another store": set("StorePath", (old, { storeDir }) =>
    old.replace(storeDir, "/other/store"),
  ),
  "StorePath of another hash": set("StorePath", (old, { next, made }) =>
    old.replace(made.hash, randomHash(next)),
  ),
  "StorePath of another name": set("StorePath", (old) => `${old}-other`),
  "an empty StorePath": set("StorePath", () => ""),
  "no StorePath": drop("StorePath"),
  "StorePath twice": add(({ made }) => `StorePath: ${made.path}`),
  "StorePath twice, the first is wrong": add(({ made }) => `StorePath: ${made.path}-x`, "first"),
  "StorePath twice, the last is wrong": add(({ made }) => `StorePath: ${made.path}-x`),
  "a signature of a key nobody knows, first": add(() => "Sig: other-1:AAAA", "before Sig"),
  "a signature without a colon, first": add(() => "Sig: garbage", "before Sig"),
  "a signature without a colon, last": add(() => "Sig: garbage"),
  "an empty signature, first": add(() => "Sig: ", "before Sig"),
  "a signature of our key that is no base 64": add(() => "Sig: k-1:!!!!", "before Sig"),
  "a signature of our key that is too short": add(() => "Sig: k-1:AAAA", "before Sig"),
  "a signature of our key that is too long": add(
    () => `Sig: k-1:${Buffer.alloc(65).toString("base64")}`,
  ),
  "a signature of our key that is wrong, first": add(
    () => `Sig: k-1:${Buffer.alloc(64).toString("base64")}`,
    "before Sig",
  ),
  "a signature of our key that is empty": add(() => "Sig: k-1:"),
  "a signature of another key that is no base 64": add(() => "Sig: other-1:!!!!", "before Sig"),
  "a signature of another key that is empty": add(() => "Sig: other-1:"),
  "a signature with a blank at its end": raw((text) => text.replace(SIGNATURE, `${SIGNATURE} `)),
  "a signature with two blanks before": raw((text) => text.replace(SIGNATURE, ` ${SIGNATURE}`)),
  "a signature twice": add(() => `Sig: ${SIGNATURE}`),
  "no signature": raw((text) => text.replace(`Sig: ${SIGNATURE}`, "X-Sig: none")),
  "the signature first": raw(
    (text) => `Sig: ${SIGNATURE}\n${text.replace(`\nSig: ${SIGNATURE}`, "")}`,
  ),
  "only a blank line": raw(() => ""),
  "an HTML page": raw(() => "<html><body>Please log in: here</body></html>"),
  "NUL in a field": set("Compression", (old) => `${old}\u0000`),
  "bytes that are no UTF-8": add(() => "X-Foo: \ud800"),
};

/** What Nix looks at before, and behind, the signatures: each with every one of them. */
const BESIDE_SIGNATURES = ["StorePath of another name", "NarHash of SHA-512"];

const PASSES = "passes over";

/** Worlds that share a cache, and a Nix where none of them stops it. */
const TOGETHER = 40;

export function narInfos(court: Court, elsewhere: string): Comparison<NarInfoWorld> {
  const key = newKey("k-1");
  const { storeDir } = court.machine;
  const names = Object.keys(CHANGES);
  let number = 0;
  const make = (what: readonly string[], signature: "good" | "bad", next: Chance): NarInfoWorld => {
    const at = `narinfo/${Math.floor(number++ / TOGETHER)}/a`;
    const below = [1, 2].map((n) => madeUp(storeDir, next, `below-${n}`));
    const compression = next(3) === 0 ? "zstd" : "none";
    const made = madeUp(
      storeDir,
      next,
      "path",
      below.map(({ path }) => path),
      compression,
    );
    const draft: Draft = {
      lines: narInfoText(made, key)
        .trimEnd()
        .replace(/Sig: .*$/, `Sig: ${SIGNATURE}`)
        .split("\n"),
      signed: { narHash: made.narHash, narSize: made.nar.length, references: made.references },
      made,
      storeDir,
      origin: court.server.origin,
      elsewhere,
      at,
      next,
    };
    for (const name of what) CHANGES[name]?.(draft);
    const { signed } = draft;
    const good = fingerprintOf({ ...made, ...signed }, signed.narSize);
    const sig = key.sign(signature === "good" ? good : `${good}x`);
    const text = `${draft.lines.join("\n")}\n`
      .replaceAll(SIGNATURE, sig)
      .replace(`${NO_NEWLINE}\n`, "");
    return { what: `${what.join(" + ")} (${signature} signature)`, text, made, below, at };
  };
  const once = chance(7);
  const addressOf = (at: string, cache: "a" | "b") =>
    `${court.server.origin}/${at.replace(/a$/, cache)}`;
  const prepare = async (worlds: readonly NarInfoWorld[]) => {
    const at = worlds[0]?.at ?? "";
    const plain = (made: MadeUp) => ({ made, text: narInfoText(made, key) });
    const below = worlds.flatMap((world) => world.below.map(plain));
    const [a, b] = [join(court.folder, at), join(court.folder, at, "..", "b")];
    const odd = worlds.map(({ made, text }) => ({ made, text }));
    await writeCache({ directory: a, storeDir }, [...below, ...odd]);
    await writeCache({ directory: b, storeDir }, [...below, ...worlds.map((w) => plain(w.made))]);
  };
  const realise = (worlds: readonly NarInfoWorld[], from: "both" | "the first") => {
    const at = worlds[0]?.at ?? "";
    const [a, b] = [addressOf(at, "a"), addressOf(at, "b")];
    const caches = from === "both" ? `${a}?priority=1 ${b}?priority=2` : `${a}?priority=3`;
    const paths = worlds.map(({ made }) => made.path);
    return court.run(
      "nix-store",
      ["--realise", "--keep-going", ...paths],
      `substituters = ${caches}\ntrusted-public-keys = ${key.publicKey.text}`,
    );
  };
  const forget = (worlds: readonly NarInfoWorld[]) =>
    court.run("nix-store", ["--delete", ...worlds.map(({ made }) => made.path)]);
  const alone = async (world: NarInfoWorld) => {
    const both = realised(await realise([world], "both"), addressOf(world.at, "a"));
    // Up to 2.26 what stops Nix does so whoever else has the path.
    if (both !== PASSES || court.minor < 30) return both;
    await forget([world]);
    return await first(world);
  };
  const first = async (world: NarInfoWorld) => realisedAlone(await realise([world], "the first"));
  /** From which cache each comes in the end; a set that Nix does not get to the end of is halved. */
  const askBoth = async (
    worlds: readonly NarInfoWorld[],
    sources: Map<string, string>,
    found: Map<NarInfoWorld, string>,
  ): Promise<void> => {
    if (worlds.length === 0) return;
    const { code, text } = await realise(worlds, "both");
    for (const [, path = "", url = ""] of text.matchAll(/copying path '([^']+)' from '([^']+)'/g)) {
      sources.set(path, url);
    }
    if (code === 0) {
      for (const one of worlds) {
        const source = sources.get(one.made.path) ?? "";
        found.set(one, source.startsWith(addressOf(one.at, "a")) ? "fetches" : PASSES);
      }
    } else if (worlds.length === 1) {
      for (const one of worlds) found.set(one, "stops");
    } else {
      const middle = worlds.length >> 1;
      await askBoth(worlds.slice(0, middle), sources, found);
      await askBoth(worlds.slice(middle), sources, found);
    }
  };
  return {
    name: "narinfo",
    usual: 60,
    share: 35,
    always: [
      ...names.flatMap((name) => [make([name], "good", once), make([name], "bad", once)]),
      ...names
        .filter((name) => name.startsWith("a signature of"))
        .flatMap((name) => BESIDE_SIGNATURES.map((beside) => make([beside, name], "bad", once))),
    ],
    make(next) {
      const count = 1 + next(3);
      const what = Array.from({ length: count }, () => names[next(names.length)] ?? "nothing");
      return make([...new Set(what)], next(5) === 0 ? "bad" : "good", next);
    },
    prepare,
    together: {
      size: TOGETHER,
      async nix(worlds, ours) {
        const found = new Map<NarInfoWorld, string>();
        const quiet = new Set(
          worlds.filter((_, index) => /fetches|passes over/.test(ours[index] ?? "")),
        );
        if (court.minor >= 30) {
          await askBoth(worlds, new Map(), found);
          const passed = worlds.filter((one) => found.get(one) === PASSES);
          await forget(passed);
          for (const one of passed) found.delete(one);
          await askFirst(passed.filter((one) => quiet.has(one)));
          for (const one of passed) if (!found.has(one)) found.set(one, await first(one));
        } else {
          // What stops Nix stops it for all: those of which we say so are asked about one by one.
          await askBoth([...quiet], new Map(), found);
          for (const one of worlds) if (!found.has(one)) found.set(one, await alone(one));
        }
        return worlds.map((one) => found.get(one));

        /** Those that pass over the first cache where another has the path, and may stop where it is alone. */
        async function askFirst(passed: readonly NarInfoWorld[]): Promise<void> {
          if (passed.length === 0) return;
          const { text } = await realise(passed, "the first");
          const lines = text.split("\n");
          for (const one of passed) {
            const told = lines.filter((line) => line.includes(`'${one.made.path}'`)).join("\n");
            if (told !== "" && realisedAlone({ code: 1, text: told }) === PASSES) {
              found.set(one, PASSES);
            }
          }
        }
      },
      async anew(world) {
        await forget([world]);
        return world;
      },
    },
    nix: alone,
    async ours(world) {
      const { at } = world;
      const url = `${court.server.origin}/${at}`;
      const cache = openAt(url, {
        role: "substituter",
        reading: nixReading(`2.${court.minor}`),
        storeDir,
        publicKeys: [key.publicKey],
        http: court.http,
      });
      return presenceOf(cache, world.made.path);
    },
  };
}
