import { mkdir } from "node:fs/promises";
import { basename } from "node:path";
import { expect, test } from "@jest/globals";
import type { NixCommand } from "../../src/nix/command.ts";
import { measure, type Observed } from "../../src/nix/measure.ts";
import { temporaryFolder } from "../support/folder.ts";
import { derivation, out } from "../support/graph.ts";
import { STORE } from "../support/paths.ts";

const [one, floating] = [derivation("one"), derivation("floating")];

/** Of a build that began a second ago. */
async function measured(of: Partial<Observed>) {
  await using folder = await temporaryFolder();
  await mkdir(folder.at(basename(out(one))));
  const dumped = [out(one), "0".repeat(64), "8", "", "0", ""].join("\n");
  const run = async (_: string, args: readonly string[]) => (args[0] === "--dump-db" ? dumped : "");
  const observed: Observed = {
    place: {
      storeDir: STORE,
      realStoreDir: folder.path,
      directory: folder.path,
      movedBy: undefined,
    },
    begun: new Map([[one.path, Date.now() - 1_000]]),
    elsewhere: "none",
    peaks: new Map(),
    full: undefined,
    outputs: async (drvPath) => (drvPath === one.path ? [out(one)] : []),
    ...of,
  };
  return await measure({ run } as unknown as NixCommand, observed, new AbortController().signal);
}

test("how long builds ran is told where all that ran was seen, and else left open", async () => {
  expect(await measured({})).toHaveProperty("busySeconds", expect.any(Number));
  // What another machine builds meanwhile is none of the time around the builds.
  expect(await measured({ elsewhere: "some" })).not.toHaveProperty("busySeconds");
  // Nor is what a content-addressed one takes, of which nobody knows what to look at.
  const both = new Map([one, floating].map(({ path }) => [path, Date.now() - 1_000]));
  expect(await measured({ begun: both })).not.toHaveProperty("busySeconds");
});
