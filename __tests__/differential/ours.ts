/** Owns our program as a run puts it together, for worlds that ask more of it than one rule. */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { DEFAULTS, parseInputs } from "../../src/action/inputs.ts";
import { type Composed, compose } from "../../src/compose.ts";
import type { StorePath } from "../../src/domain/store-path.ts";
import { Lookup } from "../../src/engine/survey/lookup.ts";
import { describeSubstituters } from "../../src/engine/survey/substituters.ts";
import type { Environment } from "../../src/host/environment.ts";

/** A run in `workspace` that has no cache of its own. */
export async function composed(
  environment: Environment,
  workspace: string,
  root: string,
): Promise<Composed> {
  const folder = join(root, "ours");
  await mkdir(folder, { recursive: true });
  const { job } = parseInputs({ ...DEFAULTS, cache: "none" });
  return compose({
    job,
    secrets: { token: undefined, signingKey: undefined },
    environment,
    workspace,
    code: "ours",
    folder,
    needs: "store and checkout",
    platform: "linux",
    log: { group() {}, endGroup() {}, info() {}, debug() {} },
    signal: AbortSignal.timeout(4 * 3_600_000),
  });
}

/** Whether our program says that this machine's Nix would fetch `path`. */
export async function answerOf(
  environment: Environment,
  root: string,
  path: string,
): Promise<boolean> {
  const signal = AbortSignal.timeout(60_000);
  await using ours = await composed(environment, root, root);
  const { world } = ours;
  if (world.nix?.setup.substitution === "never") return false;
  const described = await describeSubstituters(world, signal);
  const there = described.flatMap(({ substituter, state }) =>
    state.kind === "reachable" ? [substituter] : [],
  );
  const answer = await new Lookup(there, signal).ask(path as StorePath);
  return answer.served !== undefined;
}
