/** The end of the job: what it built itself is pushed, verified and, where it is a target, pinned. */

import { type BinaryCache, can, type StoredPin } from "../domain/cache.ts";
import { describeError } from "../domain/errors.ts";
import type { Finding } from "../domain/finding.ts";
import type { Job, Trust } from "../domain/job.ts";
import { cacheHost, serverCause } from "../domain/location.ts";
import type { Nix, World } from "../domain/ports.ts";
import { count } from "../domain/size.ts";
import type { StorePath } from "../domain/store-path.ts";
import { apply } from "./apply.ts";
import { NOTHING_DONE, type Outcome } from "./outcome.ts";
import { pinSteps, writableCache } from "./plan.ts";
import { MAY_IN_POST, type PushRoots, type Step } from "./step.ts";
import { noCount } from "./survey/answer.ts";
import type { WantedPin } from "./survey/found.ts";
import { Lookup } from "./survey/lookup.ts";
import { answerTroubleFindings, describeSubstituters, placed } from "./survey/substituters.ts";

/** What the step remembered for its post step. */
export interface JobMemory {
  readonly targets: readonly {
    readonly name: string;
    readonly outputs: readonly StorePath[];
    readonly pins: readonly WantedPin[];
  }[];
  /** Names that were in the store folder when the job began. */
  readonly storeNames: ReadonlySet<string>;
  /**
   * What the job's work descends from, derivations and results; undefined where the machine is the job's
   * alone, and all that is new is its own.
   */
  readonly origin?: readonly StorePath[] | undefined;
  /** Names of the caches that did not answer the step: their deadline is paid once. */
  readonly silent?: readonly string[];
  /** Sources of the flake's inputs that no cache had, where they are to be pushed. */
  readonly inputs?: readonly StorePath[];
  /** Why nothing more is pushed: our cache failed whatever it was sent, in the step or behind it. */
  readonly pushEnded?: string | undefined;
}

export interface PostRun {
  readonly outcome: Outcome;
  /** Names of the targets that this job built. */
  readonly targets: readonly string[];
  /** What a read-only run would have pushed. */
  readonly withheld: readonly PushRoots[];
}

const NONE: ReadonlySet<StorePath> = new Set();
const NOTHING: PostRun = { outcome: NOTHING_DONE, targets: [], withheld: [] };

export async function runPost(
  job: Job,
  trust: Trust,
  world: World,
  memory: JobMemory,
  signal: AbortSignal,
): Promise<PostRun> {
  const { nix, own } = world;
  if (!nix || !own || job.push === "off" || !MAY_IN_POST[job.mode].has("push")) return NOTHING;
  const all = await nix.builtHere(memory.storeNames, signal);
  const built = await ownOf(nix, all, memory.origin, signal);
  const done = await endOf(job, trust, world, { ...memory, built }, signal);
  const others = all.length - built.length;
  if (others === 0 || job.push !== "auto") return done;
  const findings = [...done.outcome.findings, othersFinding(others)];
  return { ...done, outcome: { ...done.outcome, findings } };
}

/** Of what is new in the store, what this job built. */
export async function ownOf(
  nix: Nix,
  built: readonly StorePath[],
  origin: readonly StorePath[] | undefined,
  signal: AbortSignal,
): Promise<readonly StorePath[]> {
  return origin === undefined ? built : nix.descending(built, origin, signal);
}

/** Without their names: they may be another repository's, and this log may be public. */
function othersFinding(others: number): Finding {
  return {
    kind: "push",
    level: "notice",
    message: `${count(others, "path")} built on this machine meanwhile may be another job's, and ${others === 1 ? "is" : "are"} not pushed`,
    hint: "this machine is not the job's alone: what is to be pushed is named in targets, or linked in the workspace (nix build without --no-link)",
  };
}

async function endOf(
  job: Job,
  trust: Trust,
  world: World,
  memory: JobMemory & { readonly built: readonly StorePath[] },
  signal: AbortSignal,
): Promise<PostRun> {
  const { nix, own } = world;
  const { built } = memory;
  if (!nix || !own) return NOTHING;
  const inputs =
    job.push === "auto" && memory.inputs?.length ? await nix.valid(memory.inputs, signal) : NONE;
  if (built.length === 0 && inputs.size === 0) return NOTHING;
  const targets = await builtTargets(memory, new Set(built), nix, signal);
  const wanted: PushRoots[] = [
    ...(job.push === "auto" ? [{ target: "what this job built", paths: built }] : []),
    ...(inputs.size > 0 ? [{ target: "the flake's inputs", paths: [...inputs] }] : []),
    ...targets.map(({ name, outputs }) => ({ target: name, paths: outputs })),
  ];
  if (world.code === "strange") {
    // Nobody is asked: a step may have said through whom. What a cache has by now is counted, too.
    return { ...NOTHING, withheld: can(own, "push") ? wanted : [] };
  }
  if (trust.kind === "write" && can(own, "push")) {
    const barred = await whyBarred(own, memory, world.clock, signal);
    if (barred !== undefined) return notPushed(job, own, built.length, barred);
  }
  const asked = world.substituters.filter(({ name }) => !memory.silent?.includes(name));
  const substituters = await describeSubstituters({ ...world, substituters: asked }, signal);
  const lookup = new Lookup(
    substituters.flatMap(({ substituter, state }) =>
      state.kind === "reachable" ? [substituter] : [],
    ),
    signal,
  );
  const described = substituters.map(({ substituter, state }) => ({
    ...placed(substituter),
    state,
    count: noCount(),
  }));
  const writable = writableCache(job, { trust, substituters: described }, own);
  const state = described.find(({ role }) => role === "own")?.state;
  if (!writable && trust.kind === "write" && can(own, "push") && state) {
    const error = state.kind === "down" ? state.error : state.info.trouble;
    const why = error ? describeError(error) : "it may only be read";
    return notPushed(job, own, built.length, why);
  }
  if (!writable) {
    const withheld = await missingRoots(lookup, wanted);
    return { ...NOTHING, withheld: can(own, "push") ? withheld : [] };
  }
  // A warming step has pinned its targets itself, a minute or an hour ago.
  const pins = targets.length > 0 ? await pinsOf(writable, signal) : undefined;
  const steps: Step[] = wanted.map((roots) => ({ do: "push", cache: writable, roots }));
  for (const { name, outputs, pins: wanted } of targets) {
    const roots = { target: name, paths: outputs };
    steps.push({ do: "verify", cache: writable, roots, onTrouble: "mend" });
    const wish = { target: name, pins: wanted };
    steps.push(...pinSteps({ ...job, force: "trust" }, trust, pins, writable, wish));
  }
  const done = await apply(job, { steps }, { lookup, audit: neverAudited }, world, signal);
  const outcome = {
    ...done,
    findings: [...done.findings, ...answerTroubleFindings(world, described)],
  };
  return { outcome, targets: targets.map(({ name }) => name), withheld: [] };
}

/** Milliseconds that a cache gets at the end of the job which did not answer at its beginning. */
const ONCE_MORE = 5_000;

/** Undefined where it may be tried. */
async function whyBarred(
  own: BinaryCache,
  { silent, pushEnded }: JobMemory,
  clock: World["clock"],
  signal: AbortSignal,
): Promise<string | undefined> {
  if (pushEnded !== undefined) return pushEnded;
  if (!silent?.includes(own.name)) return undefined;
  const patience = new AbortController();
  const answer = own.describe(AbortSignal.any([signal, patience.signal])).then(
    () => undefined,
    (error: unknown) => describeError(error),
  );
  const late = clock.sleep(ONCE_MORE, signal).then(() => {
    const why = "it did not answer when the job began, and does not now";
    patience.abort(new Error(why));
    return why;
  });
  return Promise.race([answer, late]);
}

/** Somebody built it to have it in the cache: that it is not there is told, whatever the reason. */
function notPushed(
  { onPushFailure }: Pick<Job, "onPushFailure">,
  { name }: BinaryCache,
  paths: number,
  why: string,
): PostRun {
  // The flake's inputs alone are nothing that anybody waits for.
  if (onPushFailure === "ignore" || paths === 0) return NOTHING;
  const finding: Finding = {
    kind: "push",
    level: onPushFailure === "error" ? "error" : "warning",
    code: "NCP-305",
    cause: serverCause(name, "push"),
    title: `nothing was pushed to ${cacheHost(name)}`,
    message: `of ${count(paths, "path")} that this job built, nothing is pushed to ${name} at its end: ${why}`,
    hint: "run it again when the cache is well: only what is missing is uploaded",
  };
  return { outcome: { ...NOTHING_DONE, findings: [finding] }, targets: [], withheld: [] };
}

/** Undefined where they cannot be listed; then each is set, and told where that fails. */
async function pinsOf(
  cache: BinaryCache,
  signal: AbortSignal,
): Promise<readonly StoredPin[] | undefined> {
  if (!can(cache, "pins")) return undefined;
  return cache.pins(signal).catch(() => {
    signal.throwIfAborted();
    return undefined;
  });
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
    const absent = paths.filter((_, index) => !answers[index]?.served);
    if (absent.length > 0) missing.push({ target, paths: absent });
  }
  return missing;
}

/** An audit looks at a survey, and post has none. */
function neverAudited(): never {
  throw new Error("the end of a job holds no audit");
}
