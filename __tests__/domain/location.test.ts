import { describe, expect, test } from "@jest/globals";
import { fileKind } from "../../src/caches/file/file.ts";
import { register } from "../../src/caches/register.ts";
import { UserError } from "../../src/domain/errors.ts";
import {
  credentialsIn,
  fileUrl,
  holdsPassword,
  parseSubstituters,
  withoutCredentials,
} from "../../src/domain/location.ts";
import { userError, whole } from "../support/thrown.ts";

describe("lines of substituters", () => {
  const KEY = "test-1:lsbNfweSTD355LPCB4HStuWUrYtGu/wW8TV39WbYnK4=";

  test("are URLs with their keys", () => {
    const lines = `\n# a comment\nhttps://a ${KEY}  ${KEY}\r\nfile:///b\n`;
    expect(
      parseSubstituters(lines, register).map(({ text, publicKeys }) => [
        text,
        publicKeys.map(({ text: key }) => key),
      ]),
    ).toEqual([
      ["https://a", [KEY, KEY]],
      ["file:///b", []],
    ]);
  });

  test("a key that is none is named", () => {
    const error = userError(() => parseSubstituters(`https://a ${KEY} other-1:abc`, register));
    expect(error.message).toBe('substituters: "other-1:…" is not a public key');
  });

  test("a secret key in its place is not told", () => {
    const secret = Buffer.alloc(64, 0x5a).toString("base64");
    for (const key of [`test-1:${secret}`, secret]) {
      const error = userError(() => parseSubstituters(`https://a ${key}`, register));
      expect(whole(error)).not.toContain(secret.slice(20));
    }
  });

  test("a place that is none is named with the input", () => {
    const error = userError(() => parseSubstituters("https://a\nhtps://b", register));
    expect(error.message).toContain('substituters: "htps://b" cannot be used');
    expect(error.message).toContain('Did you mean "https://"?');
  });
});

describe("the URL of a directory", () => {
  test.each(["/a b", "/a?b#c", "/50%", "/ünï", "/a[1]^2|3", '/q"<>', "/a\\b"])(
    "%s is read back",
    (directory) => {
      const url = fileUrl(directory);
      expect(
        fileKind.parse(`${url}?compression=xz`, (why) => new UserError("NCP-103", why)),
      ).toMatchObject({ directory });
      // In nix.conf white space ends a value's word, and # the line.
      expect(url).not.toMatch(/[\s#?]/);
    },
  );
});

describe("a password in an address", () => {
  test.each([
    ["https://ci:hunter2@host/a", "https://***@host/a"],
    ["http://:hunter2@host", "http://***@host"],
    ["https://ci:hun:ter2@host", "https://***@host"],
    [
      "warning: unable to download 'https://ci:hunter2@a/x'; https://b:hunter2@c answers 401",
      "warning: unable to download 'https://***@a/x'; https://***@c answers 401",
    ],
  ])("of %s is masked", (text, masked) => {
    expect(holdsPassword(text)).toBe(true);
    expect(withoutCredentials(text)).toBe(masked);
  });

  test.each([
    "https://host:8080/a@b",
    "ssh-ng://user@host",
    "https://host/a?x=b:c@d",
    "builder ssh://me@host:22 and you@example.org",
  ])("is not in %s", (text) => {
    expect(holdsPassword(text)).toBe(false);
  });
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
