/** The sentence that every run is: survey → plan → apply → report. */

import { UserError } from "../domain/errors.ts";
import { isFresh } from "../domain/evaluation-record.ts";
import type { Job, Trust } from "../domain/job.ts";
import type { World } from "../domain/ports.ts";
import { count, formatSeconds } from "../domain/size.ts";
import type { StorePath } from "../domain/store-path.ts";
import type { VerificationOutcome } from "../domain/verdict.ts";
import { apply } from "./apply.ts";
import type { Outcome } from "./outcome.ts";
import { type Directories, measureDiskSpace } from "./plan/disk-space.ts";
import { fitWork } from "./plan/fit.ts";
import { forecastWords, type Times } from "./plan/forecast.ts";
import { findReclaimable } from "./plan/reclaim.ts";
import { type Work, workOf } from "./plan/work.ts";
import { type Plan, plan } from "./plan.ts";
import { type Changes, changesOf, leaveLedger } from "./rebuilds/changes.ts";
import { type Run, resultOf } from "./result.ts";
import { MAY } from "./step.ts";
import { assess } from "./survey/assess.ts";
import { recordOf } from "./survey/recall.ts";
import { answerTroubleFindings } from "./survey/substituters.ts";
import { type Survey, survey } from "./survey.ts";

/**
 * Looks, decides and acts; and once more where acting shows that what was seen is not so. A record
 * falls, and a warming run builds what caches say they have and cannot give. `onLooked` is told what
 * was seen, and awaited, before anything is done.
 */
export async function run(
  job: Job,
  trust: Trust,
  world: World,
  signal: AbortSignal,
  onLooked: (seen: Survey) => Promise<void> = async () => undefined,
): Promise<Run> {
  const begin = world.clock.now();
  refuseExposed(job, world);
  const first = await once(job, trust, world, signal, new Set(), onLooked);
  const lies = new Set([...first.outcome.unfetched, ...first.outcome.gone]);
  const isRecalled = first.survey.recalled !== undefined;
  const mends = MAY[job.mode].has("push") && first.outcome.gone.length > 0;
  if (lies.size === 0 || !(isRecalled || mends)) return { ...first, begin };
  world.log.info(
    `${count(lies.size, "path")} cannot be had from the cache that names them: everything is looked at again`,
  );
  const { memory } = world;
  const again: World = {
    ...world,
    memory: memory && { ...memory, recall: async () => undefined },
  };
  return { ...(await once(job, trust, again, signal, mends ? lies : new Set(), onLooked)), begin };
}

async function once(
  job: Job,
  trust: Trust,
  world: World,
  signal: AbortSignal,
  refuted: ReadonlySet<StorePath>,
  onLooked: (seen: Survey) => Promise<void>,
): Promise<Run> {
  const begin = world.clock.now();
  const { seen, meant } = await look(job, trust, world, signal, refuted);
  const changes = await changesOf(seen, world, signal);
  const looked = world.clock.now();
  await onLooked(seen);
  const said = forecastWords(meant.forecast);
  if (said !== "") world.log.info(said);
  // Before the first build, so that other jobs have it soon; and no build has a hand in it.
  const kept = mayLeave(job, seen) ? world.nix?.evaluated?.leave?.(signal) : undefined;
  kept?.catch(() => undefined);
  const done = await apply(
    job,
    meant,
    {
      lookup: seen.lookup,
      // A fifth of the program, which other runs do without.
      audit: async (verified) =>
        (await import("./audit/audit.ts")).audit(job, seen, verified, world, signal),
    },
    world,
    signal,
  );
  await kept;
  // What a build took is worth knowing whatever became of the run's caches.
  if (mayLeave(job, seen)) await world.figures?.remember(done.figures, signal);
  await remember(job, seen, changes, done, world, signal);
  const outcome = {
    ...done,
    findings: [
      ...(world.findings ?? []),
      ...done.findings,
      ...answerTroubleFindings(world, seen.substituters),
    ],
  };
  const end = world.clock.now();
  const ran = { job, survey: seen, plan: meant, outcome, changes, begin, looked, end };
  return { ...ran, result: resultOf(ran) };
}

/** How it could be read, and what else would keep it. */
const EXPOSED: Readonly<Record<NonNullable<World["exposed"]>["to"], readonly [string, string]>> = {
  builds: [
    "Nix here builds as this step's own user without a sandbox: a build could read it in /proc",
    "give the job a Nix with a daemon, with build users or with sandbox = true",
  ],
  evaluation: [
    "the evaluation of a file (file=) reads what it likes: it could read it in /proc",
    "name no target with file= there: a flake is evaluated by itself",
  ],
  inputs: [
    "this machine does not let the step take it out of /proc: an input of a flake could be that file",
    "run it where a process may write to its own memory (/proc/self/mem)",
  ],
};

/** Before anything is evaluated: looking builds nothing, and whatever goes further prepares builds. */
function refuseExposed(job: Job, { exposed }: World): void {
  if (exposed === undefined) return;
  const { secret, to } = exposed;
  if (to === "builds" && !MAY[job.mode].has("configure")) return;
  const [how, or] = EXPOSED[to];
  throw new UserError(
    "NCP-453",
    `this job may run a stranger's code and has a secret (${secret}), and ${how}`,
    { hint: `take the ${secret} away on such an event, or ${or}` },
  );
}

/** `14 targets, 230 derivations in 1.4s`. */
function checkedWords({ targets, facts, recalled }: Survey, seconds: number): string {
  const { size } = facts.derivations;
  const looked = size === 0 ? "" : `, ${count(size, "derivation")}`;
  const time = recalled === undefined ? "" : new Date(recalled).toISOString().slice(11, 16);
  const same = time === "" ? "" : `, same as the run of ${time} UTC`;
  return `${count(targets.length, "target")}${looked}${same} in ${formatSeconds(seconds)}`;
}

/** The first phase, with a group of its own: it changes nothing, and decides what will be. */
async function look(
  job: Job,
  trust: Trust,
  world: World,
  signal: AbortSignal,
  refuted: ReadonlySet<StorePath>,
): Promise<{ readonly seen: Survey; readonly meant: Plan }> {
  world.log.group("Look: what is cached, and where");
  const begun = world.clock.now();
  try {
    let telling: Promise<void> | undefined;
    const seen = await survey(job, trust, world, signal, refuted, () => {
      telling = tellEvaluated(world, signal);
      // Awaited below: until then another failure may be first.
      telling.catch(() => undefined);
    });
    if (seen.system !== undefined) {
      world.log.did?.("Checked", checkedWords(seen, (world.clock.now() - begun) / 1000));
    }
    const meant = await decide(job, seen, world, signal);
    await telling;
    return { seen, meant };
  } finally {
    world.log.endGroup();
  }
}

/** While it is decided what to do: by its end the store has all that was evaluated, here or earlier. */
async function tellEvaluated({ nix, log }: World, signal: AbortSignal): Promise<void> {
  for (const line of (await nix?.evaluated?.tell(signal)) ?? []) log.info(line);
}

/** Who may write leaves what it found for later runs; an audit writes nothing, not even that. */
function mayLeave(job: Job, { trust }: Survey): boolean {
  return trust.kind === "write" && !MAY[job.mode].has("audit");
}

/**
 * The ledger and the evaluation record, the record only of a run that looked at the closure itself. After a
 * push the caches are asked again, for what they hold now.
 */
async function remember(
  job: Job,
  seen: Survey,
  changes: Changes | undefined,
  outcome: Outcome,
  world: World,
  signal: AbortSignal,
): Promise<void> {
  if (!mayLeave(job, seen) || !(world.memory || world.history)) return;
  const now = world.clock.now();
  const assessment =
    outcome.pushed.length > 0
      ? await assess(job, world, seen.lookup, seen.targets, seen.figures, signal)
      : seen;
  // What only looks leaves no file where there was none.
  if (MAY[job.mode].has("configure")) {
    await leaveLedger(seen, assessment, changes?.ledger, outcome.figures, world, signal);
  }
  const fresh = seen.recalled !== undefined && isFresh(seen.recalled, now);
  if (!world.memory || fresh) return;
  // What another cache serves is as good an answer, and asked for again by the next run.
  const good = new Set<VerificationOutcome>(["verified", "upstream only"]);
  if (outcome.verified.some((target) => !good.has(target.outcome))) return;
  const record = recordOf(assessment, seen.foundNotices, now);
  if (record) await world.memory.remember(record, signal);
}

/** Measures what the plan rests on, and plans. */
export async function decide(
  job: Job,
  seen: Survey,
  world: World,
  signal: AbortSignal,
): Promise<Plan> {
  const work = workOf(job, seen);
  const directories = await directoriesOf(job, seen.trust, world, signal);
  const diskSpace = await measureDiskSpace(world.disk, directories, work.load);
  const options = await findReclaimable(job, seen, world, diskSpace, signal);
  const fitted = fitWork(job, seen, work, diskSpace, directories, options);
  return plan(job, seen, work, fitted, world, await timesOf(job, work, world, signal));
}

/** When the job ends is asked where something is built in it. */
async function timesOf(
  job: Job,
  work: Work,
  { nix, timing, clock }: World,
  signal: AbortSignal,
): Promise<Times | undefined> {
  if (!nix || !timing || work.builds.length === 0 || !MAY[job.mode].has("build")) return undefined;
  const slots = Math.max(1, Math.min(nix.setup.buildsAtOnce, timing.cores));
  return { slots, now: clock.now(), end: await timing.end(signal) };
}

/** Where this run writes. */
async function directoriesOf(
  job: Job,
  trust: Trust,
  { nix, workspace, staging, cacheFolder }: World,
  signal: AbortSignal,
): Promise<Directories> {
  const pushes = MAY[job.mode].has("push") && job.push !== "off" && trust.kind === "write";
  return {
    setup: nix?.setup,
    buildDir: nix?.buildDirectory() ?? "",
    workspace,
    staging: staging && MAY[job.mode].has("substitute") ? staging : undefined,
    cache: pushes ? await cacheFolder?.(signal) : undefined,
  };
}
