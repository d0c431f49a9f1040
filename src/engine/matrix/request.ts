/** Owns what a matrix is made from. */

import type { StorePath } from "../../domain/store-path.ts";
import type { SurveyedDerivation } from "../survey/derivations.ts";
import type { Facts } from "../survey/facts.ts";
import type { SurveyedTarget } from "../survey.ts";

export interface MatrixRequest {
  readonly targets: readonly SurveyedTarget[];
  /** Every derivation that a fresh machine would build. */
  readonly derivations: ReadonlyMap<StorePath, SurveyedDerivation>;
  readonly facts: Pick<Facts, "derivations">;
  /** This machine's system, which targets are evaluated for unless they say otherwise. */
  readonly system: string | undefined;
  /** `one`: nothing can be handed on, so a stage that builds for others would build for nobody. */
  readonly stages: "one" | "two";
  /** What a build of this name took last, in seconds, where that is known. */
  readonly seconds: (name: string) => number | undefined;
}
