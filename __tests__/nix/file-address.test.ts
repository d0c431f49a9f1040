import { expect, test } from "@jest/globals";
import { fileAddress } from "../../src/nix/known-caches.ts";

test.each([
  ["2.8.0", "file:///a/my%20cache?trusted=1", "file:///a/my cache?trusted=1"],
  ["2.8.0", "file:///a/caf%C3%A9", "file:///a/café"],
  ["2.8.0", "file:///a/what%3F", "file:///a/what%3F"],
  ["2.8.0", "https://a.example/my%20cache", "https://a.example/my%20cache"],
  ["2.26.3", "file:///a/my%20cache", "file:///a/my%20cache"],
])("Nix %s reads %s at %s", (version, url, address) => {
  expect(fileAddress(version, url)).toBe(address);
});
