/** Owns phases: consecutive steps of one kind, which the log shows as one group. Pure. */

import { count, formatBytes } from "../../domain/size.ts";
import { reclaimWords, type Step } from "../step.ts";

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
  reclaim: "make room",
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
