import { describe, expect, test } from "@jest/globals";
import { DEFAULTS, parseInputs } from "../../src/action/inputs.ts";
import { trustOf } from "../../src/action/trust.ts";
import type { CacheKind } from "../../src/caches/kind.ts";
import { KINDS, register, registerOf } from "../../src/caches/register.ts";
import { describeSubstituters } from "../../src/engine/survey/substituters.ts";
import { HttpClient } from "../../src/host/http-client.ts";
import { checks, projectFacts, workflow } from "../support/audited.ts";
import { payload } from "../support/events.ts";
import { locationOf, openAt, openRequest } from "../support/open-cache.ts";
import { storePath } from "../support/paths.ts";
import { userError, whole } from "../support/thrown.ts";
import { memoryCache, SIGNAL, served, world } from "../support/world.ts";

describe("the address of a cache", () => {
  test.each([
    ["github", "github", undefined, "github"],
    ["cachix:my-cache", "cachix", "my-cache", "cachix:my-cache?host=https%3A%2F%2Fcachix.org%2F"],
    [
      "cachix:a?host=http://127.0.0.1:9",
      "cachix",
      "a",
      "cachix:a?host=http%3A%2F%2F127.0.0.1%3A9%2F",
    ],
    ["attic:host/cache", "attic", "cache", "attic:https://host/cache"],
    ["attic:http://host:8080/below/cache", "attic", "cache", "attic:http://host:8080/below/cache"],
    ["http://host", "http", "host", "http://host"],
    ["https://Host/a/?priority=10", "http", "host", "https://host/a"],
    ["file:///a/b%20c/?trusted=1", "file", undefined, "file:///a/b%20c"],
    ["s3://bucket?region=eu", "s3", "bucket", "s3://bucket"],
    ["s3://b?endpoint=127.0.0.1:9&profile=x", "s3", "b", "s3://b?endpoint=127.0.0.1%3A9"],
    ["ssh-ng://user@host?compress=true", "ssh-ng", "host", "ssh-ng://user@host"],
  ])("%s", (text, kind, name, place) => {
    expect(locationOf(text)).toMatchObject({ kind, name, place, address: text });
    expect(register.kindOf(text)?.kind).toBe(kind);
  });

  test.each(["cachix:", "attic:", "https://", "s3://", "ssh-ng://", "file:///"])(
    "%s without a name says that it is missing, and does not offer itself",
    (text) => {
      const error = userError(() => register.parse(text, "cache"));
      const why = "its name is missing, as where a variable is empty";
      expect(error.message).toBe(`cache: "${text}" cannot be used: ${why}.`);
    },
  );

  test("a cache to read is not said to be none, nor GitHub's", () => {
    const { hint } = userError(() => register.parse("shelf:a", "substituters"));
    expect(hint).toMatch(/^write one of cachix:NAME, .*, ssh-ng:\/\/HOST$/);
  });

  test("none is no cache", () => {
    expect(register.parse("none", "cache")).toBeUndefined();
  });

  test.each([
    ["", "it is not a kind of cache"],
    ["githup", 'Did you mean "github"?'],
    ["cachx:a", 'Did you mean "cachix:"?'],
    ["my-cache", "it is not a kind of cache"],
    ["/a/b", "it is not a kind of cache"],
    ["http:/host", "it is not a kind of cache"],
    ["HTTPS://host", "it is not a kind of cache"],
    ["https://a b", "it is not a URL"],
    ["https://host/#part", "it holds a #"],
    ["ftp://host/a", '"ftp://" is not a kind of cache'],
    ["javascript://host", "is not a kind of cache"],
    ["file://host/a", "a file cache needs an absolute directory"],
    ["file:///a%zz", "its directory is not percent-encoded text"],
    ["file:///a%00b", "its directory is not percent-encoded text"],
    ["cachix:a b", '"a b" is not the name of a Cachix cache'],
    ["cachix:../a", '"../a" is not the name'],
    ["cachix:a?hots=x", '"hots" is not an option of cachix:NAME?host=URL'],
    ["cachix:a?host=file:///x", '"file:///x" is not an http(s) URL'],
    ["attic:cache", "it is not attic:SERVER/CACHE"],
    ["attic:host/", "it is not attic:SERVER/CACHE"],
    ["attic:/cache", "it is not attic:SERVER/CACHE"],
  ])("%j is refused", (text, message) => {
    const error = userError(() => locationOf(text));
    expect(error.code).toBe("NCP-103");
    expect(error.message).toContain(`cache: "${text}"`);
    expect(error.message).toContain(message);
    expect(error.hint).toContain("github, cachix:NAME, attic:SERVER/CACHE");
  });

  test.each([
    "https://user:hunter2@host/a",
    "https://:hunter2@host",
    "http://user:hunter2@",
    "https://user:hun/hunter2@host:port",
    "HTTPS://user:hunter2@host",
    "https:user:hunter2@host",
    "user:hunter2@host",
    "s3://key:hunter2@bucket",
    "ssh-ng://user:hunter2@host",
    "ftp://user:hunter2@host",
    "file://user:hunter2@host/a",
    "cachix:a?host=https://user:hunter2@host",
    "cachix:a?host=ftp://user:hunter2@host",
    "cachix:a?other=https://user:hunter2@host",
    "cachix:https://user:hunter2@host",
    "cachix:a?host=https://user:hunter2?x@host",
    "cachix:a?host=ftp://user:hunter2?x@host",
    "attic:https://user:hunter2@host/cache",
    "attic:https://user:hunter2@host/",
    "attic:user:hunter2@host",
  ])("the password in %s is refused and not told", (text) => {
    expect(whole(userError(() => locationOf(text)))).not.toContain("hunter2");
  });
});

describe("two addresses", () => {
  test.each([
    ["https://host/a/", "https://host/a?priority=3", "one"],
    ["https://host/a", "https://host/A", "two"],
    ["https://host", "http://host", "two"],
    ["cachix:a", "cachix:a?host=https://cachix.org", "one"],
    ["cachix:a", "cachix:a?host=https://cachix.example.org", "two"],
    ["attic:host/a", "attic:https://host/a", "one"],
    ["file:///a%20b", "file:///a b/?trusted=1", "one"],
    ["s3://a?region=eu", "s3://a", "one"],
    ["s3://a?endpoint=one&region=eu", "s3://a?region=eu&endpoint=one", "one"],
    ["s3://a?endpoint=one", "s3://a", "two"],
    ["ssh-ng://host", "ssh-ng://me@host", "two"],
    ["ssh-ng://host", "ssh-ng://host?remote-store=/a", "two"],
    // Nix takes what we do not read.
    ["daemon", "auto", "two"],
    ["/a/store/", "/a/store", "one"],
  ])("%s and %s are %s", (one, other, expected) => {
    expect(register.placeOf(one) === register.placeOf(other) ? "one" : "two").toBe(expected);
  });

  test("an expression in a workflow hides no kind that is written before it", () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: GitHub's own
    expect(register.kindOf("cachix:${{ vars.NAME }}")?.token).toBe("needed to write");
    // biome-ignore lint/suspicious/noTemplateCurlyInString: GitHub's own
    expect(register.kindOf("${{ vars.CACHE }}")).toBeUndefined();
    expect(register.kindOf("github-mirror")).toBeUndefined();
  });
});

describe("the page of a path", () => {
  const bws = storePath("bws-1.0.0");
  const narinfo = `${bws.split("/").at(-1)?.slice(0, 32)}.narinfo`;

  test.each([
    ["https://cache.nixos.org", `https://cache.nixos.org/${narinfo}`],
    ["https://host/a/b/?priority=30", `https://host/a/b/${narinfo}`],
    ["http://127.0.0.1:8080?trusted=1", `http://127.0.0.1:8080/${narinfo}`],
    ["cachix:ours", "https://app.cachix.org/cache/ours"],
    ["cachix:a?host=http://127.0.0.1:9", `http://127.0.0.1:9/api/v1/cache/a/${narinfo}`],
    ["https://other.cachix.org", "https://app.cachix.org/cache/other"],
    ["attic:http://host:8080/cache", `http://host:8080/cache/${narinfo}`],
    ["file:///cache", undefined],
    ["s3://bucket", undefined],
  ] as const)("%s is %s", (text, expected) => {
    const http = new HttpClient({});
    expect(openAt(text, { http }).page(bws)).toBe(expected);
    http.close();
  });
});

/** Of no use, and whole: what CONTRIBUTING asks of a new kind, and nothing else. */
const shelfKind: CacheKind<{ readonly shelf: string }> = {
  facts: {
    kind: "shelf",
    token: "needed to write",
    readers: "everybody",
    keeper: "itself",
    staging: "where it pays",
  },
  form: "shelf:NAME",
  begins: ["shelf:"],
  parse(text, bad) {
    const shelf = text.slice("shelf:".length).split("?")[0] ?? "";
    if (!/^[a-z]+$/.test(shelf)) throw bad(`"${shelf}" is no shelf`);
    return { shelf };
  },
  place: ({ shelf }) => `shelf:${shelf}`,
  name: ({ shelf }) => shelf,
  page: ({ shelf }, path) => `https://shelves.example.org/${shelf}${path}`,
  open({ shelf }, { name, token }) {
    const { staging, place, page, ...client } = memoryCache(name, {
      verbs: token === undefined ? [] : ["push"],
    });
    client.content.set(storePath("book"), served(storePath("book")));
    return {
      ...client,
      substituter: { url: `shelf:${shelf}?at=home`, publicKeys: [], priority: 7 },
    };
  },
};

const { token: _said, ...forgetful } = shelfKind.facts;

describe("a kind of cache that is added", () => {
  const more = registerOf([...KINDS, shelfKind]);
  const read = (cache: string, substituters = "") =>
    parseInputs({ ...DEFAULTS, cache, substituters }, more);
  const open = (text: string, token?: string) => {
    const location = more.parse(text, "cache");
    if (!location) throw new Error(`${text} is no cache`);
    const http = { request: never, stream: never };
    return more.open(location, openRequest(text, { http, token }));
  };
  const never = () => Promise.reject(new Error("a shelf asks nobody"));

  test("is read from the inputs, as `cache` and among the substituters", () => {
    const { job } = read("shelf:mine", "shelf:theirs\nhttps://host");
    expect(job.cache).toEqual({
      ...shelfKind.facts,
      address: "shelf:mine",
      place: "shelf:mine",
      name: "mine",
    });
    expect(job.substituters.map(({ location }) => location?.kind)).toEqual(["shelf", "http"]);
  });

  test("has its mistakes told in its words, among the forms of the others", () => {
    const error = userError(() => read("shelf:9"));
    expect(error.message).toContain('cache: "shelf:9" cannot be used: "9" is no shelf.');
    expect(error.hint).toBe(
      "write one of github, cachix:NAME, attic:SERVER/CACHE, s3://BUCKET, https://HOST, file:///DIRECTORY, ssh-ng://HOST, shelf:NAME, none",
    );
    expect(userError(() => read("shlef:mine")).message).toContain('Did you mean "shelf:"?');
    expect(userError(() => parseInputs({ ...DEFAULTS, cache: "shelf:mine" })).message).toContain(
      '"shelf:mine" cannot be used: it is not a kind of cache',
    );
  });

  test.each([
    ["absent", "read-only"],
    ["given", "write"],
  ] as const)("with its token %s is %s", (token, expected) => {
    const { job } = read("shelf:mine");
    const trust = trustOf({
      eventName: "push",
      event: payload("push"),
      ref: "refs/heads/main",
      asked: "auto",
      cache: job.cache,
      token,
      cacheMode: "none",
    });
    expect(trust.kind).toBe(expected);
  });

  test("that forgets to say whether it needs a token does not compile, and is not written to", () => {
    // @ts-expect-error: `token` is missing
    const kind: CacheKind = { ...shelfKind, facts: forgetful };
    const cache = registerOf([kind]).parse("shelf:mine", "cache");
    const trust = trustOf({
      eventName: "push",
      event: payload("push"),
      ref: "refs/heads/main",
      asked: "auto",
      cache,
      token: "absent",
      cacheMode: undefined,
    });
    expect(trust.kind).toBe("read-only");
  });

  test("is opened with patience around it, and has what its kind says of it", async () => {
    const cache = open("shelf:mine", "secret");
    expect(cache).toMatchObject({ name: "shelf:mine", staging: "where it pays" });
    expect(cache.push).toBeDefined();
    expect(open("shelf:mine").push).toBeUndefined();
    expect(cache.place()).toBe("shelf:mine");
    expect(cache.page(storePath("book"))).toBe(
      `https://shelves.example.org/mine${storePath("book")}`,
    );
    expect((await cache.query(storePath("book"), SIGNAL)).kind).toBe("hit");
  });

  test("is no upstream of itself, however Nix's configuration writes it", async () => {
    const caches = {
      own: open("shelf:mine"),
      substituters: [open("shelf:mine?x"), open("shelf:b")],
    };
    const described = await describeSubstituters({ ...world(), ...caches }, SIGNAL);
    expect(described.map(({ substituter }) => substituter.cache.name)).toEqual([
      "shelf:mine",
      "shelf:b",
    ]);
  });

  test("is audited as the others are", async () => {
    const step = (cache: string) =>
      workflow(`- uses: o/nix-cache-preflight@v1\n  with:\n    mode: warm\n    cache: ${cache}`);
    const messages = async (cache: string) => {
      const all = await checks(await projectFacts(step(cache)), {
        ownUrl: "shelf:example?at=home",
        change: { job: read("shelf:example").job, addresses: more },
      });
      return all.filter(({ status }) => status !== "pass").map(({ message }) => message);
    };
    const told = await messages("shelf:example");
    expect(told).toContain("shelf:example is the name of an example");
    expect(told).toContain("o/nix-cache-preflight has no token: it reads, and pushes nothing");
    expect(told).toContain("no token was given, so none was tried");
    expect(told).toContain(
      "shelf:example is in no configuration of Nix here: only the steps of this action read it",
    );
    const tokenless = await messages("file:///cache");
    expect(tokenless).not.toContain(
      "o/nix-cache-preflight has no token: it reads, and pushes nothing",
    );
  });
});
