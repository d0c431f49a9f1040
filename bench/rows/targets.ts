/** Owns the row `targets`: the verdicts on a thousand targets of one flake, of which nothing is cached. */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { flakeOf } from "../fixture.ts";
import { inTurn } from "../measure.ts";
import { pairResult, type Row } from "../row.ts";
import { step } from "../step.ts";

const TARGETS = 1_000;
const BELOW = 2_000;

export const targets: Row = {
  name: "targets",
  length: "long",
  async run(bench) {
    const flake = bench.folder("many-targets");
    await mkdir(flake, { recursive: true });
    await writeFile(join(flake, "flake.nix"), flakeOf(TARGETS, BELOW));
    const names = Array.from({ length: TARGETS }, (_, index) => `path:${flake}#p${index}`);
    const inputs = { mode: "check", cache: "none", targets: `path:${flake}#packages.SYSTEM.*` };
    const pairs = await inTurn(
      bench.rounds ?? 1,
      async () => {
        await bench.machine.forget();
        const { ms, outputs, log } = await step(bench, "main", inputs);
        const missing = JSON.parse(outputs["missing"] ?? "[]") as unknown[];
        if (outputs["hit"] !== "false" || missing.length === 0) throw new Error(`ours says ${log}`);
        return ms;
      },
      async () => {
        await bench.machine.forget();
        const { ms } = await bench.nix(["build", "--dry-run", "--no-link", ...names]);
        return ms;
      },
    );
    return [
      pairResult(
        "targets",
        `verdicts on ${TARGETS} targets over ${BELOW} derivations, nothing cached`,
        "nix build --dry-run",
        pairs,
        { kind: "times the peer", atLeast: 0.77 },
      ),
    ];
  },
};
