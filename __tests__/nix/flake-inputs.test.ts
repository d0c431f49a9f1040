/** Owns what a flake's lock says of store paths: where each input is, as real Nix has it, and who may read it. */

import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "@jest/globals";
import { lockedNode, lockedSources } from "../../src/nix/flake-inputs.ts";
import { temporaryFolder } from "../support/folder.ts";
import { STORE } from "../support/paths.ts";

const run = promisify(execFile);
const SUM = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
const hasSecret = (host: string) => host.endsWith("secret.example.org");

test("an input is found in the lock by what the flake calls it", () => {
  const text = JSON.stringify({
    root: "root",
    nodes: {
      root: { inputs: { a: "a_2", nixpkgs: ["a", "b", "nixpkgs"], round: ["round"] } },
      a_2: { inputs: { b: ["c"], nixpkgs: "other" } },
      other: {},
    },
  });
  expect(lockedNode(text, "a")).toBe("a_2");
  // What is followed is named from the root on.
  const followed = text
    .replace('"round"', '"c":"c_1","round"')
    .replace('"other":{}', '"c_1":{"inputs":{"nixpkgs":"deep"}}');
  expect(lockedNode(followed, "nixpkgs")).toBe("deep");
  for (const name of ["nixpkgs", "round", "none"]) expect(lockedNode(text, name)).toBeUndefined();
  expect(lockedNode("no JSON", "a")).toBeUndefined();
});

function readersOf(locked: object): string | undefined {
  const text = JSON.stringify({ nodes: { a: { locked: { narHash: SUM, ...locked } }, root: {} } });
  return lockedSources(text, { storeDir: STORE, hasSecret })[0]?.readers;
}

test.each<[string, object, "everybody" | "perhaps only some" | undefined]>([
  ["GitHub", { type: "github", owner: "a", repo: "b" }, "everybody"],
  ["a forge of one's own", { type: "gitlab", host: "git.example.org" }, "everybody"],
  [
    "a forge that Nix has a token for",
    { type: "gitlab", host: "secret.example.org" },
    "perhaps only some",
  ],
  ["a forge whose API is in netrc", { type: "github", host: "x" }, "everybody"],
  ["an archive", { type: "tarball", url: "https://example.org/a.tar.gz" }, "everybody"],
  [
    "an archive behind a login",
    { type: "tarball", url: "https://me:x@example.org/a.tar.gz" },
    "perhaps only some",
  ],
  [
    "an archive with a token in its address",
    { type: "tarball", url: "https://example.org/a.tar.gz?token=x" },
    "perhaps only some",
  ],
  [
    "an archive of a host in netrc",
    { type: "tarball", url: "https://secret.example.org/a.tar.gz" },
    "perhaps only some",
  ],
  ["an archive on this disk", { type: "tarball", url: "file:///a.tar.gz" }, "perhaps only some"],
  ["git, which has helpers", { type: "git", url: "https://example.org/a" }, "perhaps only some"],
  ["git over SSH", { type: "git", url: "ssh://git@example.org/a" }, "perhaps only some"],
  ["a folder", { type: "path", path: "/a" }, "perhaps only some"],
  ["no kind", {}, "perhaps only some"],
  ["no sum", { type: "github", narHash: undefined }, undefined],
  ["another sum", { type: "github", narHash: "sha512-AAAA" }, undefined],
])("an input from %s", (_, locked, readers) => {
  expect(readersOf(locked)).toBe(readers);
});

test.each(["", "{", "null", "[]", '{"nodes":null}', '{"nodes":{"a":null,"b":{"locked":7}}}'])(
  "of a lock file that is none (%s) nothing is read",
  (text) => {
    expect(lockedSources(text, { storeDir: STORE, hasSecret })).toEqual([]);
  },
);

test("the path is the one that Nix gives the source", async () => {
  await using temp = await temporaryFolder();
  const source = join(temp.path, "source");
  await mkdir(source);
  await writeFile(join(source, "flake.nix"), "{ outputs = _: { }; }");
  const store = join(temp.path, "store");
  // biome-ignore lint/style/noProcessEnv: Nix is where this process finds it
  const env = { ...process.env, NIX_STORE_DIR: store, NIX_STATE_DIR: join(temp.path, "state") };
  const nix = async (...args: string[]) =>
    (
      await run("nix", ["--extra-experimental-features", "nix-command flakes", ...args], { env })
    ).stdout.trim();
  const narHash = await nix("hash", "path", "--sri", source);
  const added = await nix("store", "add-path", "--name", "source", source);
  const text = JSON.stringify({ nodes: { lib: { locked: { type: "path", narHash } } } });
  expect(lockedSources(text, { storeDir: store, hasSecret })).toMatchObject([
    { name: "lib", path: added },
  ]);
});
