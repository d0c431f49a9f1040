/** What earlier runs left that this one may use: Nix's own evaluations, and the graphs of their targets. */

import { ledgerStore, sealed } from "./caches/records.ts";
import type { RecordStore } from "./domain/evaluation-record.ts";
import { type Code, recordSecret } from "./domain/job.ts";
import type { History } from "./domain/ledger.ts";
import type { Log } from "./domain/ports.ts";
import { VERSION } from "./domain/version.ts";
import { isHosted, secretOf, showsInputs } from "./host/environment.ts";
import { CarriedEvaluation } from "./nix/carried-evaluation.ts";
import type { NixCommand } from "./nix/command.ts";
import { type Flake, findFlake } from "./nix/flake.ts";
import type { NixMachine } from "./nix/machine.ts";
import { beginNaming, evaluationKey, type Naming } from "./nix/record-key.ts";
import { sourcesNow } from "./nix/sources.ts";
import type { OpenCachesRequest } from "./open-caches.ts";

/** As much of what a run is put together from as bears on what earlier runs left. */
interface EvaluationRequest extends OpenCachesRequest {
  readonly laterSteps?: unknown;
  readonly code: Code;
  readonly needs: "store and checkout" | "store";
  readonly evaluationRecords?: RecordStore | undefined;
  readonly log: Log;
  readonly signal: AbortSignal;
}

type EvaluatedBefore = "believed" | "removed" | "not looked at";

/**
 * What an earlier job of this machine, or a step before ours, had Nix evaluate may steer nothing that a
 * secret is used for, and no other job. On the command line the machine is its user's own.
 */
export function evaluatedBefore({
  job,
  laterSteps,
  secrets,
  environment,
}: EvaluationRequest): EvaluatedBefore {
  if (job.force !== "trust") return "not looked at";
  if (laterSteps === undefined) return "believed";
  const isOwn = secretOf(secrets, environment) === undefined && isHosted(environment);
  return isOwn ? "believed" : "removed";
}

export function reusesEvaluation({ job }: EvaluationRequest): boolean {
  return job.force === "trust" && job.reuseEvaluation === "auto";
}

/** The flake of the working directory, and what names it where evaluations of it may be reused. */
export interface Named {
  readonly flake: Flake | undefined;
  readonly naming: Naming | undefined;
}

/** Waits for no Nix: what names the flake is asked while it says how it is set up. */
export async function nameFlake(request: EvaluationRequest, command: NixCommand): Promise<Named> {
  const { environment, workspace, signal } = request;
  const flake = request.needs === "store" ? undefined : await findFlake(workspace);
  const isNamed =
    reusesEvaluation(request) && writerOf(request) !== undefined && !showsInputs(request);
  if (!flake || !isNamed) return { flake, naming: undefined };
  return { flake, naming: beginNaming(command, flake, environment, signal) };
}

/** What is carried from an earlier job to this one, and from here to the next. */
export function carriedEvaluation(
  request: EvaluationRequest,
  command: NixCommand,
  { setup, settings }: NixMachine,
  { flake, naming }: Named,
  own: RecordStore | undefined,
): CarriedEvaluation | undefined {
  const { job, environment, log } = request;
  const place = evaluationPlace(request, own, request.evaluationRecords);
  if (!place || !flake || !naming) return undefined;
  const also = [VERSION, place.by];
  return new CarriedEvaluation(
    {
      ...{ nix: command, environment, log, store: place.store, inputs: flake.inputs },
      ...{ version: setup.version, storeDir: setup.storeDir, realStoreDir: setup.realStoreDir },
      folder: request.folder,
      key: () => evaluationKey({ setup, settings: settings.evaluation, flake, also, naming }),
      found: evaluatedBefore(request) === "removed" ? "removed" : "believed",
      takesAway: job.without.length > 0 ? "something" : "nothing",
    },
    request.signal,
  );
}

/**
 * Where this run leaves its evaluation and finds an earlier one's, and whose that is. What maps a name to a
 * derivation proves nothing, so who wrote it must be one who could have pushed the result: with a secret,
 * whoever sealed it with that; without one, only this very run of the workflow.
 */
function evaluationPlace(
  request: OpenCachesRequest,
  own: RecordStore | undefined,
  elsewhere: RecordStore | undefined,
): { readonly store: RecordStore; readonly by: string } | undefined {
  const place = sharedPlace(request, own, elsewhere);
  const by = writerOf(request);
  return place && by ? { store: sealed(place, recordSecret(request.secrets)), by } : undefined;
}

/** Undefined on a command line without a secret: nobody could be told apart from others. */
function writerOf({ secrets, environment }: OpenCachesRequest): string | undefined {
  const run = environment["GITHUB_RUN_ID"] || undefined;
  return recordSecret(secrets) === undefined ? run && `run ${run}` : "a secret";
}

/** Beside our cache, where other jobs can read it there as soon as it is written; else in GitHub's cache. */
function sharedPlace(
  { job }: OpenCachesRequest,
  own: RecordStore | undefined,
  elsewhere: RecordStore | undefined,
): RecordStore | undefined {
  // What GitHub keeps of our cache it keeps when the job ends; other jobs wait for this now.
  return (job.cache?.keeper === "GitHub" ? undefined : own) ?? elsewhere;
}

/** What earlier runs left of their graphs; undefined where nothing can be left. */
export function historyIn(
  request: EvaluationRequest,
  own: RecordStore | undefined,
  key: string | undefined,
  { setup: { system, storeDir } }: NixMachine,
  flake: Flake | undefined,
): History | undefined {
  const { environment, workspace, secrets, job, log } = request;
  const store = sharedPlace(request, own, request.evaluationRecords) ?? own;
  if (!store || request.needs === "store") return undefined;
  const directory = flake?.directory ?? workspace;
  return {
    event: /^pull_request/.test(environment["GITHUB_EVENT_NAME"] ?? "") ? "pull request" : "other",
    sources: (signal) => sourcesNow({ directory, storeDir, environment }, signal),
    ledgers: ledgerStore({
      store,
      own,
      key,
      lines: [...job.targets, ...job.without].map(({ line }) => line),
      system,
      storeDir,
      secret: recordSecret(secrets),
      log,
    }),
  };
}
