/** Owns the end of the job: what it built itself is pushed, verified and, where it is a target, pinned. */

import { type BinaryCache, can, type Pin } from "../domain/cache.ts";
import type { Job, Trust } from "../domain/job.ts";
import type { Nix, World } from "../domain/ports.ts";
import type { StorePath } from "../domain/store-path.ts";
import { apply } from "./apply.ts";
import { Lookup, noCount } from "./lookup.ts";
import { MAY_IN_POST } from "./modes.ts";
import { NOTHING_DONE, type Outcome } from "./outcome.ts";
import { writableCache } from "./plan.ts";
import type { PushRoots, Step } from "./step.ts";
import { describeTiers, placed } from "./tiers.ts";

/** What the step remembered for its post step. */
export interface JobMemory {
  readonly targets: readonly {
    readonly name: string;
    readonly outputs: readonly StorePath[];
    readonly pinName: string;
  }[];
  /** Names that were in the store folder when the job began. */
  readonly storeNames: ReadonlySet<string>;
}

export interface PostRun {
  readonly outcome: Outcome;
  /** What a read-only run would have pushed. */
  readonly withheld: readonly PushRoots[];
}

const NOTHING: PostRun = { outcome: NOTHING_DONE, withheld: [] };

export async function runPost(
  job: Job,
  trust: Trust,
  world: World,
  memory: JobMemory,
  signal: AbortSignal,
): Promise<PostRun> {
  const { nix, own } = world;
  if (!nix || !own || job.push === "off" || !MAY_IN_POST[job.mode].has("push")) return NOTHING;
  const built = await nix.builtHere(memory.storeNames, signal);
  if (built.length === 0) return NOTHING;
  const tiers = await describeTiers(world, signal);
  const lookup = new Lookup(
    tiers.flatMap(({ tier, state }) => (state.kind === "reachable" ? [tier] : [])),
    signal,
  );
  const described = tiers.map(({ tier, state }) => ({
    ...placed(tier),
    state,
    count: noCount(),
  }));
  const targets = await builtTargets(memory, new Set(built), nix, signal);
  const wanted: PushRoots[] = [
    ...(job.push === "auto" ? [{ target: "what this job built", paths: built }] : []),
    ...targets.map(({ name, outputs }) => ({ target: name, paths: outputs })),
  ];
  const writable = writableCache(job, { trust, tiers: described }, own);
  if (!writable) {
    const withheld = await missingRoots(lookup, wanted);
    return { ...NOTHING, withheld: can(own, "push") ? withheld : [] };
  }
  const steps: Step[] = wanted.map((roots) => ({ do: "push", cache: writable, roots }));
  for (const { name, outputs, pinName } of targets) {
    const roots = { target: name, paths: outputs };
    steps.push({ do: "verify", cache: writable, roots, onTrouble: "mend" });
    steps.push(...pinStep(job, trust, writable, name, pinName, outputs));
  }
  const outcome = await apply(job, { steps }, lookup, world, signal);
  return { outcome, withheld: [] };
}

/** Targets all of whose outputs are here now, at least one of them built by this job. */
async function builtTargets(
  memory: JobMemory,
  built: ReadonlySet<StorePath>,
  nix: Nix,
  signal: AbortSignal,
): Promise<JobMemory["targets"]> {
  const candidates = memory.targets.filter(({ outputs }) =>
    outputs.some((path) => built.has(path)),
  );
  const valid = await nix.valid(
    candidates.flatMap(({ outputs }) => outputs),
    signal,
  );
  return candidates.filter(({ outputs }) => outputs.every((path) => valid.has(path)));
}

async function missingRoots(
  lookup: Lookup,
  wanted: readonly PushRoots[],
): Promise<readonly PushRoots[]> {
  const missing: PushRoots[] = [];
  for (const { target, paths } of wanted) {
    const answers = await Promise.all(paths.map((path) => lookup.ask(path)));
    const absent = paths.filter((_, index) => !answers[index]?.own && !answers[index]?.upstream);
    if (absent.length > 0) missing.push({ target, paths: absent });
  }
  return missing;
}

function pinStep(
  job: Job,
  trust: Trust,
  cache: BinaryCache,
  target: string,
  name: string,
  outputs: readonly StorePath[],
): Step[] {
  const [storePath] = outputs;
  if (job.pin === "off" || trust.kind !== "write" || trust.pins !== "move") return [];
  if (!storePath || name === "" || !can(cache, "pin")) return [];
  const pin: Pin = { name, storePath, keep: job.pinKeep };
  return [{ do: "pin", cache, pin, target }];
}
