/** Owns acting: the plan's steps in order; what one failed is not built upon by the next. */

import type { BinaryCache } from "../domain/cache.ts";
import { UserError } from "../domain/errors.ts";
import type { Finding } from "../domain/finding.ts";
import type { Job } from "../domain/job.ts";
import type { Nix, World } from "../domain/ports.ts";
import { count, formatBytes, formatSeconds } from "../domain/size.ts";
import { baseName, derivationName, type StorePath } from "../domain/store-path.ts";
import { audit, auditFindings } from "./audit/audit.ts";
import type { Audit } from "./audit/check.ts";
import { fetchPaths } from "./fetch.ts";
import type { Lookup } from "./lookup.ts";
import { NOTHING_DONE, type Outcome, type TimedStep } from "./outcome.ts";
import type { Plan } from "./plan.ts";
import type { Step } from "./step.ts";
import type { Survey } from "./survey.ts";
import { Transaction } from "./transaction.ts";

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
  private readonly world: World;
  private readonly lookup: Lookup;
  private readonly signal: AbortSignal;
  private readonly nix: Nix;
  private readonly steps: TimedStep[] = [];
  private readonly configured: string[] = [];
  private substituted = { paths: 0, bytes: 0 };
  private readonly built: { name: string; seconds: number }[] = [];
  private readonly findings: Finding[] = [];
  private readonly transaction: Transaction;
  private readonly job: Job;
  private audited: Audit | undefined;

  constructor(job: Job, lookup: Lookup, world: World, signal: AbortSignal) {
    if (!world.nix) throw new UserError("NCP-201", "a plan with steps needs Nix");
    this.job = job;
    this.world = world;
    this.lookup = lookup;
    this.signal = signal;
    this.nix = world.nix;
    this.transaction = new Transaction({ job, lookup, world, nix: world.nix, signal });
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
    const { steps, configured, substituted, built, transaction } = this;
    return {
      steps,
      configured,
      substituted,
      built,
      pushed: [...transaction.pushed.values()],
      verified: [...transaction.verified.values()],
      pinned: transaction.pinned,
      ...(this.audited ? { audit: this.audited } : {}),
      findings: [...this.findings, ...transaction.findings],
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
        return this.transaction.push(step);
      case "verify":
        return this.transaction.verify(step);
      case "pin":
        return this.transaction.pin(step);
      case "audit":
        return this.audit(step.survey);
      default:
        return step satisfies never;
    }
  }

  private async audit(survey: Survey): Promise<void> {
    const { job, world, transaction, signal } = this;
    this.audited = await audit(job, survey, [...transaction.verified.values()], world, signal);
    this.findings.push(...auditFindings(job, this.audited));
  }

  private async configure(caches: readonly BinaryCache[]): Promise<void> {
    for (const line of await this.nix.configure(caches, this.signal)) {
      this.configured.push(line);
      this.world.log.info(line);
    }
  }

  private async substitute(paths: readonly StorePath[], bytes: number): Promise<void> {
    const { world, nix, lookup, signal } = this;
    const failed = await fetchPaths(world, nix, lookup, paths, signal);
    let lacking = 0;
    for (const path of failed.keys()) {
      const { own, upstream } = await lookup.ask(path);
      lacking += (own ?? upstream)?.narInfo.narSize ?? 0;
    }
    this.substituted = { paths: paths.length - failed.size, bytes: bytes - lacking };
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
    const { built, failed } = await this.nix.build(derivations, this.signal);
    const seconds = (this.world.clock.now() - begun) / 1000;
    for (const drvPath of built) this.built.push({ name: derivationName(drvPath), seconds });
    for (const [drvPath, message] of failed) {
      const name = derivationName(drvPath);
      this.transaction.notBuilt();
      this.findings.push({
        kind: "missing",
        level: "error",
        code: "NCP-206",
        message: `${name} was not built: ${message}`,
        hint: `see its log with: nix log ${drvPath}`,
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
    case "audit":
      return "Audit the project";
    default:
      return step satisfies never;
  }
}

/** `Build bws-1.0.0: 12 s`. */
export function describeStep({ what, begin, end }: TimedStep): string {
  return `${what}: ${formatSeconds((end - begin) / 1000)}`;
}
