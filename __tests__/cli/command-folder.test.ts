import { rmdir } from "node:fs/promises";
import { dirname } from "node:path";
import { expect, test } from "@jest/globals";
import { beginFolder } from "../../src/cli/command-folder.ts";
import { temporaryFolder } from "../support/folder.ts";

test("a command's folder is below the state folder of its user", async () => {
  await using folder = await temporaryFolder();
  const made = await beginFolder({ XDG_STATE_HOME: folder.at("state") });
  expect(dirname(made)).toBe(folder.at("state", "nix-cache-preflight"));
});

test("where the kernel lets nobody make one, and calls it absent, it is another and soon there", async () => {
  const made = await beginFolder({ XDG_STATE_HOME: "/proc/state" });
  expect(made).toMatch(/\/nix-cache-preflight-\w+$/);
  await rmdir(made);
});
