/** The order of building: heavy first, shared next, then the targets; each derivation once. Pure. */

import type { Can } from "../../domain/cache.ts";
import type { DerivationOutputs } from "../../domain/ports.ts";
import { count } from "../../domain/size.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Step } from "../step.ts";
import { needsOf } from "../survey/judge.ts";
import type { SurveyedDerivation } from "../survey/verdicts.ts";
import type { Survey, SurveyedTarget } from "../survey.ts";
import type { InTime } from "./forecast.ts";
import type { Work } from "./work.ts";

/** How many derivations Nix is given at a time: as many as there are, or as run side by side. */
export type Pace =
  | { readonly kind: "at once" }
  | { readonly kind: "rounds"; readonly of: number }
  /** The job ends before all of it is built. */
  | { readonly kind: "in time"; readonly rounds: InTime["rounds"] };

/**
 * Heavy derivations are built one by one, inputs first, and each is pushed as soon as it is built:
 * what a cancelled job had finished is not lost. What several targets share is one step, so that
 * Nix builds side by side what does not depend on each other; so are the targets.
 */
export function buildSteps(
  survey: Survey,
  work: Work,
  targets: readonly SurveyedTarget[],
  cache: Can<"push"> | undefined,
  pace: Pace = { kind: "at once" },
): Step[] {
  const ordered = inputsFirst(survey, work);
  const timed = pace.kind === "in time" ? pace.rounds.flat() : [];
  const inARound = new Set(
    (pace.kind === "rounds" ? ordered : timed).map(({ drvPath }) => drvPath),
  );
  const deep = survey.deep.missing(targets.map(({ name }) => name));
  const rest = [...targets.flatMap(({ wanted }) => needsOf(wanted)), ...deep].filter(
    ({ drvPath }) => !inARound.has(drvPath),
  );
  const batches = batchesAt(pace, ordered);
  return [
    ...batches.flatMap(({ derivations, push, why }): Step[] => {
      const paths = derivations.flatMap((derivation) => knownOutputs(survey, derivation));
      return [
        { do: "build", derivations, why },
        ...(cache && push !== undefined && paths.length > 0
          ? [{ do: "push" as const, cache, roots: { target: push, paths } }]
          : []),
      ];
    }),
    ...(rest.length > 0
      ? [{ do: "build" as const, derivations: unique(rest), why: count(targets.length, "target") }]
      : []),
  ];
}

interface Batch {
  readonly derivations: readonly SurveyedDerivation[];
  /** Under which name it is pushed at once; undefined: with its target. */
  readonly push: string | undefined;
  readonly why: string;
}

function batchesAt(pace: Pace, ordered: readonly SurveyedDerivation[]): Batch[] {
  switch (pace.kind) {
    case "at once":
      return byWeight(ordered);
    case "rounds":
      return inRounds(ordered, pace.of);
    case "in time":
      return pace.rounds.map((round) => {
        const why = roundName(round);
        // The job may end in the next round: what is built by then is in the cache.
        return { derivations: round, push: why, why };
      });
    default:
      return pace satisfies never;
  }
}

function roundName(round: readonly SurveyedDerivation[]): string {
  return `${round[0]?.name ?? ""}${round.length > 1 ? ` and ${round.length - 1} more` : ""}`;
}

function heavyBatch(derivation: SurveyedDerivation): Batch {
  const { name } = derivation;
  return { derivations: [derivation], push: name, why: `${name}: heavy` };
}

function byWeight(ordered: readonly SurveyedDerivation[]): Batch[] {
  const source = ordered.filter(({ kind }) => kind === "source");
  const shared = source.filter(({ heavy, wantedBy }) => heavy === "light" && wantedBy.length > 1);
  const sharing: Batch = {
    derivations: shared,
    push: "what several targets share",
    why: `${count(shared.length, "derivation")} that several targets share`,
  };
  return [
    ...ordered.filter(({ heavy }) => heavy === "heavy").map(heavyBatch),
    ...(shared.length > 0 ? [sharing] : []),
  ];
}

/** Where disk space is scarce: never more in Nix's hands than it builds side by side. */
function inRounds(ordered: readonly SurveyedDerivation[], of: number): Batch[] {
  const batches: Batch[] = [];
  let round: SurveyedDerivation[] = [];
  const flush = () => {
    if (round.length > 0) {
      batches.push({ derivations: round, push: undefined, why: roundName(round) });
    }
    round = [];
  };
  for (const derivation of ordered) {
    if (derivation.heavy === "heavy") {
      flush();
      batches.push(heavyBatch(derivation));
    } else if (round.push(derivation) === of) flush();
  }
  flush();
  return batches;
}

/** In order of weight, but for what is an input of an earlier one: that goes before it. */
function inputsFirst(survey: Survey, { builds, judgement }: Work): SurveyedDerivation[] {
  const byPath = new Map(builds.map((derivation) => [derivation.drvPath, derivation]));
  const ordered = new Set<SurveyedDerivation>();
  const visited = new Set<StorePath>();
  for (const root of builds) {
    const stack: { readonly drvPath: StorePath; readonly inputs: StorePath[] }[] = [];
    const enter = (drvPath: StorePath) => {
      // By way of what is trivial to build, too: that is in no step of its own.
      if (visited.has(drvPath) || !judgement.build.has(drvPath)) return;
      visited.add(drvPath);
      const inputs = survey.facts.derivations.get(drvPath)?.inputs.keys() ?? [];
      stack.push({ drvPath, inputs: [...inputs] });
    };
    enter(root.drvPath);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const input = top.inputs.pop();
      if (input !== undefined) enter(input);
      else {
        stack.pop();
        const derivation = byPath.get(top.drvPath);
        if (derivation) ordered.add(derivation);
      }
    }
  }
  return [...ordered];
}

function unique(wanted: readonly DerivationOutputs[]): DerivationOutputs[] {
  const found = new Map<string, DerivationOutputs>();
  for (const one of wanted) found.set(`${one.drvPath}!${one.outputNames.join(",")}`, one);
  return [...found.values()];
}

export function knownOutputs(
  survey: Survey,
  { drvPath, outputNames }: DerivationOutputs,
): StorePath[] {
  const outputs = survey.facts.derivations.get(drvPath)?.outputs;
  return outputNames.flatMap((name) => outputs?.get(name)?.path ?? []);
}
