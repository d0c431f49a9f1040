import { chmod } from "node:fs/promises";
import { expect, test } from "@jest/globals";
import { nixCommand } from "../../src/nix/command.ts";
import { fingerprint } from "../../src/nix/eval-cache.ts";
import { temporaryFolder } from "../support/folder.ts";

const signal = new AbortController().signal;
const SUM = "0123456789abcdef".repeat(4);

/** A flake whose metadata are these, as this Nix prints them. */
async function told(metadata: object, version: string): Promise<string | undefined> {
  await using folder = await temporaryFolder();
  const nix = await folder.write("bin/nix", `#!/bin/sh\necho '${JSON.stringify(metadata)}'\n`);
  await chmod(nix, 0o755);
  return fingerprint(nixCommand({ PATH: folder.at("bin") }, folder.path), version, signal);
}

test("the name of an evaluation is what Nix tells, also of a tree that is not in the store", async () => {
  const locked = { type: "git" };
  expect(await told({ locked, locks: {}, path: "/nix/store/x", fingerprint: SUM }, "2.34.0")).toBe(
    SUM,
  );
  // Determinate Nix, with lazy trees.
  expect(await told({ locked, locks: {}, fingerprint: SUM }, "2.35.2")).toBe(SUM);
  // A dirty tree of before 2.20 has none.
  expect(await told({ locked, locks: {}, path: "/nix/store/x" }, "2.18.0")).toBeUndefined();
});
