/** Owns the order of building: heavy first, shared next, then the targets; each derivation once. Pure. */

import type { Can } from "../domain/cache.ts";
import type { DerivationOutputs } from "../domain/ports.ts";
import { count } from "../domain/size.ts";
import type { StorePath } from "../domain/store-path.ts";
import type { SurveyedDerivation } from "./derivations.ts";
import type { Step } from "./step.ts";
import type { Survey, SurveyedTarget } from "./survey.ts";
import type { Work } from "./work.ts";

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
): Step[] {
  const source = inputsFirst(survey, work).filter(({ kind }) => kind === "source");
  const heavy = source.filter((derivation) => derivation.heavy === "heavy");
  const shared = source.filter(
    (derivation) => derivation.heavy === "light" && derivation.wantedBy.length > 1,
  );
  const rest = targets.flatMap((target): DerivationOutputs[] => [
    ...(target.wanted?.kind === "derivation" ? [target.wanted] : []),
    ...target.deepMissing,
  ]);
  const batches = [
    ...heavy.map((one) => ({ derivations: [one], name: one.name, why: `${one.name}: heavy` })),
    {
      derivations: shared,
      name: "what several targets share",
      why: `${count(shared.length, "derivation")} that several targets share`,
    },
  ].filter(({ derivations }) => derivations.length > 0);
  return [
    ...batches.flatMap(({ derivations, name, why }): Step[] => {
      const paths = derivations.flatMap((derivation) => knownOutputs(survey, derivation));
      return [
        { do: "build", derivations, why },
        ...(cache && paths.length > 0
          ? [{ do: "push" as const, cache, roots: { target: name, paths } }]
          : []),
      ];
    }),
    ...(rest.length > 0
      ? [{ do: "build" as const, derivations: unique(rest), why: count(targets.length, "target") }]
      : []),
  ];
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
