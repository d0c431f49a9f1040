/**
 * Derivations: the `.drv` file (ATerm text) and what kind of build one is.
 * Source: nix/src/libstore/derivations.cc, `parseDerivation`. The file is the same in every Nix
 * we support, which the output of `nix derivation show` is not (docs/adr/0003).
 */

import { UserError } from "./errors.ts";
import { derivationName, parseStorePath, type StorePath, storeDirOf } from "./store-path.ts";

export interface DerivationOutput {
  /** Undefined where it cannot be known before the build (content-addressed outputs). */
  readonly path: StorePath | undefined;
  /** Set for fixed-output derivations: `sha256`, `r:sha256`. */
  readonly hashAlgorithm: string;
  readonly hash: string;
}

export interface Derivation {
  readonly path: StorePath;
  readonly name: string;
  readonly system: string;
  readonly builder: string;
  readonly args: readonly string[];
  readonly outputs: ReadonlyMap<string, DerivationOutput>;
  /** Input derivations, with the names of the outputs used. */
  readonly inputs: ReadonlyMap<StorePath, readonly string[]>;
  readonly sources: readonly StorePath[];
  readonly environment: ReadonlyMap<string, string>;
  /** Inputs whose derivation is itself the output of another build (dynamic derivations). */
  readonly hasDynamicInputs: boolean;
}

/**
 * - `trivial`: Nix builds it even where it could be fetched, or it is cheaper to build than to ask for.
 * - `download`: fixed-output; fetched from its origin.
 * - `source`: the rest: a build from source.
 */
export type BuildKind = "trivial" | "download" | "source";

/** Reads the text of the `.drv` file at `path`. An error names the file and the line. */
export function parseDerivation(text: string, path: StorePath): Derivation {
  return new Reader(text, path).derivation();
}

class Reader {
  private readonly text: string;
  private readonly path: StorePath;
  private readonly storeDir: string;
  private at = 0;

  constructor(text: string, path: StorePath) {
    this.text = text;
    this.path = path;
    this.storeDir = storeDirOf(path);
  }

  derivation(): Derivation {
    let dynamic = false;
    if (this.text.startsWith("DrvWithVersion(")) {
      this.expect("DrvWithVersion(");
      const version = this.string();
      if (version !== "xp-dyn-drv") this.fail(`its format "${version.slice(0, 40)}" is not known`);
      this.expect(",");
      dynamic = true;
    } else this.expect("Derive(");
    const outputs = new Map<string, DerivationOutput>();
    this.list(() => {
      this.expect("(");
      const name = this.string();
      this.expect(",");
      const out = this.string();
      this.expect(",");
      const hashAlgorithm = this.string();
      this.expect(",");
      const hash = this.string();
      this.expect(")");
      const path = out === "" ? undefined : this.storePath(out);
      outputs.set(name, { path, hashAlgorithm, hash });
    });
    this.expect(",");
    let hasDynamicInputs = false;
    const inputs = new Map<StorePath, readonly string[]>();
    this.list(() => {
      this.expect("(");
      const input = this.storePath(this.string());
      this.expect(",");
      if (dynamic && this.text[this.at] === "(") {
        if (this.dynamicInput(input, inputs)) hasDynamicInputs = true;
      } else inputs.set(input, this.strings());
      this.expect(")");
    });
    this.expect(",");
    const sources = this.strings().map((source) => this.storePath(source));
    this.expect(",");
    const system = this.string();
    this.expect(",");
    const builder = this.string();
    this.expect(",");
    const args = this.strings();
    this.expect(",");
    const environment = new Map<string, string>();
    this.list(() => {
      this.expect("(");
      const name = this.string();
      this.expect(",");
      environment.set(name, this.string());
      this.expect(")");
    });
    this.expect(")");
    if (this.text.slice(this.at).trim() !== "") this.fail("there is more behind its end");
    const { path } = this;
    const name = derivationName(path);
    return {
      path,
      name,
      system,
      builder,
      args,
      outputs,
      inputs,
      sources,
      environment,
      hasDynamicInputs,
    };
  }

  /**
   * `(["out"],[("out",…)])`: outputs used directly, then those that are derivations themselves, to
   * be built first and used by their own outputs, which nobody can name before.
   */
  private dynamicInput(input: StorePath, inputs: Map<StorePath, readonly string[]>): boolean {
    this.expect("(");
    const direct = this.strings();
    this.expect(",");
    const built: string[] = [];
    this.list(() => {
      this.expect("(");
      built.push(this.string());
      this.expect(",");
      this.skipNested();
      this.expect(")");
    });
    this.expect(")");
    inputs.set(input, [...new Set([...direct, ...built])]);
    return built.length > 0;
  }

  private skipNested(): void {
    let depth = 0;
    do {
      const char = this.text[this.at];
      if (char === undefined) this.fail("it ends too early");
      if (char === '"') this.string();
      else {
        if (char === "[" || char === "(") depth++;
        if (char === "]" || char === ")") depth--;
        this.at++;
      }
    } while (depth > 0);
  }

  private list(item: () => void): void {
    this.expect("[");
    if (this.text[this.at] === "]") {
      this.at++;
      return;
    }
    for (;;) {
      item();
      if (this.text[this.at] === ",") this.at++;
      else break;
    }
    this.expect("]");
  }

  private strings(): string[] {
    const found: string[] = [];
    this.list(() => found.push(this.string()));
    return found;
  }

  private storePath(text: string): StorePath {
    return (
      parseStorePath(text, this.storeDir) ??
      this.fail(`"${text.slice(0, 120)}" is not a path in ${this.storeDir}`)
    );
  }

  private string(): string {
    this.expect('"');
    const start = this.at;
    // Most strings have no escape: find the end first, look at it afterwards.
    let end = this.text.indexOf('"', start);
    while (end > start && this.backslashesBefore(end) % 2 === 1) {
      end = this.text.indexOf('"', end + 1);
    }
    if (end < 0) this.fail("a string does not end");
    this.at = end + 1;
    const raw = this.text.slice(start, end);
    if (!raw.includes("\\")) return raw;
    return raw.replace(/\\([\s\S])/g, (_, char: string) =>
      char === "n" ? "\n" : char === "r" ? "\r" : char === "t" ? "\t" : char,
    );
  }

  private backslashesBefore(index: number): number {
    let n = 0;
    while (this.text[index - 1 - n] === "\\") n++;
    return n;
  }

  private expect(token: string): void {
    if (!this.text.startsWith(token, this.at)) {
      const found = this.text.slice(this.at, this.at + 20);
      this.fail(`expected ${token} and found ${found === "" ? "the end" : JSON.stringify(found)}`);
    }
    this.at += token.length;
  }

  private fail(why: string): never {
    const line = this.text.slice(0, this.at).split("\n").length;
    throw new UserError("NCP-203", `${this.path}, line ${line}: not a derivation: ${why}`, {
      hint: "the file is damaged; repair it with: nix-store --verify --check-contents --repair",
    });
  }
}

/** A boolean of the derivation's attributes, plain or structured. */
function attribute(derivation: Derivation, name: string): boolean | undefined {
  const structured = structuredAttributes(derivation);
  if (structured) {
    const value = structured[name];
    return typeof value === "boolean" ? value : undefined;
  }
  const plain = derivation.environment.get(name);
  return plain === undefined ? undefined : plain === "1";
}

export function structuredAttributes(derivation: Derivation): Record<string, unknown> | undefined {
  const json = derivation.environment.get("__json");
  if (json === undefined) return undefined;
  try {
    return JSON.parse(json) as Record<string, unknown>;
  } catch {
    return {}; // Nix itself refuses to build it; it is no reason to stop looking
  }
}

/** `requiredSystemFeatures`: what a machine has to have (`system-features`) that builds it. */
export function requiredFeatures(derivation: Derivation): readonly string[] {
  const structured = structuredAttributes(derivation);
  const value = structured
    ? structured["requiredSystemFeatures"]
    : derivation.environment.get("requiredSystemFeatures");
  const named = Array.isArray(value) ? value.map(String) : String(value ?? "").split(/\s+/);
  return [...new Set(named)].filter(Boolean);
}

/** What Nix may take from caches: nothing (`substitute = false`), what a derivation lets it, or all. */
export type Substitution = "never" | "where allowed" | "always";

/** Whether Nix may take its outputs from a cache at all (`allowSubstitutes`, true unless said). */
export function allowsSubstitutes(
  derivation: Derivation,
  substitution: Substitution = "where allowed",
): boolean {
  if (substitution !== "where allowed") return substitution === "always";
  return attribute(derivation, "allowSubstitutes") ?? true;
}

export function isFixedOutput(derivation: Derivation): boolean {
  return [...derivation.outputs.values()].some(
    ({ hash, path }) => hash !== "" && path !== undefined,
  );
}

export function buildKind(derivation: Derivation): BuildKind {
  // What it is its hash says, also where it is preferred locally.
  if (isFixedOutput(derivation)) return "download";
  if (attribute(derivation, "preferLocalBuild") || !allowsSubstitutes(derivation)) return "trivial";
  return "source";
}

/** The paths of the outputs named; undefined where one cannot be known before the build. */
export function outputPaths(
  derivation: Derivation,
  names: readonly string[],
): readonly StorePath[] | undefined {
  const paths: StorePath[] = [];
  for (const name of names) {
    const output = derivation.outputs.get(name);
    if (!output) {
      const has = [...derivation.outputs.keys()].join(", ");
      throw new UserError("NCP-102", `${derivation.name} has no output "${name}"; it has ${has}`);
    }
    if (output.path === undefined) return undefined;
    paths.push(output.path);
  }
  return paths;
}
