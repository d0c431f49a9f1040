import { expect, test } from "@jest/globals";
import { parseNetrc } from "../../src/nix/netrc.ts";

test.each([
  ["machine a login me password s", { a: ["me", "s"] }],
  ["machine a\n  login me\n\tpassword s\nmachine b password t", { a: ["me", "s"], b: ["", "t"] }],
  ['machine a login "" password "a \\" b"', { a: ["", 'a " b'] }],
  ["machine a password one\nmachine a password two", { a: ["", "one"] }],
  ["default login me password s", {}],
  ["machine a password s\ndefault login me password t", { a: ["", "s"] }],
  ["# machine a password s\nmachine b password t", { b: ["", "t"] }],
  ["macdef init\n machine a password s\n\nmachine b password t", { b: ["", "t"] }],
  ["machine", { "": ["", ""] }],
  ["", {}],
])("%j", (text, expected) => {
  const found = [...parseNetrc(text)].map(([host, { login, password }]) => [
    host,
    [login, password],
  ]);
  expect(Object.fromEntries(found)).toEqual(expected);
});
