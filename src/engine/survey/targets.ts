/** Turns the job's target lines into targets: one evaluation for a whole set, each target once. */

import {
  everyOutput,
  formatInFile,
  formatOutputs,
  type Installable,
} from "../../domain/installable.ts";
import type { Job } from "../../domain/job.ts";
import { mapLimited } from "../../domain/limit.ts";
import type { DerivationOutputs, Nix, World } from "../../domain/ports.ts";
import { derivationName, type StorePath } from "../../domain/store-path.ts";
import { parseTarget, type Target } from "../../domain/target.ts";
import { within } from "./below.ts";
import {
  eachOnce,
  type FoundLine,
  type FoundTarget,
  type FoundTargets,
  failedTarget,
  passedOverNotice,
  pinName,
  pinOf,
  withDerivation,
  withPins,
  withShell,
} from "./found.ts";

export async function findTargets(
  job: Job,
  world: World,
  signal: AbortSignal,
): Promise<FoundTargets> {
  const { nix } = world;
  if (!nix) return { targets: [], notices: [] };
  const search = new Search(job, nix, signal);
  const parts =
    job.targets.length > 0
      ? await mapLimited(job.targets, AT_ONCE, (target) => search.line(target, "has to be there"))
      : await search.defaults();
  const merged = eachOnce(parts, nix.setup.system);
  const notices = [...parts.flatMap(({ notices }) => notices), ...merged.notices];
  for (const one of job.without) {
    if (!search.used.has(one.line)) notices.push(`"${one.line}" takes no target away`);
  }
  return { targets: withPins(job.pin, merged.targets), notices: [...new Set(notices)] };
}

/** Lines looked at side by side; how many evaluations run at once, Nix's side decides. */
const AT_ONCE = 64;

/** Sets that are looked at where no target is named; the others where none of these is there. */
const STANDARD = ["packages", "checks", "devShells"];
const CONFIGURATIONS = ["nixosConfigurations", "homeConfigurations", "darwinConfigurations"];

class Search {
  /** Lines that took something away. */
  readonly used = new Set<string>();
  private readonly job: Job;
  private readonly nix: Nix;
  private readonly signal: AbortSignal;
  private readonly startedBy = new Map<string, Promise<readonly DerivationOutputs[]>>();

  constructor(job: Job, nix: Nix, signal: AbortSignal) {
    this.job = job;
    this.nix = nix;
    this.signal = signal;
  }

  /** What nobody named need not be there. */
  async defaults(): Promise<readonly FoundLine[]> {
    if (this.nix.setup.flake === "absent") {
      const none =
        "there is no flake here and no target is named (`file=shell.nix`, `* file=default.nix`): there is nothing to look for";
      return [{ line: "", targets: [], notices: [none] }];
    }
    const sets = STANDARD.map((name) => `.#${name}.SYSTEM.*`);
    const [parts, sizes] = await Promise.all([
      mapLimited(sets, AT_ONCE, (line) => this.line(parseTarget(line), "may be absent")),
      mapLimited(CONFIGURATIONS, 1, (name) => this.sizeOf(name)),
    ]);
    const there = CONFIGURATIONS.filter((_, index) => (sizes[index] ?? 0) > 0);
    if (parts.some(({ targets }) => targets.length > 0)) {
      const words = there.map((name) => `.#${name}.*`).join(", ");
      const left = there.length > 0 ? [`not looked at, as no target is named: ${words}`] : [];
      return [...parts, { line: "", targets: [], notices: left }];
    }
    return mapLimited(there, 2, (name) => this.line(parseTarget(`.#${name}.*`), "may be absent"));
  }

  /** None of its members is evaluated. */
  private async sizeOf(set: string): Promise<number> {
    const attrPath = [{ kind: "name" as const, name: set }];
    const how = { absent: "is nothing", look: "at its names" } as const;
    const request = { flake: ".", attrPath, outputs: { kind: "default" } as const, ...how };
    const { system } = this.nix.setup;
    return (await this.nix.evaluate({ ...request, system }, this.signal)).passedOver.length;
  }

  async line(target: Target, how: "has to be there" | "may be absent"): Promise<FoundLine> {
    const { nix, signal } = this;
    const found = await this.targetsOf(target, how);
    const { line } = target;
    if (target.derivations.length === 0) return { line, ...found };
    const inside = await within(found.targets, target, nix, signal);
    return { line, targets: inside.targets, notices: [...found.notices, ...inside.notices] };
  }

  private async targetsOf(
    target: Target,
    how: "has to be there" | "may be absent",
  ): Promise<FoundTargets> {
    const { nix } = this;
    const { installable } = target;
    switch (installable.kind) {
      case "store path":
        return { targets: this.kept(fromStorePath(target, installable.path, nix)), notices: [] };
      case "derivation":
        return { targets: this.kept(await fromDerivation(target, installable, nix)), notices: [] };
      case "flake":
      case "file":
        return this.evaluated(target, installable, how);
      default:
        return installable satisfies never;
    }
  }

  private async evaluated(
    target: Target,
    installable: Extract<Installable, { kind: "flake" | "file" }>,
    how: "has to be there" | "may be absent",
  ): Promise<FoundTargets> {
    const { nix, signal } = this;
    const { attrPath, outputs } = installable;
    const system = target.system ?? nix.setup.system;
    const isShell = develops(target);
    const nameOf = (path: string) => {
      if (installable.kind === "file") return formatInFile(path, outputs, installable.file);
      return path === "" ? target.text : `${installable.flake}#${path}${formatOutputs(outputs)}`;
    };
    const pinned = (path: string) =>
      installable.kind === "file" ? pathOfPin(installable.file, path) : path;
    const skips = (path: string) =>
      this.isLeftOut(installable.kind === "file" ? path : nameOf(path), system);
    const answer = await nix.evaluate(
      {
        ...(installable.kind === "file"
          ? {
              flake: `file=${installable.file}`,
              file: { path: installable.file, as: isShell ? "nix-shell" : "nix-build" },
            }
          : { flake: installable.flake }),
        attrPath,
        outputs,
        system,
        skips,
        ...(how === "may be absent" ? { absent: "is nothing" } : {}),
      },
      signal,
    );
    const imports = await wholly(answer.built, nix);
    const targets = await Promise.all(
      answer.derivations.map(async ({ attrPath: path, matched, drvPath, outputNames }) => {
        const named = {
          written: nameOf(path),
          target,
          pinName: pinName(target, pinned(path), matched, system),
          imports,
        };
        return isShell
          ? withShell(named, drvPath, await this.bash(installable.kind, system), nix)
          : withDerivation(named, drvPath, outputNames, nix);
      }),
    );
    const failed = await Promise.all(
      answer.failures
        .filter(({ kind }) => how === "has to be there" || kind !== "absent")
        .map(async ({ attrPath: path, message, nearest, needs }): Promise<FoundTarget> => {
          const one = failedTarget(nameOf(path), target, system, { message, nearest });
          if (!needs) return one;
          const wanted = { kind: "evaluation" as const, needs: await wholly([needs], nix) };
          return { ...one, wanted, failure: undefined };
        }),
    );
    return {
      targets: [...targets, ...failed],
      notices: [...answer.notices, ...passedOverNotice(installable, answer.passedOver)],
    };
  }

  private isLeftOut(name: string, system: string): boolean {
    const by = this.job.without.find((one) => one.takes(name, system));
    if (by) this.used.add(by.line);
    return by !== undefined;
  }

  private kept(target: FoundTarget): readonly FoundTarget[] {
    return this.isLeftOut(target.name, target.system) ? [] : [target];
  }

  /**
   * The shell that `nix develop` starts is the one of the flake's nixpkgs, and that of nix-shell the one of
   * `<nixpkgs>`; where there is none, they take that of the machine.
   */
  private bash(of: "flake" | "file", system: string): Promise<readonly DerivationOutputs[]> {
    const { nix, signal } = this;
    const isThere = of === "file" || nix.setup.inputs.has("nixpkgs");
    if (!isThere || system !== nix.setup.system) return Promise.resolve([]);
    const known = this.startedBy.get(of);
    if (known) return known;
    const nixpkgs = { path: "<nixpkgs>", as: "nix-build" as const };
    const asked = nix
      .evaluate(
        {
          ...(of === "file" ? { flake: "file=<nixpkgs>", file: nixpkgs } : { flake: "nixpkgs" }),
          attrPath: [{ kind: "name", name: "bashInteractive" }],
          outputs: { kind: "default" },
          system,
          absent: "is nothing",
        },
        signal,
      )
      .then(({ derivations }) =>
        derivations.map(({ drvPath, outputNames }) => ({ drvPath, outputNames })),
      );
    this.startedBy.set(of, asked);
    return asked;
  }
}

function develops({ develop, installable }: Target): boolean {
  if (develop !== undefined) return develop === "shell";
  if (installable.kind === "file") return /(^|\/)shell\.nix$/.test(installable.file);
  const [first] = installable.kind === "flake" ? installable.attrPath : [];
  return first?.kind === "name" && first.name === "devShells";
}

/** Of one attribute in two files there are two pins. */
function pathOfPin(file: string, path: string): string {
  const name = file.replace(/^\.\//, "").replace(/\.nix$/, "");
  if (name === "default") return path;
  return path === "" ? name : `${name}-${path}`;
}

/** With all their outputs. */
function wholly(drvPaths: readonly StorePath[], nix: Nix): Promise<DerivationOutputs[]> {
  return Promise.all(
    drvPaths.map(async (drvPath) => ({
      drvPath,
      outputNames: [...(await nix.derivation(drvPath)).outputs.keys()],
    })),
  );
}

function fromStorePath(target: Target, path: StorePath, nix: Nix): FoundTarget {
  return {
    name: target.text,
    written: target.text,
    target,
    system: nix.setup.system,
    wanted: { kind: "path", path },
    outputs: [path],
    outputNames: ["out"],
    buildable: "elsewhere",
    pinName: target.pin ?? pinOf(derivationName(path)),
    imports: [],
    failure: undefined,
  };
}

async function fromDerivation(
  target: Target,
  installable: Extract<Installable, { kind: "derivation" }>,
  nix: Nix,
): Promise<FoundTarget> {
  const { path, outputs } = installable;
  const pin = target.pin ?? pinOf(derivationName(path));
  const named = { written: target.text, target, pinName: pin };
  try {
    const derivation = await nix.derivation(path);
    if (target.develop === "shell") return await withShell(named, path, [], nix);
    // A `.drv` says nothing of what is installed by default: all its outputs, as Nix takes them.
    const names = outputs.kind === "named" ? outputs.names : everyOutput(derivation.outputs.keys());
    return await withDerivation(named, path, names, nix);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return failedTarget(target.text, target, nix.setup.system, { message, nearest: [] });
  }
}
