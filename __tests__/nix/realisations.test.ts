import { spawnSync } from "node:child_process";
import { expect, test } from "@jest/globals";
import type { NixCommand } from "../../src/nix/command.ts";
import { realisations } from "../../src/nix/realisations.ts";
import { derivation, out } from "../support/graph.ts";
import { STORE } from "../support/paths.ts";

test("2,000 outputs are asked for in arguments that a process may have", async () => {
  const made = Array.from({ length: 2_000 }, (_, n) => derivation(`made-${n}`));
  const byPath = new Map<string, (typeof made)[number]>(made.map((one) => [one.path, one]));
  const sum = (n: number) => n.toString(16).padStart(64, "0");
  const nix: Pick<NixCommand, "try"> = {
    try: async (_, args) => {
      // As the kernel has it: a longer one is refused.
      const { error } = spawnSync("/bin/sh", ["-c", ":", ...args]);
      if (error) throw error;
      const names = args.join(" ").matchAll(/import (\S+\.drv)\)/g);
      const found = [...names].map(([, path = ""]) => {
        const one = byPath.get(path);
        if (!one) throw new Error(`nobody knows ${path}`);
        const outPath = out(one).slice(STORE.length + 1);
        return { id: `sha256:${sum(made.indexOf(one))}!out`, outPath, signatures: [] };
      });
      return { code: 0, stdout: JSON.stringify(found), stderr: "" };
    },
  };
  const { signal } = new AbortController();
  const wanted = made.map(({ path }) => ({ drvPath: path, outputNames: ["out"] }));
  const read = async () => derivation("read");
  const found = await realisations(nix as NixCommand, STORE, read, wanted, signal);
  expect(new Set(found.map(({ path }) => path))).toEqual(new Set(made.map((one) => out(one))));
});
