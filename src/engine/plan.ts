/** Decides: job, survey and disk space become a plan. Pure. */

import { figuresOf } from "../domain/build-figures.ts";
import { type BinaryCache, type Can, can, type StoredPin } from "../domain/cache.ts";
import { unknownOutputs } from "../domain/content-address.ts";
import type { Finding } from "../domain/finding.ts";
import type { Job, Trust } from "../domain/job.ts";
import type { DerivationOutputs, World } from "../domain/ports.ts";
import type { StorePath } from "../domain/store-path.ts";
import { type Matrix, matrixFindings, matrixOf } from "./matrix/matrix.ts";
import { buildSteps, knownOutputs, type Pace } from "./plan/build-order.ts";
import { untrustedUserFindings } from "./plan/cache-findings.ts";
import type { DiskSpace } from "./plan/disk-space.ts";
import { findingsOf, lateFindings } from "./plan/findings.ts";
import type { Fitted } from "./plan/fit.ts";
import {
  type Forecast,
  forecast,
  type InTime,
  inTime,
  reserveOf,
  type Times,
} from "./plan/forecast.ts";
import { hasToBeMade, type Work, workOf } from "./plan/work.ts";
import { MAY, type PushRoots, type Reclaim, type Step } from "./step.ts";
import { pinsOf, type WantedPin } from "./survey/found.ts";
import { isFit } from "./survey/substituters.ts";
import type { Survey, SurveyedTarget } from "./survey.ts";

export interface Plan {
  readonly steps: readonly Step[];
  readonly findings: readonly Finding[];
  /** What a read-only run leaves undone. */
  readonly withheld: readonly PushRoots[];
  /** after reclaiming, for all that was asked for; what had to be left out is counted too. */
  readonly diskSpace: DiskSpace;
  readonly reclaims: readonly Reclaim[];
  /** Names of the targets that have no space. */
  readonly leftOut: readonly string[];
  /** How long the builds take; undefined where none is planned, or no clock was asked. */
  readonly forecast: Forecast | undefined;
  /** When builds have to be done, in milliseconds since the epoch; undefined where nobody says it. */
  readonly until?: number | undefined;
  /** For the jobs of others: what is missing, shared out. */
  readonly matrix: Matrix;
}

export function plan(
  job: Job,
  survey: Survey,
  work: Work,
  fit: Fitted,
  caches: Pick<World, "own" | "substituters" | "nix">,
  times?: Times,
): Plan {
  const { diskSpace, reclaims, cut } = fit;
  const matrix = matrixOf({
    ...survey,
    // Without a cache to hand it on by, what one job builds is no other's.
    stages: writableCache(job, survey, caches.own) ? "two" : "one",
    seconds: (name) => figuresOf(survey.figures, name)?.seconds,
  });
  const findings = [
    ...fit.findings,
    ...findingsOf(job, survey, diskSpace, MAY[job.mode].has("build") ? "builds" : "looks"),
    ...untrustedUserFindings(job, survey, caches),
    ...matrixFindings(matrix),
  ];
  const withheld: PushRoots[] = [];
  const steps: Step[] = [];
  let late: InTime | undefined;
  // Where nothing has its space, or builds have no place, the run ends before anything is fetched.
  // So does a cache that cannot be written to, where the user said that this fails the job.
  const stop =
    fit.verdict === "nothing fits" ||
    findings.some(({ kind, level }) => (kind === "cache" || kind === "push") && level === "error");
  const doing = cut ? workOf(job, survey, cut.kept) : work;
  if (!stop && survey.system !== undefined) {
    steps.push(...reclaims.map((reclaim): Step => ({ do: "reclaim", reclaim })));
    steps.push(...configureSteps(survey, caches));
    steps.push(...substituteSteps(doing));
    if (MAY[job.mode].has("push")) {
      const byPriority = survey.targets
        .filter(({ name }) => !cut?.left.includes(name))
        .sort((a, b) => b.target.priority - a.target.priority);
      late = times && inTime(survey, doing, times);
      const tooLate = doing.targetsOf(late?.left.map(({ drvPath }) => drvPath) ?? []);
      const made = byPriority.filter(
        (target) => hasToBeMade(job, survey, target) && !tooLate.has(target.name),
      );
      const making = new Set(made);
      const pace: Pace = late ? { kind: "in time", rounds: late.rounds } : fit.pace;
      const writable = writableCache(job, survey, caches.own);
      steps.push(...buildSteps(survey, doing, made, writable, pace));
      if (writable && job.push === "auto") steps.push(...importSteps(survey, writable));
      if (writable && survey.inputs.length > 0) {
        const roots = { target: "the flake's inputs", paths: survey.inputs };
        steps.push({ do: "push", cache: writable, roots });
      }
      const { only, shared } = survey.deep.shares(made.map(({ name }) => name));
      const below = shared.flatMap((one) => knownOutputs(survey, one));
      if (below.length > 0) {
        const roots = { target: "what several targets are built of", paths: below };
        if (writable) {
          steps.push({ do: "push", cache: writable, roots });
          steps.push({ do: "verify", cache: writable, roots, onTrouble: "mend" });
        } else if (survey.trust.kind === "read-only" && can(caches.own, "push")) {
          withheld.push(roots);
        }
      }
      for (const target of byPriority) {
        const mine = making.has(target);
        const ours = isOurs(survey, target);
        if (!mine && !ours && !isUpstreamOnly(survey, target)) continue;
        const roots = rootsOf(survey, target, only.get(target.name));
        if (roots.paths.length === 0 && !(mine && roots.realised)) continue;
        if (writable) {
          if (mine) steps.push({ do: "push", cache: writable, roots });
          steps.push({ do: "verify", cache: writable, roots, onTrouble: "mend" });
          if (mine || ours) {
            const wish = { target: target.name, pins: pinsOf(target) };
            steps.push(...pinSteps(job, survey.trust, survey.pins, writable, wish));
          }
        } else if (mine && survey.trust.kind === "read-only" && can(caches.own, "push")) {
          withheld.push(roots);
        }
      }
      // Trust takes away push and pin; looking is left.
      if (!writable) steps.push(...lookAfter(survey, caches.own, []));
    }
  }
  if (MAY[job.mode].has("verify") && !MAY[job.mode].has("push")) {
    steps.push(...lookAfter(survey, caches.own, survey.pins ?? []));
  }
  if (survey.system !== undefined) steps.push({ do: "audit" });
  const legal = steps.filter((step) => MAY[job.mode].has(step.do));
  const timed = times ? forecast(legal, survey, doing, times) : undefined;
  return {
    steps: timed?.steps ?? legal,
    forecast: timed?.forecast,
    until: times?.end && times.end.at - reserveOf(times.end) * 1000,
    findings: late && times ? [...findings, ...lateFindings(survey, doing, late, times)] : findings,
    withheld,
    diskSpace,
    reclaims: MAY[job.mode].has("reclaim") && !stop ? reclaims : [],
    leftOut: cut?.left ?? [],
    matrix,
  };
}

/** What evaluation had to build, the next machine's evaluation shall fetch. */
function importSteps(survey: Survey, cache: Can<"push">): Step[] {
  const imports = survey.targets.flatMap((target) => target.imports);
  const paths = [...new Set(imports.flatMap((one) => knownOutputs(survey, one)))];
  if (paths.length === 0) return [];
  return [{ do: "push", cache, roots: { target: "what evaluation built", paths } }];
}

/** Our cache holds the target: a warming run looks after it, too. */
function isOurs(survey: Survey, target: SurveyedTarget): boolean {
  const { outputs } = target;
  if (!outputs || outputs.length === 0) return false;
  return outputs.every((path) => survey.facts.answers.get(path)?.own !== undefined);
}

/** Others serve it and our cache does not hold it: said in so many words, and never pinned. */
function isUpstreamOnly(survey: Survey, { outputs }: SurveyedTarget): boolean {
  if (!outputs || outputs.length === 0) return false;
  const answers = outputs.map((path) => survey.facts.answers.get(path));
  return answers.every((answer) => answer?.served);
}

/** Trust, the job and the cache must all allow it. */
export function writableCache(
  job: Job,
  survey: Pick<Survey, "trust" | "substituters">,
  own: BinaryCache | undefined,
): Can<"push"> | undefined {
  if (survey.trust.kind !== "write" || job.push === "off" || !can(own, "push")) return undefined;
  const state = survey.substituters.find(({ role }) => role === "own")?.state;
  const reachable = state?.kind === "reachable" && state.info.permission !== "read";
  return reachable ? own : undefined;
}

function configureSteps(
  survey: Survey,
  { own, substituters, nix }: Pick<World, "own" | "substituters" | "nix">,
): Step[] {
  // On the command line there are no later steps.
  if (!nix?.configure) return [];
  // Nix makes the folders of a file:// cache that does not exist: not in a read-only run.
  const reachable = new Set(
    survey.substituters
      .filter(
        (substituter) =>
          isFit(substituter) &&
          substituter.state.kind === "reachable" &&
          (substituter.state.info.storeDir !== undefined || survey.trust.kind === "write"),
      )
      .map(({ name }) => name),
  );
  const caches = [...(own ? [own] : []), ...substituters].filter(({ name }) => reachable.has(name));
  return caches.length > 0 ? [{ do: "configure", caches }] : [];
}

function substituteSteps({ judgement, load }: Work): Step[] {
  if (judgement.fetch.size === 0) return [];
  return [{ do: "substitute", paths: [...judgement.fetch], bytes: load.fetchBytes }];
}

/** The target's outputs and, with `closure=build`, those of what was missing below it. */
function rootsOf(
  survey: Survey,
  { name, wanted, outputs }: SurveyedTarget,
  below: readonly DerivationOutputs[] = [],
): PushRoots {
  const deep = below.flatMap((one) => knownOutputs(survey, one));
  const all = [...(wanted?.kind === "derivation" ? [wanted] : []), ...below];
  const realised = all.filter((one) => isRealised(survey, one));
  return {
    target: name,
    paths: [...new Set([...(outputs ?? []), ...deep])],
    ...(realised.length > 0 ? { realised } : {}),
  };
}

/** Content-addressed: its paths are known only when it is built. */
export function isRealised(
  { facts }: Pick<Survey, "facts">,
  { drvPath }: DerivationOutputs,
): boolean {
  const derivation = facts.derivations.get(drvPath);
  const open = derivation && unknownOutputs(derivation);
  return open === "floating" || open === "deferred";
}

export interface PinWish {
  /** Its name. */
  readonly target: string;
  /** One for each output it wants. */
  readonly pins: readonly WantedPin[];
}

export function pinSteps(
  job: Pick<Job, "pin" | "pinKeep" | "force">,
  trust: Trust,
  pins: readonly StoredPin[] | undefined,
  cache: BinaryCache,
  { target, pins: wanted }: PinWish,
): Step[] {
  if (job.pin === "off" || trust.kind !== "write" || trust.pins !== "move") return [];
  if (!can(cache, "pin")) return [];
  // Every pin adds a revision and pushes an older one out: one that is right stays as it is.
  const isRight = ({ name, storePath }: WantedPin) =>
    job.force !== "force" && pins?.find((pin) => pin.name === name)?.storePath === storePath;
  return wanted
    .filter((pin) => !isRight(pin))
    .map((pin) => ({ do: "pin", cache, pin: { ...pin, keep: job.pinKeep }, target }));
}

/** Looks after what was pushed, and after `pins`, and nothing else: what never was is not lost. */
function lookAfter(
  survey: Survey,
  own: BinaryCache | undefined,
  pins: readonly StoredPin[],
): Step[] {
  const reachable = survey.substituters.some(
    ({ role, state }) => role === "own" && state.kind === "reachable",
  );
  if (!own || !reachable) return [];
  const roots = new Map<string, readonly StorePath[]>();
  for (const target of survey.targets) {
    const { name, outputs } = target;
    if (!outputs || outputs.length === 0) continue;
    const known = outputs.some((path) => {
      const answer = survey.facts.answers.get(path);
      return answer?.own ?? answer?.gone ?? answer?.refused;
    });
    const wanted = new Set(pinsOf(target).map((pin) => pin.name));
    const pinned = pins.some((pin) => wanted.has(pin.name) && outputs.includes(pin.storePath));
    if (known || pinned) roots.set(name, outputs);
  }
  const looked = new Set([...roots.values()].flat());
  for (const { name, storePath } of pins) {
    if (!looked.has(storePath)) roots.set(`pin ${name}`, [storePath]);
  }
  return [...roots].map(([target, paths]) => ({
    do: "verify" as const,
    cache: own,
    roots: { target, paths },
    onTrouble: "tell" as const,
  }));
}
