import { readFile } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import type { OptionRule, OptionRules } from "../../src/caches/address-options.ts";
import { optionsOf, priorityOf } from "../../src/caches/address-options.ts";
import { KINDS, register } from "../../src/caches/register.ts";
import { HttpClient } from "../../src/host/http-client.ts";
import { openAt, openRequest } from "../support/open-cache.ts";
import { userError } from "../support/thrown.ts";

/** What `nix __dump-cli` of 2.34.8 says of its kinds of store. */
const NIX = JSON.parse(
  await readFile("__tests__/fixtures/store-options-2.34.json", "utf8"),
) as Readonly<Record<string, readonly string[]>>;

const ADDRESSES: Readonly<Record<string, string>> = {
  http: "https://host",
  s3: "s3://bucket",
  file: "file:///cache",
  "ssh-ng": "ssh-ng://host",
  attic: "attic:host/cache",
  cachix: "cachix:name",
};

/** Behind addresses of binary caches, and handed to no Nix. */
const OURS = "index";

const rulesOf = (kind: string): OptionRules =>
  KINDS.find(({ facts }) => facts.kind === kind)?.options ?? {};
const parse = (address: string, input = "cache") => register.parse(address, input);

describe.each(Object.entries(NIX))("the options that Nix 2.34 has for %s", (kind, names) => {
  test("are all known, and no others", () => {
    const known = Object.keys(rulesOf(kind)).filter((name) => name !== OURS);
    expect(known.sort()).toEqual([...names].sort());
  });

  test.each(Object.entries(rulesOf(kind)))("%s is taken, or refused by its name", (name, rule) => {
    const address = `${ADDRESSES[kind]}?${name}=${legalFor(rule)}`;
    if (rule.is === "honoured" || rule.is === "Nix's own") {
      expect(parse(address)).toBeDefined();
      return;
    }
    const wrong = `${ADDRESSES[kind]}?${name}=anything`;
    expect(userError(() => parse(wrong)).message).toContain(`the option ${name} is not taken here`);
    for (const value of rule.but ?? []) {
      expect(parse(`${ADDRESSES[kind]}?${name}=${value}`)).toBeDefined();
    }
    // The address with which a cache was filled is one to read it by.
    if (rule.is === "not here") expect(parse(wrong, "substituters")).toBeDefined();
    // What Nix is configured with is Nix's to judge.
    expect(parse(wrong, "Nix's substituters")).toBeDefined();
  });

  test("and one that is misspelt is named, with the nearest", () => {
    for (const input of ["cache", "substituters"]) {
      const error = userError(() => parse(`${ADDRESSES[kind]}?prioirty=10`, input));
      expect(error.code).toBe("NCP-103");
      expect(error.message).toContain(
        '"prioirty" is not an option of such an address (did you mean priority?)',
      );
    }
    expect(parse(`${ADDRESSES[kind]}?prioirty=10`, "Nix's substituters")).toBeDefined();
  });
});

/** A value that an honoured option takes. */
function legalFor(rule: OptionRule): string {
  if (rule.is !== "honoured" || !rule.legal) return "x";
  const found = ["10", "-1", "1", "zstd", "https", "auto", "eu-west-1", "STANDARD_IA"].find(
    rule.legal.test,
  );
  if (found === undefined) throw new Error(rule.legal.words);
  return found;
}

describe("an option's value", () => {
  test.each([
    ["https://host?priority=first", "priority", "a whole number"],
    ["https://host?compression=bzip2", "compression", "zstd, xz, none"],
    ["file:///c?compression-level=99", "compression-level", "1 to 22 with zstd"],
    ["s3://bucket?scheme=ftp", "scheme", "https, http"],
    ["s3://bucket?addressing-style=vhost", "addressing-style", "auto, path, virtual"],
    ["s3://bucket?storage-class=standard", "storage-class", "a name of S3's"],
    ["file:///c?trusted=maybe", "trusted", "1, true, yes, 0, false, no"],
  ])("%s is named, with what is legal", (address, name, legal) => {
    const { message } = userError(() => parse(address));
    expect(message).toContain(`${name}=`);
    expect(message).toContain(legal);
  });
});

describe("an address that is read", () => {
  const http = new HttpClient({});
  const open = (address: string, given = {}) => openAt(address, { http, ...given });

  test.each([
    ["attic:host/cache/", "https://host/cache"],
    ["attic:host/cache?priority=7", "https://host/cache?priority=7"],
    ["attic:host/cache/?priority=-7", "https://host/cache?priority=-7"],
    ["cachix:name?priority=7", "https://name.cachix.org?priority=7"],
    ["https://host/a?priority=7", "https://host/a?priority=7"],
    ["file:///cache?priority=7", "file:///cache?priority=7&trusted=1"],
  ])("%s is told to Nix as %s, its priority too", (address, url) => {
    const { substituter } = open(address);
    expect(substituter.url).toBe(url);
    expect(substituter.priority).toBe(priorityOf(optionsOf(url)));
  });

  test.each(["1", "true", "yes"])("?trusted=%s is what Nix takes it for", async (value) => {
    const { permission } = await open(`ssh-ng://host?trusted=${value}`, {
      remoteStore: () => ({ describe: async () => ({ trust: undefined }) }),
    }).describe(new AbortController().signal);
    expect(permission).not.toBe("read");
  });

  test("with what only writing needs is no trouble to a reader", () => {
    const address = "file:///cache?compression=bzip2&secret-keys=/a/key";
    const location = parse(address, "substituters");
    if (!location) throw new Error("it is one");
    const reader = register.open(location, openRequest(address, { http, role: "substituter" }));
    expect(reader.substituter.url).toContain("file:///cache?");
  });
});

test("every option stands in docs/addresses.md with what becomes of it, and no others", async () => {
  const text = await readFile("docs/addresses.md", "utf8");
  const rows = [...text.matchAll(/^\| `([a-z0-9-]+)` \| ([^|]+) \| ([^|]+) \|/gm)];
  const said = new Map(rows.map(([, name = "", kinds = "", fate = ""]) => [name, { kinds, fate }]));
  const known = new Map<string, OptionRule["is"][]>();
  for (const { facts, options = {} } of KINDS) {
    for (const [name, { is }] of Object.entries(options)) {
      known.set(name, [...(known.get(name) ?? []), is]);
      expect(`${name}: ${said.get(name)?.kinds}`).toContain(facts.kind);
    }
  }
  expect([...said.keys()].sort()).toEqual([...known.keys()].sort());
  for (const [name, fates] of known) {
    const is = new Set(
      fates.map((fate) => (fate === "not here" || fate === "nowhere" ? "refused" : fate)),
    );
    for (const fate of is) expect(`${name}: ${said.get(name)?.fate}`).toContain(fate);
  }
});
