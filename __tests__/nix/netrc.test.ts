import { expect, test } from "@jest/globals";
import { parseNetrc } from "../../src/nix/netrc.ts";

test.each([
  ["machine a login me password s", { a: ["me", "s"] }],
  ["machine a\n  login me\n\tpassword s\nmachine b password t", { a: ["me", "s"], b: ["", "t"] }],
  ['machine a login "" password "a \\" b"', { a: ["", 'a " b'] }],
  ["machine a password one\nmachine a password two", { a: ["", "one"] }],
  ["default login me password s", { a: ["me", "s"], b: ["me", "s"] }],
  ["DEFAULT Login me PASSWORD s", { a: ["me", "s"], b: ["me", "s"] }],
  ["default login x password y\nmachine a password s", { a: ["x", "y"], b: ["x", "y"] }],
  ["machine a password s\ndefault login me password t", { a: ["", "s"], b: ["me", "t"] }],
  ["# machine a password s\nmachine b password t", { b: ["", "t"] }],
  ["macdef init\n machine a password s\n\nmachine b password t", { b: ["", "t"] }],
  ["machine", {}],
  ["", {}],
])("%j", (text, expected) => {
  const netrc = parseNetrc(text);
  const found = ["a", "b"].flatMap((host) => {
    const entry = netrc.get(host);
    return entry ? [[host, [entry.login, entry.password]]] : [];
  });
  expect(Object.fromEntries(found)).toEqual(expected);
});
