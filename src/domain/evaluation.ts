/** What evaluation is asked, and what comes of it. */

import type { AttrSegment, OutputSelection } from "./installable.ts";
import type { StorePath } from "./store-path.ts";

/** A file with a Nix expression, evaluated as nix-build or nix-shell does it: with all that this machine has. */
export interface NixFile {
  /** As Nix takes it: a path, `<nixpkgs>`. */
  readonly path: string;
  readonly as: "nix-build" | "nix-shell";
}

/** One evaluation: every target with this flake, attribute path and system. */
export interface EvaluationRequest {
  /** A flake reference; of a file, a name that is none (`file=default.nix`). */
  readonly flake: string;
  readonly file?: NixFile;
  readonly attrPath: readonly AttrSegment[];
  readonly system: string;
  readonly outputs: OutputSelection;
  readonly skips?: (attrPath: string) => boolean;
  readonly absent?: "is nothing";
  /** Of a set, which names it has: none of its members is evaluated, and each comes as passed over. */
  readonly look?: "at its names";
}

/** One derivation an evaluation gave. */
export interface Evaluated {
  /** Attribute path with every `*` replaced by what it matched, as Nix takes it. */
  readonly attrPath: string;
  /** What the `*`s matched, in order. */
  readonly matched: readonly string[];
  readonly drvPath: StorePath;
  readonly outputNames: readonly string[];
}

export interface EvaluationFailure {
  readonly attrPath: string;
  /** Nix's own message. */
  readonly message: string;
  /** Names near to one that does not exist, as installables. */
  readonly nearest: readonly string[];
  readonly kind?: "absent";
  readonly needs?: StorePath;
}

export interface EvaluationResult {
  readonly derivations: readonly Evaluated[];
  readonly failures: readonly EvaluationFailure[];
  readonly passedOver: readonly { readonly attrPath: string; readonly why: string }[];
  readonly built: readonly StorePath[];
  /** Things the user should know: the registry's nixpkgs was used, the tree is dirty. */
  readonly notices: readonly string[];
}

/** What becomes of what was evaluated, when the run goes on. */
export interface AfterEvaluation {
  /** Which later commands need no evaluation, as Nix itself shows, and which do, and why: in words. */
  tell(signal: AbortSignal): Promise<readonly string[]>;
  /** Leaves for other jobs of the commit what was evaluated by the time of `tell`. */
  leave?(signal: AbortSignal): Promise<void>;
  /** Sources of the flake's inputs that are valid here. */
  inputs?(signal: AbortSignal): Promise<readonly InputSource[]>;
}

export interface InputSource {
  /** As the lock file calls it. */
  readonly name: string;
  /** Where Nix has it once it is fetched, as its `narHash` says. */
  readonly path: StorePath;
  /** Whether everybody can fetch it from where it comes from; unknown counts as no. */
  readonly readers: "everybody" | "perhaps only some";
}
