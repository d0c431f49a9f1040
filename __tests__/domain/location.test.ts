import { describe, expect, test } from "@jest/globals";
import { fileKind } from "../../src/caches/file/file.ts";
import { register } from "../../src/caches/register.ts";
import { UserError } from "../../src/domain/errors.ts";
import {
  fileUrl,
  holdsPassword,
  parseSubstituters,
  withoutPasswords,
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
    ["https://ci:hunter2@host/a", "https://ci:***@host/a"],
    ["http://:hunter2@host", "http://:***@host"],
    ["https://ci:hun:ter2@host", "https://ci:***@host"],
    [
      "warning: unable to download 'https://ci:hunter2@a/x'; https://b:hunter2@c answers 401",
      "warning: unable to download 'https://ci:***@a/x'; https://b:***@c answers 401",
    ],
  ])("of %s is masked", (text, masked) => {
    expect(holdsPassword(text)).toBe(true);
    expect(withoutPasswords(text)).toBe(masked);
  });

  test.each([
    "https://host:8080/a@b",
    "ssh-ng://user@host",
    "https://host/a?x=b:c@d",
    "builder ssh://me@host:22 and you@example.org",
  ])("is not in %s", (text) => {
    expect(holdsPassword(text)).toBe(false);
    expect(withoutPasswords(text)).toBe(text);
  });
});
