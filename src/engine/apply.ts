/** Owns acting: the plan's steps in order; what one failed is not built upon by the next. */

import { type BinaryCache, type Can, can, type Pin, type PushProgress } from "../domain/cache.ts";
import { describeError, UserError } from "../domain/errors.ts";
import type { Finding } from "../domain/finding.ts";
import type { Job } from "../domain/job.ts";
import type { Nix, World } from "../domain/ports.ts";
import { count, formatBytes, formatSeconds } from "../domain/size.ts";
import { baseName, derivationName, type StorePath } from "../domain/store-path.ts";
import type { Lookup } from "./lookup.ts";
import {
  NOTHING_DONE,
  type Outcome,
  type PinnedTarget,
  type TimedStep,
  type VerifiedTarget,
} from "./outcome.ts";
import type { Plan } from "./plan.ts";
import { type Pushed, push } from "./push.ts";
import type { PushRoots, Step } from "./step.ts";
import { type Verification, verify } from "./verify.ts";

/** Milliseconds a pushed path has to become visible. */
const VISIBLE = 120_000;

export async function apply(
  job: Job,
  plan: Plan,
  lookup: Lookup,
  world: World,
  signal: AbortSignal,
): Promise<Outcome> {
  // A runner without Nix has nothing to do, and that is no failure.
  if (plan.steps.length === 0) return NOTHING_DONE;
  const run = new Application(job, lookup, world, signal);
  for (const step of plan.steps) await run.step(step);
  return run.outcome();
}

class Application {
  private readonly job: Job;
  private readonly lookup: Lookup;
  private readonly world: World;
  private readonly signal: AbortSignal;
  private readonly nix: Nix;
  private readonly steps: TimedStep[] = [];
  private readonly configured: string[] = [];
  private substituted = { paths: 0, bytes: 0 };
  private readonly built: { name: string; seconds: number }[] = [];
  private readonly pushed = new Map<StorePath, PushProgress>();
  private readonly verified = new Map<string, VerifiedTarget>();
  private readonly pinned: PinnedTarget[] = [];
  private readonly findings: Finding[] = [];
  private readonly good = new Set<StorePath>();
  /** Targets whose push failed: neither verified nor pinned. */
  private readonly broken = new Set<string>();

  constructor(job: Job, lookup: Lookup, world: World, signal: AbortSignal) {
    if (!world.nix) throw new UserError("NCP-201", "a plan with steps needs Nix");
    this.job = job;
    this.lookup = lookup;
    this.world = world;
    this.signal = signal;
    this.nix = world.nix;
  }

  async step(step: Step): Promise<void> {
    this.signal.throwIfAborted();
    const begin = this.world.clock.now();
    const what = describe(step);
    this.world.log.group(what);
    try {
      await this.act(step);
    } finally {
      this.world.log.endGroup();
      this.steps.push({ do: step.do, what, begin, end: this.world.clock.now() });
    }
  }

  outcome(): Outcome {
    const { steps, configured, substituted, built, pinned, findings } = this;
    return {
      steps,
      configured,
      substituted,
      built,
      pushed: [...this.pushed.values()],
      verified: [...this.verified.values()],
      pinned,
      findings,
    };
  }

  private act(step: Step): Promise<void> {
    switch (step.do) {
      case "configure":
        return this.configure(step.caches);
      case "substitute":
        return this.substitute(step.paths, step.bytes);
      case "build":
        return this.build(step);
      case "push":
        return this.push(step.cache, step.roots);
      case "verify":
        return this.verify(step);
      case "pin":
        return this.pin(step.cache, step.pin, step.target);
      default:
        return step satisfies never;
    }
  }

  private async configure(caches: readonly BinaryCache[]): Promise<void> {
    for (const line of await this.nix.configure(caches, this.signal)) {
      this.configured.push(line);
      this.world.log.info(line);
    }
  }

  private async substitute(paths: readonly StorePath[], bytes: number): Promise<void> {
    const failed = await this.nix.substitute(paths, this.signal);
    this.substituted = { paths: paths.length - failed.size, bytes };
    const [first] = failed;
    if (!first) return;
    this.findings.push({
      kind: "tier",
      level: "warning",
      code: "NCP-302",
      message: `Nix could not fetch ${count(failed.size, "path")} that a cache says it has, ${baseName(first[0])} for one: ${first[1]}`,
      hint: "later steps will build them; is the cache's public key trusted, and its NAR there?",
    });
  }

  private async build({ derivations }: Extract<Step, { do: "build" }>): Promise<void> {
    const begun = this.world.clock.now();
    const { failed } = await this.nix.build(derivations, this.signal);
    const seconds = (this.world.clock.now() - begun) / 1000;
    for (const { drvPath } of derivations) {
      const name = derivationName(drvPath);
      const message = failed.get(drvPath);
      if (message === undefined) {
        if (!this.built.some((built) => built.name === name)) this.built.push({ name, seconds });
        continue;
      }
      this.findings.push({
        kind: "missing",
        level: "error",
        code: "NCP-206",
        message: `${name} was not built: ${message}`,
        hint: `see its log with: nix log ${drvPath}`,
      });
    }
  }

  private async push(cache: Can<"push">, roots: PushRoots): Promise<void> {
    try {
      const result = await this.send(cache, roots.paths, this.job);
      for (const [path, error] of result.failed) this.pushFailed(roots.target, path, error);
      if (result.absent.length > 0) this.broken.add(roots.target);
    } catch (error) {
      this.signal.throwIfAborted();
      this.pushFailed(roots.target, roots.paths[0], error);
    }
  }

  private async send(
    cache: Can<"push">,
    paths: readonly StorePath[],
    how: Pick<Job, "pushFilter" | "force">,
  ): Promise<Pushed> {
    const { log } = this.world;
    const told = (done: PushProgress) => {
      this.pushed.set(done.path, done);
      log.info(`pushed ${baseName(done.path)} (${formatBytes(done.bytes)})`);
    };
    const result = await push(how, cache, this.lookup, this.nix, paths, told, this.signal);
    if (result.pushed.length === 0 && result.failed.size === 0 && result.closure.size > 0) {
      log.info(`nothing to push: all ${count(result.closure.size, "path")} are in a cache`);
    }
    return result;
  }

  private pushFailed(target: string, path: StorePath | undefined, error: unknown): void {
    this.broken.add(target);
    const { onPushFailure } = this.job;
    if (onPushFailure === "ignore") return;
    const hint = error instanceof UserError ? error.hint : undefined;
    this.findings.push({
      kind: "push",
      level: onPushFailure === "error" ? "error" : "warning",
      code: "NCP-305",
      message: `${path ? baseName(path) : target} was not pushed: ${describeError(error)}`,
      hint: hint ?? "run it again: only what is still missing is uploaded",
    });
  }

  private async verify(step: Extract<Step, { do: "verify" }>): Promise<void> {
    const { cache } = step;
    const { target, paths } = step.roots;
    if (this.broken.has(target)) return;
    let result = await this.look(cache, paths);
    const mendable = result.outcome === "gone" || result.outcome === "not yet visible";
    if (mendable && step.onTrouble === "mend" && can(cache, "push")) {
      // Once more, past every "already there": then it is said what it was.
      this.world.log.info(`${target}: ${result.outcome} (${result.detail}); pushing it again`);
      this.lookup.forget(result.failing);
      const local = await this.nix.valid(result.failing, this.signal);
      if (local.size > 0) {
        const how = { pushFilter: undefined, force: "force" as const };
        await this.send(cache, [...local], how).catch((error) =>
          this.pushFailed(target, [...local][0], error),
        );
        result = await this.look(cache, paths);
      }
    }
    const { outcome, detail } = result;
    this.verified.set(target, { target, outcome, detail, paths: result.paths });
    this.world.log.info(
      `${target}: ${outcome}${detail ? ` (${detail})` : ""}, ${count(result.paths, "path")}`,
    );
    if (outcome === "verified" || outcome === "upstream only") return;
    this.findings.push({
      kind: "unverified",
      level: this.job.failOn.includes("unverified") ? "error" : "warning",
      code: "NCP-306",
      message: `${target} is not verified in ${cache.name}: ${outcome}${detail ? `: ${detail}` : ""}`,
      hint: "it is not pinned; see docs/troubleshooting.md for what each outcome means",
    });
  }

  private async look(cache: BinaryCache, paths: readonly StorePath[]): Promise<Verification> {
    const valid = await this.nix.valid(paths, this.signal);
    const closure = await this.nix.closure([...valid], this.signal);
    const verifier = {
      cache,
      lookup: this.lookup,
      clock: this.world.clock,
      decompress: this.world.decompress,
      good: this.good,
    };
    return verify(
      verifier,
      {
        roots: paths,
        closure,
        level: this.job.verify,
        pushed: new Set(this.pushed.keys()),
        deadline: VISIBLE,
      },
      this.signal,
    );
  }

  private async pin(cache: Can<"pin">, pin: Pin, target: string): Promise<void> {
    if (this.verified.get(target)?.outcome !== "verified") return;
    const done = (state: PinnedTarget["state"], detail?: string) => {
      this.pinned.push({ target, name: pin.name, storePath: pin.storePath, state, detail });
      this.world.log.info(`pin ${pin.name}: ${state}${detail ? ` (${detail})` : ""}`);
    };
    try {
      await cache.pin(pin, this.signal);
      if (!cache.pins) return done("set");
      const stored = (await cache.pins(this.signal)).find(({ name }) => name === pin.name);
      if (stored?.storePath === pin.storePath) return done("confirmed");
      throw new UserError("NCP-307", `read back, it is on ${stored?.storePath ?? "nothing"}`);
    } catch (error) {
      this.signal.throwIfAborted();
      done("failed", describeError(error));
      this.findings.push({
        kind: "pin",
        level: this.job.onPushFailure === "error" ? "error" : "warning",
        code: "NCP-307",
        message: `pin ${pin.name} was not set: ${describeError(error)}`,
        hint: "the path is in the cache and verified; run again to pin it",
      });
    }
  }
}

function describe(step: Step): string {
  switch (step.do) {
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
    default:
      return step satisfies never;
  }
}

/** `Build bws-1.0.0: 12 s`. */
export function describeStep({ what, begin, end }: TimedStep): string {
  return `${what}: ${formatSeconds((end - begin) / 1000)}`;
}
