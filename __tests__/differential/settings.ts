/** Owns settings that bear on a decision: who is trusted, what may be fetched, at which address, with which netrc. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseSigningKey } from "../../src/domain/signature.ts";
import { type Chance, chance } from "../support/fuzz.ts";
import { newSecretKey } from "../support/keys.ts";
import type { Comparison } from "./difference.ts";
import type { Court } from "./judges.ts";
import { type MadeUp, madeUp, narInfoText, writeCache } from "./made-up.ts";
import { answerOf } from "./ours.ts";

export interface SettingsWorld {
  readonly what: string;
  /** Lines of Nix's configuration; `A` is the cache's address. */
  readonly settings: readonly string[];
  readonly made: MadeUp;
  readonly at: string;
  readonly signed: "by k-1" | "by k-2" | "not" | "wrongly";
  readonly scheme: "file" | "http" | "private";
}

type Signed = SettingsWorld["signed"];
type Scheme = SettingsWorld["scheme"];
/** What is said, of which path, in which kind of cache. */
type Case = readonly [
  what: string,
  settings: readonly string[],
  signed?: Signed | undefined,
  scheme?: Scheme | undefined,
];

const SUB = "substituters = A";

function cases(
  keys: Readonly<Record<string, string>>,
  files: Readonly<Record<string, string>>,
): Case[] {
  const { one = "", other = "", two = "", cut = "" } = keys;
  const trust = `trusted-public-keys = ${one}`;
  const address = (options: string, signed?: Signed): Case[] => [
    [`an address with ${options}`, [`substituters = A?${options}`, trust], signed, "file"],
    [`an address with ${options}`, [`substituters = A?${options}`, trust], signed, "http"],
  ];
  const netrc = (what: string, name: string): Case => [
    `a netrc with ${what}`,
    [SUB, trust, `netrc-file = ${files[name] ?? "/nowhere"}`],
    "by k-1",
    "private",
  ];
  return [
    ["a trusted key", [SUB, trust]],
    ["no trusted key", [SUB, "trusted-public-keys ="]],
    ["an unsigned path", [SUB, trust], "not"],
    ["a wrong signature", [SUB, trust], "wrongly"],
    ["another key's signature", [SUB, trust], "by k-2"],
    ["two keys", [SUB, `trusted-public-keys = ${one} ${two}`], "by k-2"],
    ["two keys of one name, the signer's first", [SUB, `trusted-public-keys = ${one} ${other}`]],
    ["two keys of one name, the signer's second", [SUB, `trusted-public-keys = ${other} ${one}`]],
    ["a key twice", [SUB, `trusted-public-keys = ${one} ${one}`]],
    ["extra keys", [SUB, "trusted-public-keys =", `extra-trusted-public-keys = ${one}`]],
    ["a key that is none beside it", [SUB, `trusted-public-keys = ${one} hello`]],
    ["a key that is none before it", [SUB, `trusted-public-keys = hello ${one}`]],
    ["a key that is cut", [SUB, `trusted-public-keys = ${one} ${cut}`]],
    ["a key without its name", [SUB, `trusted-public-keys = ${one} ${one.replace("k-1", "")}`]],
    ["a key with an odd name", [SUB, `trusted-public-keys = ${one.replace("k-1", "k/1")}`]],
    [
      "a key that is none, and CA",
      [SUB, `trusted-public-keys = hello`, "require-sigs = false"],
      "not",
    ],
    [
      "a key that is none, trusted by place",
      ["substituters = A?trusted=1", "trusted-public-keys = hello"],
      "not",
      "file",
    ],
    ["require-sigs = false", [SUB, "trusted-public-keys =", "require-sigs = false"], "not"],
    ["require-sigs = false, wrongly signed", [SUB, trust, "require-sigs = false"], "wrongly"],
    ["secret-key-files", [SUB, "trusted-public-keys =", `secret-key-files = ${files["key"]}`]],
    [
      "secret-key-files of another",
      [SUB, "trusted-public-keys =", `secret-key-files = ${files["key2"]}`],
    ],
    [
      "secret-key-files, two",
      [SUB, "trusted-public-keys =", `secret-key-files = ${files["key2"]} ${files["key"]}`],
    ],
    ["secret-key-files that are not there", [SUB, trust, "secret-key-files = /nowhere/key"]],
    [
      "secret-key-files after a key of that name",
      [SUB, `trusted-public-keys = ${other}`, `secret-key-files = ${files["key"]}`],
    ],
    ["substitute = false", [SUB, trust, "substitute = false"]],
    ["substitute = true", [SUB, trust, "substitute = true"]],
    ["fallback = true", [SUB, trust, "fallback = true"]],
    ["fallback = false", [SUB, trust, "fallback = false"]],
    ["fallback, unsigned", [SUB, trust, "fallback = true"], "not"],
    ["builders-use-substitutes", [SUB, trust, "builders-use-substitutes = true"]],
    [
      "builders-use-substitutes without substitute",
      [SUB, trust, "builders-use-substitutes = true", "substitute = false"],
    ],
    ["no substituters", ["substituters =", trust]],
    ["extra-substituters", ["substituters =", "extra-substituters = A", trust]],
    ["a substituter twice", ["substituters = A A", trust]],
    ["a substituter of a kind nobody knows, too", ["substituters = gopher://x A", trust]],
    [
      "a substituter that is not there, too",
      [`substituters = file://${files["machine"]}-nowhere A`, trust],
    ],
    ["a slash at the end of an address", ["substituters = A/", trust]],
    ["trusted-substituters alone", ["substituters =", "trusted-substituters = A", trust]],
    ...[
      "trusted=1",
      "trusted=true",
      "trusted=yes",
      "trusted=0",
      "trusted=false",
      "trusted=no",
    ].flatMap((o) => address(o, "not")),
    ...[
      "trusted=TRUE",
      "trusted=",
      "trusted=maybe",
      "trusted=1&priority=5",
      "priority=5&trusted=1",
      "trusted=0&trusted=1",
    ].flatMap((o) => address(o, "not")),
    ...[
      "priority=10",
      "priority=-1",
      "priority=low",
      "priority=",
      "want-mass-query=true",
      "compression=bzip2",
      "compression=lz4",
      "parallel-compression=true",
      "nobody-knows=1",
      "local-nar-cache=/tmp",
      "index-debug-info=true",
      "write-nar-listing=1",
      "path-info-cache-size=9",
      "secret-key=/nowhere",
      "a",
      "",

      "trusted=1;x",
    ].flatMap((o) => address(o)),
    netrc("its machine", "machine"),
    netrc("default", "default"),
    netrc("default behind another machine", "behind"),
    netrc("default before its machine", "before"),
    netrc("another machine", "other"),
    netrc("capitals", "capitals"),
    netrc("one line a word", "lines"),
    netrc("quotes", "quotes"),
    netrc("a comment", "comment"),
    netrc("a macro", "macro"),
    netrc("two entries of a machine", "two"),
    netrc("an account", "account"),
    netrc("no password", "nopass"),
    netrc("no login", "nologin"),
    netrc("its port", "port"),
    netrc("nothing", "nothing"),
    netrc("another case of the host", "case"),
    netrc("no file", "none"),
  ];
}

const NETRC: Readonly<Record<string, string>> = {
  machine: "machine 127.0.0.1 login u password p\n",
  default: "default login u password p\n",
  behind: "machine other.example login x password y\ndefault login u password p\n",
  before: "default login u password p\nmachine 127.0.0.1 login x password y\n",
  other: "machine other.example login u password p\n",
  capitals: "MACHINE 127.0.0.1 LOGIN u PASSWORD p\n",
  lines: "machine\n127.0.0.1\nlogin\nu\npassword\np\n",
  quotes: 'machine 127.0.0.1 login "u" password "p"\n',
  comment: "# mine\nmachine 127.0.0.1 login u password p # behind\n",
  macro:
    "macdef init\nmachine 127.0.0.1 login x password y\n\nmachine 127.0.0.1 login u password p\n",
  two: "machine 127.0.0.1 login u password p\nmachine 127.0.0.1 login x password y\n",
  account: "machine 127.0.0.1 login u account a password p\n",
  nopass: "machine 127.0.0.1 login u\n",
  nologin: "machine 127.0.0.1 password p\n",
  port: "machine 127.0.0.1:1 login u password p\n",
  nothing: "",
  case: "machine 127.0.0.1. login u password p\n",
};

export const ALLOWED = `Basic ${Buffer.from("u:p").toString("base64")}`;

export async function settings(court: Court, secret: string): Promise<Comparison<SettingsWorld>> {
  const { storeDir } = court.machine;
  const [one, other, two] = ["k-1", "k-1", "k-2"].map((name) => newSecretKey(name));
  const signers = [one, other, two].map((text) => parseSigningKey(text ?? ""));
  const [key, otherKey, twoKey] = signers;
  if (!key || !otherKey || !twoKey || !one || !two) throw new Error("no keys");
  const files: Record<string, string> = {};
  const write = async (name: string, text: string) => {
    files[name] = join(court.machine.root, `file-${name}`);
    await writeFile(files[name], text, { mode: 0o600 });
  };
  await Promise.all(Object.entries(NETRC).map(([name, text]) => write(name, text)));
  await Promise.all([write("key", one), write("key2", two)]);
  const all = cases(
    {
      one: key.publicKey.text,
      other: otherKey.publicKey.text,
      two: twoKey.publicKey.text,
      cut: twoKey.publicKey.text.slice(0, -6),
    },
    files,
  );
  let number = 0;
  const world = (
    [what, lines, signed = "by k-1", scheme = "http"]: Case,
    next: Chance,
  ): SettingsWorld => {
    const at = `settings/${number++}`;
    const address =
      scheme === "file"
        ? `file://${join(court.folder, at)}`
        : `${scheme === "private" ? secret : court.server.origin}/${at}`;
    return {
      what: `${what} (${scheme}, ${signed})`,
      settings: lines.map((line) => line.replace(/\bA(?=[ ?/]|$)/g, address)),
      made: madeUp(storeDir, next, "path"),
      at,
      signed,
      scheme,
    };
  };
  const once = chance(11);
  return {
    name: "settings",
    usual: 15,
    share: 8,
    always: all.map((one) => world(one, once)),
    make(next) {
      const pick = () => all[next(all.length)] ?? (["a trusted key", [SUB]] as const);
      const [first, second] = [pick(), pick()];
      const names = new Set(first[1].map((line) => line.split(" = ")[0]));
      // Of two that say the same setting the last one counts: each is said once.
      const more = second[1].filter((line) => !names.has(line.split(" = ")[0]));
      return world(
        [`${first[0]} + ${second[0]}`, [...first[1], ...more], first[2], first[3]],
        next,
      );
    },
    async nix({ settings: lines, made, at, signed }) {
      const text = narInfoText(
        made,
        signed === "by k-2" ? twoKey : signed === "not" ? undefined : key,
      );
      const wrong = text.replace(/NarSize: \d+/, (line) => line);
      const told =
        signed === "wrongly" ? wrong.replace(/^References: /m, `References: ${made.base}`) : text;
      await writeCache({ directory: join(court.folder, at), storeDir }, [{ made, text: told }]);
      const { code } = await court.run("nix-store", ["--realise", made.path], lines.join("\n"));
      return code === 0 ? "fetches" : "does not";
    },
    async ours({ settings: lines, made }) {
      const environment = { ...court.machine.environment, NIX_CONFIG: lines.join("\n") };
      return (await answerOf(environment, court.machine.root, made.path)) ? "fetches" : "does not";
    },
  };
}
