import { describe, expect, test } from "@jest/globals";
import {
  credentialsIn,
  fileUrl,
  parseCacheLocation,
  parseSubstituters,
  withoutCredentials,
} from "../../src/domain/location.ts";
import { userError, whole } from "../support/thrown.ts";

describe("the place of a cache", () => {
  test.each([
    ["github", { kind: "github" }],
    ["none", { kind: "none" }],
    ["cachix:my-cache", { kind: "cachix", name: "my-cache", host: new URL("https://cachix.org") }],
    [
      "cachix:a?host=http://127.0.0.1:9",
      { kind: "cachix", name: "a", host: new URL("http://127.0.0.1:9") },
    ],
    ["attic:host/cache", { kind: "attic", server: new URL("https://host"), cache: "cache" }],
    [
      "attic:http://host:8080/below/cache",
      { kind: "attic", server: new URL("http://host:8080/below"), cache: "cache" },
    ],
    ["http://host", { kind: "http", url: new URL("http://host") }],
    ["https://host/a?priority=10", { kind: "http", url: new URL("https://host/a?priority=10") }],
    ["file:///a/b%20c/", { kind: "file", url: new URL("file:///a/b%20c/"), directory: "/a/b c" }],
    ["s3://bucket?region=eu", { kind: "s3", url: new URL("s3://bucket?region=eu") }],
    ["ssh-ng://user@host", { kind: "ssh-ng", url: new URL("ssh-ng://user@host") }],
  ])("%s", (text, location) => {
    expect(parseCacheLocation(text)).toEqual(location);
  });

  test.each([
    ["", "it is not a kind of cache"],
    ["githup", 'Did you mean "github"?'],
    ["cachx:a", 'Did you mean "cachix:"?'],
    ["my-cache", "it is not a kind of cache"],
    ["/a/b", "it is not a kind of cache"],
    ["http:/host", "it is not a kind of cache"],
    ["HTTPS://host", "it is not a kind of cache"],
    ["https://", "it is not a URL"],
    ["https://a b", "it is not a URL"],
    ["https://host/#part", "it holds a #"],
    ["ftp://host/a", '"ftp://" is not a kind of cache'],
    ["javascript://host", "is not a kind of cache"],
    ["file://host/a", "a file cache needs an absolute directory"],
    ["file:///", "a file cache needs an absolute directory"],
    ["file:///a%zz", "its directory is not percent-encoded text"],
    ["file:///a%00b", "its directory is not percent-encoded text"],
    ["s3://", "there is no name behind the //"],
    ["ssh-ng://", "there is no name behind the //"],
    ["cachix:", '"" is not the name of a Cachix cache'],
    ["cachix:a b", '"a b" is not the name of a Cachix cache'],
    ["cachix:../a", '"../a" is not the name'],
    ["cachix:a?hots=x", '"hots" is not an option of cachix:NAME?host=URL'],
    ["cachix:a?host=file:///x", '"file:///x" is not an http(s) URL'],
    ["attic:cache", "it is not attic:SERVER/CACHE"],
    ["attic:host/", "it is not attic:SERVER/CACHE"],
    ["attic:/cache", "it is not attic:SERVER/CACHE"],
  ])("%j is refused", (text, message) => {
    const error = userError(() => parseCacheLocation(text));
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
    expect(whole(userError(() => parseCacheLocation(text)))).not.toContain("hunter2");
  });
});

describe("lines of substituters", () => {
  const KEY = "test-1:lsbNfweSTD355LPCB4HStuWUrYtGu/wW8TV39WbYnK4=";

  test("are URLs with their keys", () => {
    const lines = `\n# a comment\nhttps://a ${KEY}  ${KEY}\r\nfile:///b\n`;
    expect(
      parseSubstituters(lines).map(({ text, publicKeys }) => [
        text,
        publicKeys.map(({ text: key }) => key),
      ]),
    ).toEqual([
      ["https://a", [KEY, KEY]],
      ["file:///b", []],
    ]);
  });

  test("a key that is none is named", () => {
    const error = userError(() => parseSubstituters(`https://a ${KEY} other-1:abc`));
    expect(error.message).toBe('substituters: "other-1:…" is not a public key');
  });

  test("a secret key in its place is not told", () => {
    const secret = Buffer.alloc(64, 0x5a).toString("base64");
    for (const key of [`test-1:${secret}`, secret]) {
      const error = userError(() => parseSubstituters(`https://a ${key}`));
      expect(whole(error)).not.toContain(secret.slice(20));
    }
  });

  test("a place that is none is named with the input", () => {
    const error = userError(() => parseSubstituters("https://a\nhtps://b"));
    expect(error.message).toContain('substituters: "htps://b" cannot be used');
    expect(error.message).toContain('Did you mean "https://"?');
  });
});

describe("the URL of a directory", () => {
  test.each(["/a b", "/a?b#c", "/50%", "/ünï", "/a[1]^2|3", '/q"<>', "/a\\b"])(
    "%s is read back",
    (directory) => {
      const url = fileUrl(directory);
      expect(parseCacheLocation(`${url}?compression=xz`)).toMatchObject({
        kind: "file",
        directory,
      });
      // In nix.conf white space ends a value's word, and # the line.
      expect(url).not.toMatch(/[\s#?]/);
    },
  );
});

describe("credentials in addresses", () => {
  test.each([
    [
      "git+https://x-access-token:ghs_1234@github.com/o/r?ref=main#a",
      "git+https://***@github.com/o/r?ref=main#a",
    ],
    ["https://ghp_1234567890@host/x", "https://***@host/x"],
    ["https://me:p@ss@host", "https://***@host"],
    ["'https://u:p@h' and \"http://v:q@i\"", "'https://***@h' and \"http://***@i\""],
    ["ssh://git:pw@host/x", "ssh://***@host/x"],
    [
      "https://h/a.tar.gz?private_token=glpat-x&ref=1#b",
      "https://h/a.tar.gz?private_token=***&ref=1#b",
    ],
    ["s3://b/x?X-Amz-Signature=abc", "s3://b/x?X-Amz-Signature=***"],
  ])("%s is shown as %s", (text, shown) => {
    expect(withoutCredentials(text)).toBe(shown);
    // In JSON as well, which escapes what stands around it.
    expect(withoutCredentials(JSON.stringify({ text }))).toBe(JSON.stringify({ text: shown }));
  });

  test.each([
    "git+ssh://git@github.com/o/r",
    "ssh-ng://builder@host",
    "https://host/@scope/package",
    "https://host/path?a=b@c",
    "nixpkgs#bws pin=bws",
    "mail me@example.org, see https://example.org",
    "file:///a?secret-key=/etc/key",
  ])("%s stays as it is", (text) => {
    expect(withoutCredentials(text)).toBe(text);
    expect(credentialsIn(text)).toEqual([]);
  });

  test("are masked by themselves, too: as written and as meant; what is short stands in any text", () => {
    expect(credentialsIn("https://user:to%2Fken-12345@host and http://a:b@c")).toEqual([
      "user:to%2Fken-12345",
      "user:to/ken-12345",
      "to%2Fken-12345",
      "to/ken-12345",
    ]);
  });
});
