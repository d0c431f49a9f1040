/** The steps a plan is made of: one shape each, which of them a mode may hold, and what they are called. */

import { type BinaryCache, type Can, can, type Pin } from "../domain/cache.ts";
import type { Job, Mode, Trust } from "../domain/job.ts";
import type { DerivationOutputs, World } from "../domain/ports.ts";
import { count, formatBytes } from "../domain/size.ts";
import type { StorePath } from "../domain/store-path.ts";

/** What is to be in our cache for a target: its outputs, and with `closure=build` more. */
export interface PushRoots {
  readonly target: string;
  readonly paths: readonly StorePath[];
  /** Content-addressed: the paths of these only building tells. */
  readonly realised?: readonly DerivationOutputs[];
}

/** What is to be free where space lacks, so that it lacks no more. */
export interface WantedSpace {
  readonly directory: string;
  readonly bytes: number;
}

/** Disk space freed where it lacks (docs/adr/0015). */
export type Reclaim =
  | { readonly kind: "build directory"; readonly from: string; readonly to: string }
  | {
      readonly kind: "tool folder";
      readonly path: string;
      readonly bytes: number;
      readonly wanted: WantedSpace;
    }
  | {
      readonly kind: "garbage";
      readonly bytes: number;
      readonly wanted: WantedSpace;
      /** What the plan needs of what is in the store. */
      readonly keep: readonly StorePath[];
    };

export type Step =
  | { readonly do: "reclaim"; readonly reclaim: Reclaim }
  | { readonly do: "configure"; readonly caches: readonly BinaryCache[] }
  | { readonly do: "substitute"; readonly paths: readonly StorePath[]; readonly bytes: number }
  | {
      readonly do: "build";
      readonly derivations: readonly DerivationOutputs[];
      readonly why: string;
      /** Seconds, by what the builds took last; at least that. */
      readonly takes?: number;
    }
  | { readonly do: "push"; readonly cache: Can<"push">; readonly roots: PushRoots }
  | {
      readonly do: "verify";
      readonly cache: BinaryCache;
      readonly roots: PushRoots;
      /** What follows a bad answer: one more push, or only the word. */
      readonly onTrouble: "mend" | "tell";
    }
  /** Everything that could lose what was pushed: the last step, because it goes by what was verified. */
  | { readonly do: "audit" }
  | { readonly do: "pin"; readonly cache: Can<"pin">; readonly pin: Pin; readonly target: string };

export function reclaimWords(reclaim: Reclaim): string {
  switch (reclaim.kind) {
    case "build directory":
      return `Build in ${reclaim.to} instead of ${reclaim.from}`;
    case "tool folder":
      return `Delete ${reclaim.path} (${formatBytes(reclaim.bytes)})`;
    case "garbage":
      return `Collect ${formatBytes(reclaim.bytes)} of garbage in the store`;
    default:
      return reclaim satisfies never;
  }
}

/** Which steps a mode's plan may hold. */
export const MAY: Readonly<Record<Mode, ReadonlySet<Step["do"]>>> = {
  check: new Set(),
  prefetch: new Set(["reclaim", "configure", "substitute"]),
  warm: new Set(["reclaim", "configure", "substitute", "build", "push", "verify", "pin"]),
  audit: new Set(["verify", "audit"]),
};

/** What the end of the job may hold: what the job itself built. */
export const MAY_IN_POST: Readonly<Record<Mode, ReadonlySet<Step["do"]>>> = {
  check: new Set(),
  prefetch: new Set(["push", "verify", "pin"]),
  warm: new Set(["push", "verify", "pin"]),
  audit: new Set(),
};

/** A target's push, proof and pin belong together: what one failed is not built upon by the next. */
const PHASES: Readonly<
  Record<Step["do"], "reclaim" | "configure" | "fetch" | "build" | "publish" | "audit">
> = {
  reclaim: "reclaim",
  configure: "configure",
  substitute: "fetch",
  build: "build",
  push: "publish",
  verify: "publish",
  pin: "publish",
  audit: "audit",
};

/** The steps in their order, cut where one kind of work ends. */
export function phasesOf(steps: readonly Step[]): Step[][] {
  const phases: Step[][] = [];
  for (const step of steps) {
    const last = phases.at(-1);
    if (last?.[0] && PHASES[last[0].do] === PHASES[step.do]) last.push(step);
    else phases.push([step]);
  }
  return phases;
}

/** `Push, verify and pin 12 targets`; of a single step, its own words. */
export function describePhase(steps: readonly Step[]): string {
  const [first] = steps;
  if (!first) return "";
  if (steps.length === 1) return describeStep(first);
  const doing = new Set(steps.map((step) => VERBS[step.do]));
  const targets = new Set(steps.flatMap((step) => targetOf(step) ?? []));
  const [verb = "", ...more] = doing;
  const verbs =
    more.length === 0 ? verb : `${[verb, ...more.slice(0, -1)].join(", ")} and ${more.at(-1)}`;
  const words = `${verbs.charAt(0).toUpperCase()}${verbs.slice(1)}`;
  const [only] = targets;
  if (targets.size === 1 && only !== undefined) return `${words} ${only}`;
  return `${words} ${targets.size > 1 ? count(targets.size, "target") : count(steps.length, "step")}`;
}

const VERBS: Readonly<Record<Step["do"], string>> = {
  reclaim: "free disk space",
  configure: "configure",
  substitute: "fetch",
  build: "build",
  push: "push",
  verify: "verify",
  pin: "pin",
  audit: "audit",
};

function targetOf(step: Step): string | undefined {
  if (step.do === "push" || step.do === "verify") return step.roots.target;
  return step.do === "pin" ? step.target : undefined;
}

/** What a step does, as the log and the timeline name it. */
export function describeStep(step: Step): string {
  switch (step.do) {
    case "reclaim":
      return reclaimWords(step.reclaim);
    case "configure":
      return `Add ${count(step.caches.length, "cache")} to Nix's configuration`;
    case "substitute":
      return `Fetch ${count(step.paths.length, "path")} (${formatBytes(step.bytes)} unpacked)`;
    case "build":
      return `Build ${step.why}`;
    case "push":
      return `Push ${step.roots.target}`;
    case "verify":
      return `Verify ${step.roots.target}`;
    case "pin":
      return `Pin ${step.pin.name}`;
    case "audit":
      return "Audit the project";
    default:
      return step satisfies never;
  }
}

/** Whether there is anything to watch for while the job runs: it may push what it builds, as it builds it. */
export function maySendAtOnce(job: Job, trust: Trust, { own, nix }: World): boolean {
  const writes = trust.kind === "write" && can(own, "push") && nix !== undefined;
  return writes && job.push === "auto" && MAY_IN_POST[job.mode].has("push");
}
