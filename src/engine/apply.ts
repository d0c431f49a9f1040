/** Acts: the plan's steps in order; what one failed is not built upon by the next. */

import type { BinaryCache } from "../domain/cache.ts";
import { describeError, UserError } from "../domain/errors.ts";
import type { Finding } from "../domain/finding.ts";
import type { Job } from "../domain/job.ts";
import { cacheHost, serverCause, whatItSaid } from "../domain/location.ts";
import type { Nix, World } from "../domain/ports.ts";
import { formatBytes } from "../domain/size.ts";
import type { StorePath } from "../domain/store-path.ts";
import { holderWords, type VerifiedTarget } from "../domain/verdict.ts";
import { fetchFinding } from "./apply/apply-findings.ts";
import { Building, carryOut, lackAfter } from "./apply/building.ts";
import { fetchPaths } from "./apply/fetch.ts";
import { Meter } from "./apply/meter.ts";
import { Transaction } from "./apply/transaction.ts";
import type { Audit } from "./audit/check.ts";
import {
  deedsSince,
  NOTHING_DONE,
  type Outcome,
  type Reclaimed,
  type TimedStep,
} from "./outcome.ts";
import type { Plan } from "./plan.ts";
import {
  describePhase,
  describeStep,
  phasesOf,
  type Reclaim,
  reclaimWords,
  type Step,
} from "./step.ts";
import type { Lookup } from "./survey/lookup.ts";

/** What the steps go by, of what was seen. */
export interface Seen {
  readonly lookup: Lookup;
  /** The step `audit`: checks of what was seen, and of what was verified since. */
  audit(verified: readonly VerifiedTarget[]): Promise<Audit>;
}

export async function apply(
  job: Job,
  plan: Pick<Plan, "steps" | "until">,
  { lookup, audit }: Seen,
  world: World,
  signal: AbortSignal,
): Promise<Outcome> {
  // A runner without Nix has nothing to do, and that is no failure.
  if (plan.steps.length === 0) return NOTHING_DONE;
  const run = new Application(job, { lookup, audit }, world, signal, plan.until);
  for (const phase of phasesOf(plan.steps)) await run.phase(phase);
  await run.leaveOutStalled();
  return run.outcome();
}

const STEPS = { unit: "step", bytes: 0, bytesInAll: undefined, now: [] };

class Application {
  private readonly world: World;
  private readonly seen: Seen;
  private readonly signal: AbortSignal;
  private readonly nix: Nix;
  private readonly steps: TimedStep[] = [];
  private readonly configured: string[] = [];
  private substituted: Outcome["substituted"] = NOTHING_DONE.substituted;
  private readonly unfetched: StorePath[] = [];
  private readonly building: Building;
  private readonly reclaimed: Reclaimed[] = [];
  /** What the last reclaiming left to be wished for. */
  private stillLacking: Finding | undefined;
  private readonly findings: Finding[] = [];
  private readonly transaction: Transaction;
  private readonly job: Job;
  private audited: Audit | undefined;
  /** The caches that later steps are configured with. */
  private given: readonly BinaryCache[] = [];

  constructor(job: Job, seen: Seen, world: World, signal: AbortSignal, until?: number) {
    if (!world.nix) throw new UserError("NCP-201", "a plan with steps needs Nix");
    this.job = job;
    this.world = world;
    this.seen = seen;
    this.signal = signal;
    this.nix = world.nix;
    this.transaction = new Transaction({ job, lookup: seen.lookup, world, nix: world.nix, signal });
    const onNotBuilt = () => this.transaction.notBuilt();
    this.building = new Building({ job, world, nix: world.nix, signal, until, onNotBuilt });
  }

  /** One group of the log for all of a phase's steps. */
  async phase(steps: readonly Step[]): Promise<void> {
    const { log } = this.world;
    log.group(describePhase(steps));
    const before = this.outcome();
    try {
      let done = 0;
      using _shown =
        steps.length > 1
          ? log.watch?.(describePhase(steps), () => ({ ...STEPS, done, inAll: steps.length }))
          : undefined;
      for (const step of steps) {
        if (!this.transaction.passesOver(step)) {
          if (steps.length > 1) log.info(describeStep(step));
          await this.step(step);
        }
        done++;
      }
    } finally {
      for (const [deed, what] of deedsSince(before, this.outcome(), this.job.cacheName))
        log.did?.(deed, what);
      log.endGroup();
    }
  }

  private async step(step: Step): Promise<void> {
    this.signal.throwIfAborted();
    const begin = this.world.clock.now();
    try {
      await this.act(step);
    } finally {
      const end = this.world.clock.now();
      this.steps.push({ do: step.do, what: describeStep(step), begin, end });
    }
  }

  outcome(): Outcome {
    const { steps, configured, substituted, unfetched, building, reclaimed, transaction } = this;
    return {
      steps,
      configured,
      substituted,
      unfetched,
      gone: [...transaction.gone],
      built: building.built.map(({ drvPath, name, seconds, outputs }) => ({
        drvPath,
        name,
        seconds,
        bytes: this.size(outputs),
      })),
      notBuilt: building.notBuilt,
      figures: building.figures,
      reclaimed,
      freeAfter: this.world.disk.freeNow(this.nix.setup.realStoreDir)?.freeBytes,
      pushed: [...transaction.pushed.values()],
      notPushed: transaction.partlyPushed("failed"),
      keptOut: transaction.partlyPushed("kept out"),
      unpushed: transaction.unpushed,
      verified: [...transaction.verified.values()],
      pinned: transaction.pinned,
      ...(this.audited ? { audit: this.audited } : {}),
      findings: [
        ...this.findings,
        ...(this.stillLacking ? [this.stillLacking] : []),
        ...building.findings,
        ...transaction.findings,
      ],
    };
  }

  /** What a push had to know of them; nobody is asked for a number that only the report shows. */
  private size(outputs: readonly StorePath[]): number | undefined {
    const sizes = outputs.flatMap((path) => this.transaction.narSizes.get(path) ?? []);
    return sizes.length === 0 ? undefined : sizes.reduce((sum, bytes) => sum + bytes, 0);
  }

  private act(step: Step): Promise<void> {
    switch (step.do) {
      case "configure":
        return this.configure(step.caches);
      case "substitute":
        return this.substitute(step.paths, step.bytes);
      case "reclaim":
        return this.reclaim(step.reclaim);
      case "build":
        return this.building.build(step);
      case "push":
        return this.transaction.push(step);
      case "verify":
        return this.transaction.verify(step);
      case "pin":
        return this.transaction.pin(step);
      case "audit":
        return this.audit();
      default:
        return step satisfies never;
    }
  }

  private async audit(): Promise<void> {
    const { job, seen, transaction } = this;
    this.audited = await seen.audit([...transaction.verified.values()]);
    const { auditFindings } = await import("./audit/audit.ts");
    this.findings.push(...auditFindings(job, this.audited));
  }

  /** Later steps are told of the caches that answer: one that stalled would hold up every `nix build`. */
  private async configure(caches: readonly BinaryCache[]): Promise<void> {
    this.given = await this.withoutStalled(caches);
    try {
      const told = await this.nix.configure?.(this.given, this.signal);
      for (const line of told?.lines ?? []) {
        this.configured.push(line);
        this.world.log.info(line);
      }
      // Told anew where a cache falls out later on.
      const known = new Set(this.findings.map(({ message }) => message));
      this.findings.push(...(told?.findings ?? []).filter(({ message }) => !known.has(message)));
    } catch (error) {
      // This run names the caches at every call; it is later steps that do not know them.
      if (!(error instanceof UserError) || error.code !== "NCP-352") throw error;
      this.findings.push({
        kind: "cache",
        level: "warning",
        code: error.code,
        message: error.message,
        ...(error.hint === undefined ? {} : { hint: error.hint }),
      });
    }
  }

  /** What stopped answering while this run was at work is taken out of what later steps read. */
  async leaveOutStalled(): Promise<void> {
    const before = this.given;
    const now = await this.withoutStalled(before);
    if (now.length < before.length) await this.configure(now);
  }

  private async withoutStalled(caches: readonly BinaryCache[]): Promise<readonly BinaryCache[]> {
    const answering: BinaryCache[] = [];
    for (const cache of caches) {
      try {
        await cache.describe(this.signal);
        answering.push(cache);
      } catch (error) {
        this.signal.throwIfAborted();
        this.findings.push({
          kind: "cache",
          level: "warning",
          ...(error instanceof UserError ? { code: error.code } : {}),
          cause: serverCause(cache.name),
          title: `${cacheHost(cache.name)} stopped answering`,
          message: `${cache.name} stopped answering, and later steps are not configured with it: ${whatItSaid(cache.name, error)}`,
          hint: "they build what only it has, instead of waiting for it",
        });
      }
    }
    return answering;
  }

  private async substitute(paths: readonly StorePath[], bytes: number): Promise<void> {
    const { world, nix, signal } = this;
    const { lookup } = this.seen;
    const begun = world.clock.now();
    const meter = new Meter("path", paths.length, bytes);
    using _shown = world.log.watch?.("Fetch", meter.state);
    const failed = await fetchPaths(world, nix, lookup, paths, signal, meter);
    this.unfetched.push(...failed.keys());
    let lacking = 0;
    const substituters = new Set<string>();
    for (const path of failed.keys()) {
      const { served } = await lookup.ask(path);
      lacking += served?.narInfo.narSize ?? 0;
      if (served) substituters.add(holderWords(served));
    }
    this.substituted = {
      paths: paths.length - failed.size,
      bytes: bytes - lacking,
      seconds: (world.clock.now() - begun) / 1000,
    };
    if (failed.size === 0) return;
    const { job } = this;
    const from = [...substituters].join(", ") || "a cache";
    this.findings.push(
      fetchFinding(job, { failed, from, code: world.code, into: nix.setup.realStoreDir }),
    );
  }

  /** A failure to reclaim is told; whether space is lacking then, the builds find out. */
  private async reclaim(reclaim: Reclaim): Promise<void> {
    const { world, nix, signal } = this;
    try {
      const done = await carryOut(reclaim, world, nix, signal);
      this.reclaimed.push(done);
      this.stillLacking =
        reclaim.kind === "build directory" ? undefined : lackAfter(reclaim, world);
      world.log.info(done.bytes === undefined ? done.what : `${formatBytes(done.bytes)} freed`);
    } catch (error) {
      signal.throwIfAborted();
      this.findings.push({
        kind: "disk",
        level: "warning",
        code: "NCP-408",
        message: `${reclaimWords(reclaim)}: it failed: ${describeError(error)}`,
        hint: "the run goes on with the space there is",
      });
    }
  }
}
