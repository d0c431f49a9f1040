/** Push → verify → pin of each target: what one failed is not built upon by the next. */

import {
  type BinaryCache,
  type Can,
  can,
  type Pin,
  type PushProgress,
} from "../../domain/cache.ts";
import { asError, describeError } from "../../domain/errors.ts";
import type { Finding } from "../../domain/finding.ts";
import type { Job } from "../../domain/job.ts";
import type { Nix, World } from "../../domain/ports.ts";
import { count, formatBytes } from "../../domain/size.ts";
import { baseName, type StorePath } from "../../domain/store-path.ts";
import type { VerifiedTarget } from "../../domain/verdict.ts";
import type { PinnedTarget, PushedPath } from "../outcome.ts";
import type { Step } from "../step.ts";
import type { Lookup } from "../survey/lookup.ts";
import {
  keptOutFindings,
  keptOutWords,
  otherBuild,
  pinFinding,
  poisonFindings,
  proofFindings,
  pushFindings,
} from "./apply-findings.ts";
import { Meter, PushMeter } from "./meter.ts";
import type { KeptOut, Pushed, PushHow } from "./push.ts";
import { push, pushRealisations, rootsMade, setPin, vanished } from "./push.ts";
import { type Verification, verify } from "./verify.ts";

const VISIBLE = { path: 120_000, pin: 30_000 };
/** Milliseconds for a path that is verified when all that time has passed. */
const MOMENT = 5_000;

export interface TransactionParts {
  readonly job: Pick<
    Job,
    "pushFilter" | "pushMax" | "force" | "verify" | "failOn" | "onPushFailure"
  >;
  readonly lookup: Lookup;
  readonly world: Pick<World, "clock" | "log" | "decompress">;
  readonly nix: Pick<Nix, "valid" | "closure" | "nar" | "realisations">;
  readonly signal: AbortSignal;
  /** Milliseconds a pushed path and a pin have to become visible. */
  readonly visible?: { readonly path: number; readonly pin: number };
}

export class Transaction {
  readonly pushed = new Map<StorePath, PushedPath>();
  /** What paths take in the store, as far as a push had to know it. */
  readonly narSizes = new Map<StorePath, number>();
  readonly verified = new Map<string, VerifiedTarget>();
  /** Found to be gone, and not here to be pushed again. */
  readonly gone = new Set<StorePath>();
  readonly pinned: PinnedTarget[] = [];
  private readonly told: Finding[] = [];
  /** Of all targets together: what is down fails each of them for one and the same cause. */
  private readonly failed = new Map<StorePath, Error>();
  /** Milliseconds that what was pushed may still be waited for, of all targets together. */
  private patience: number;
  private readonly parts: TransactionParts;
  private readonly good = new Set<StorePath>();
  /** Told already. */
  private readonly poisoned = new Set<StorePath>();
  /** Above `push-max`, or refers to what is. */
  readonly keptOut = new Map<StorePath, KeptOut>();
  /** What was pushed in part, or not at all: if it is a target, it is neither verified nor pinned. */
  private readonly partly = new Map<string, "failed" | "kept out">();
  private readonly roots = new Map<string, Extract<Step, { do: "verify" }>>();
  /** The name of the cache that is pushed to, or looked at. */
  private to = "";
  private buildsFailed: "none" | "some" = "none";

  constructor(parts: TransactionParts) {
    this.parts = parts;
    this.patience = (parts.visible ?? VISIBLE).path;
  }

  get findings(): readonly Finding[] {
    const sent = { to: this.to, failed: this.failed, pushed: this.pushed.size };
    const proofs = proofFindings(this.parts.job, this.to, this.verified.values());
    const keptOut = keptOutFindings([...this.keptOut.values()]);
    return [...pushFindings(this.parts.job, sent), ...keptOut, ...this.told, ...proofs];
  }

  /** What failed, or `push-max` keeps out, of the names that its push had. */
  partlyPushed(why: "failed" | "kept out"): readonly string[] {
    return [...this.partly].flatMap(([name, of]) => (of === why ? [name] : []));
  }

  /** Whether a step comes to nothing, since what had to be done before it was not. */
  passesOver(step: Step): boolean {
    if (step.do === "verify") return this.partly.has(step.roots.target);
    return step.do === "pin" && this.verified.get(step.target)?.outcome !== "verified";
  }

  get unpushed(): readonly StorePath[] {
    return [...this.failed.keys()];
  }

  /** A build failed, and was told: what it should have made is not there, and needs no second word. */
  notBuilt(): void {
    this.buildsFailed = "some";
  }

  async push({ cache, roots }: Extract<Step, { do: "push" }>): Promise<void> {
    const { target } = roots;
    this.to = cache.name;
    const { job, signal } = this.parts;
    // What became of it only Nix can tell: until then it goes by what it is built from.
    let paths = [...roots.paths, ...(roots.realised ?? []).map(({ drvPath }) => drvPath)];
    try {
      const now = await rootsMade(roots, this.parts.nix, signal);
      paths = [...now.paths];
      const { failed, absent, keptOut } = await this.send(cache, paths, job);
      const isWhole = failed.size + absent.length + keptOut.length === 0;
      if (isWhole) await pushRealisations(cache, now.made, signal);
      if (keptOut.length > 0) this.partly.set(target, "kept out");
      if (failed.size > 0 || absent.length > 0) this.partly.set(target, "failed");
      const lost = this.buildsFailed === "some" ? [] : absent;
      this.fail([...failed, ...lost.map((path) => [path, vanished(path)] as const)]);
    } catch (error) {
      signal.throwIfAborted();
      this.pushFailed(target, paths, error);
    }
  }

  private pushFailed(target: string, paths: readonly StorePath[], error: unknown): void {
    this.partly.set(target, "failed");
    this.fail(paths.map((path) => [path, asError(error)]));
  }

  private fail(failed: Iterable<readonly [StorePath, Error]>): void {
    for (const [path, error] of failed) this.failed.set(path, error);
  }

  private async send(
    cache: Can<"push">,
    paths: readonly StorePath[],
    how: PushHow,
  ): Promise<Pushed> {
    const { world, lookup, nix, signal } = this.parts;
    const meter = new PushMeter(world.clock);
    using _shown = world.log.watch?.(`Push to ${cache.name}`, meter.state);
    const told = (done: PushProgress) => {
      // It is waited for, and looked at, anew.
      this.good.delete(done.path);
      this.failed.delete(done.path);
      this.pushed.set(done.path, meter.finish(done));
      world.log.info(`pushed ${baseName(done.path)} (${formatBytes(done.bytes)})`);
    };
    const result = await push({ ...how, told: meter }, cache, lookup, nix, paths, told, signal);
    for (const [path, { narSize }] of result.closure) this.narSizes.set(path, narSize);
    for (const one of result.keptOut) {
      if (this.keptOut.has(one.path)) continue;
      this.keptOut.set(one.path, one);
      world.log.info(`kept out: ${keptOutWords(one)}`);
      world.log.did?.("Kept out", `${keptOutWords(one)}: push-max`);
    }
    const poisoned = [...result.poisoned].filter(([path]) => !this.poisoned.has(path));
    for (const [path] of poisoned) this.poisoned.add(path);
    this.told.push(...poisonFindings(cache.name, poisoned));
    const idle =
      result.pushed.length + result.failed.size + result.poisoned.size + result.keptOut.length ===
      0;
    if (idle && result.closure.size > 0) {
      const all = result.closure.size === 1 ? "the one path is" : `all ${result.closure.size} are`;
      world.log.info(`nothing to push: ${all} in a cache`);
    }
    return result;
  }

  async verify(step: Extract<Step, { do: "verify" }>): Promise<void> {
    const { cache } = step;
    const { target } = step.roots;
    this.to = cache.name;
    this.roots.set(target, step);
    if (this.passesOver(step)) return;
    const { world } = this.parts;
    const begun = world.clock.now();
    const made = await rootsMade(step.roots, this.parts.nix, this.parts.signal);
    if (made.paths.length === 0) return;
    const roots = { target, paths: made.paths };
    const { outcome, detail, paths, bytes, failing } = await this.proof({ ...step, roots });
    if (outcome === "gone") for (const path of failing) this.gone.add(path);
    const seconds = (world.clock.now() - begun) / 1000;
    this.verified.set(target, { target, outcome, detail, paths, bytes, seconds });
    world.log.info(`${target}: ${outcome}${detail ? ` (${detail})` : ""}, ${count(paths, "path")}`);
    if (outcome === "another build") this.told.push(otherBuild(target, cache.name, detail));
  }

  /** Looks; where a push turned out wrong, pushes once more and looks again: then it is what it is. */
  private async proof(step: Extract<Step, { do: "verify" }>): Promise<Verification> {
    const { cache, roots, onTrouble } = step;
    const { job, world, lookup, nix, signal } = this.parts;
    const result = await this.look(cache, roots.paths);
    const isMendable =
      result.outcome === "gone" ||
      result.outcome === "not yet visible" ||
      // What others put there is not ours to push over; what this run did may have gone wrong.
      ((result.outcome === "mismatch" || result.outcome === "rejected") &&
        result.failing.some((path) => this.pushed.has(path)));
    if (!isMendable || onTrouble !== "mend" || !can(cache, "push")) return result;
    world.log.info(`${roots.target}: ${result.outcome} (${result.detail}); pushing it again`);
    lookup.forget(result.failing);
    const local = [...(await nix.valid(result.failing, signal))];
    if (local.length === 0) return result;
    try {
      const how = { ...job, pushFilter: undefined, force: "trust" as const, again: new Set(local) };
      const { failed } = await this.send(cache, local, how);
      this.fail(failed);
    } catch (error) {
      signal.throwIfAborted();
      this.pushFailed(roots.target, local, error);
    }
    return this.look(cache, roots.paths);
  }

  private async look(cache: BinaryCache, paths: readonly StorePath[]): Promise<Verification> {
    const { job, world, lookup, nix, signal } = this.parts;
    const valid = await nix.valid(paths, signal);
    const closure = await nix.closure([...valid], signal);
    const { clock, decompress } = world;
    const meter = new Meter("path", closure.size || undefined);
    using _shown = world.log.watch?.(`Verify in ${cache.name}`, meter.state);
    const told = (path: StorePath, bytes: number) => meter.finish(path, bytes);
    const begun = clock.now();
    // The watch is to last until the answer is there.
    const found = await verify(
      { cache, lookup, clock, decompress, good: this.good, told },
      {
        roots: paths,
        closure,
        level: job.verify,
        // What was seen to be there and is there no more is gone, and not late.
        pushed: new Set([...this.pushed.keys()].filter((path) => !this.good.has(path))),
        deadline: this.patience,
      },
      signal,
    );
    // Later ones had the same time to become visible; a moment is left for what was pushed since.
    if (found.outcome === "not yet visible") {
      const left = this.patience - (clock.now() - begun);
      this.patience = Math.max(left, Math.min(MOMENT, this.patience));
    }
    return found;
  }

  async pin(step: Extract<Step, { do: "pin" }>): Promise<void> {
    const { cache, pin, target } = step;
    const { job, world, signal } = this.parts;
    if (this.passesOver(step)) return;
    const begun = world.clock.now();
    const done = (state: PinnedTarget["state"], detail?: string) => {
      const seconds = (world.clock.now() - begun) / 1000;
      this.pinned.push({
        target,
        name: pin.name,
        storePath: pin.storePath,
        state,
        detail,
        seconds,
      });
      world.log.info(`pin ${pin.name}: ${state}${detail ? ` (${detail})` : ""}`);
    };
    try {
      done(await this.pinOrMend(cache, pin, target));
    } catch (error) {
      signal.throwIfAborted();
      done("failed", describeError(error));
      const now = this.verified.get(target)?.outcome;
      this.told.push(pinFinding(job, { pin: pin.name, target, error }, now));
    }
  }

  /** A cache may collect its garbage between the proof and the pin: then all of it is done once more. */
  private async pinOrMend(
    cache: Can<"pin">,
    pin: Pin,
    target: string,
  ): Promise<"confirmed" | "set"> {
    const { world, signal, visible } = this.parts;
    const step = this.roots.get(target);
    const deadline = (visible ?? VISIBLE).pin;
    try {
      return await setPin(cache, pin, deadline, world.clock, signal);
    } catch (error) {
      signal.throwIfAborted();
      const presence = await cache.query(pin.storePath, signal);
      if (!step || presence.kind !== "miss") throw error;
      world.log.info(`pin ${pin.name}: ${describeError(error)}; the path is gone`);
      await this.verify(step);
      if (this.verified.get(target)?.outcome !== "verified") throw error;
      return setPin(cache, pin, deadline, world.clock, signal);
    }
  }
}
