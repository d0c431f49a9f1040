/** What main leaves for post: one versioned, sealed record, and never a secret. */

import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod/mini";
import type { Trust } from "../domain/job.ts";
import type { StorePath } from "../domain/store-path.ts";
import type { JobMemory } from "../engine/post.ts";
import { writeWhole } from "../host/atomic.ts";
import type { ProcessIdentity } from "../host/processes.ts";
import type { Context } from "./context.ts";

const STORE_PATH = /^\/[^\s"]{1,400}$/;

const USE = /^[1-9]\d{0,5}$/;

const State = z.object({
  version: z.literal(3),
  use: z.string().check(z.regex(USE)),
  trust: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("write"), pins: z.enum(["move", "keep"]), why: z.string() }),
    z.object({
      kind: z.literal("read-only"),
      code: z.enum(["ours", "strange"]),
      why: z.string(),
    }),
  ]),
  targets: z.array(
    z.object({
      name: z.string(),
      outputs: z.array(z.string().check(z.regex(STORE_PATH))),
      pinName: z.string().check(z.regex(/^[0-9A-Za-z_.+-]{1,200}$/)),
    }),
  ),
  programs: z.optional(z.string().check(z.regex(/^\/[^:\0]*$/))),
  storeNames: z.object({ file: z.string(), sha256: z.string() }),
  silent: z.array(z.string()),
  pushEnded: z.optional(z.string()),
  watcher: z.optional(
    z.object({
      pid: z.int().check(z.positive()),
      began: z.string().check(z.regex(/^[\w :]{1,40}$/)),
    }),
  ),
});

export interface StepState {
  /** Which use of the action in this job it is. */
  readonly use: string;
  /** What main was allowed. Post asks again, and the lower of both counts. */
  readonly trust: Trust;
  readonly memory: JobMemory;
  /** The process that pushes while the job runs. */
  readonly watcher: ProcessIdentity | undefined;
  /** Where main found Nix: a later step may put another program of its name before it. */
  readonly programs: string | undefined;
}

export const STATE = "preflight";

/** Saved before anything else and written over by the record, so that post finds the folder of a main that was killed. */
export function firstState(use: string): string {
  return JSON.stringify({ use });
}

/** Between the names in the store and what the job's work descends from. */
const GAP = "\n\n";

/** The record as text; the long list of names goes to a file in the runner's temporary folder. */
export async function saveState(
  { use, trust, memory, watcher, programs }: StepState,
  folder: string,
  seal: Seal,
): Promise<string> {
  const file = join(folder, "store-names");
  const names = [
    [...memory.storeNames].join("\n"),
    ...(memory.origin ? [memory.origin.join("\n")] : []),
  ].join(GAP);
  await writeWhole(file, names, 0o600);
  const record = {
    version: 3,
    use,
    trust,
    targets: memory.targets.map((target) => ({ ...target, outputs: [...target.outputs] })),
    storeNames: { file, sha256: sum(names) },
    silent: [...(memory.silent ?? [])],
    ...(memory.pushEnded === undefined ? {} : { pushEnded: memory.pushEnded }),
    ...(watcher === undefined ? {} : { watcher }),
    ...(programs === undefined ? {} : { programs }),
  } satisfies z.infer<typeof State>;
  return JSON.stringify({ ...record, seal: seal.of(JSON.stringify(record)) });
}

/** The number of a use, or undefined for what is none. */
export function parseUse(text: string): string | undefined {
  return USE.test(text) ? text : undefined;
}

/** The use that the record names, which its seal is bound to; undefined where it names none. */
export function useOf(text: string): string | undefined {
  try {
    const { use } = JSON.parse(text) as { use?: unknown };
    return typeof use === "string" ? parseUse(use) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Undefined where the record is missing, damaged, another run's or changed since: then post does not
 * know what the job started from, nor what it was allowed, and pushes nothing rather than everything.
 */
export async function loadState(text: string, seal: Seal): Promise<StepState | undefined> {
  try {
    const { seal: given, ...record } = JSON.parse(text) as Record<string, unknown>;
    if (typeof given !== "string" || !seal.isGood(given, JSON.stringify(record))) return undefined;
    const state = State.parse(record);
    const lists = await readFile(state.storeNames.file, "utf8");
    if (sum(lists) !== state.storeNames.sha256) return undefined;
    const [names = "", origin] = lists.split(GAP);
    const targets = state.targets.map((target) => ({
      ...target,
      outputs: target.outputs as StorePath[],
    }));
    return {
      use: state.use,
      trust: state.trust,
      memory: {
        targets,
        storeNames: new Set(names === "" ? [] : names.split("\n")),
        silent: state.silent,
        ...(origin === undefined
          ? {}
          : { origin: (origin === "" ? [] : origin.split("\n")) as StorePath[] }),
        ...(state.pushEnded === undefined ? {} : { pushEnded: state.pushEnded }),
      },
      watcher: state.watcher,
      programs: state.programs,
    };
  } catch {
    return undefined;
  }
}

function sum(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

export interface Seal {
  of(text: string): string;
  isGood(seal: string, text: string): boolean;
}

/**
 * Keyed with what this step is given and the job's other steps are not: its token, its signing key,
 * or the runner's own token for GitHub's cache. Without any of them the seal is a plain checksum:
 * then whoever can forge it can write to the cache just as well (a folder, an agent's ssh key).
 * Bound to the run, the cache and our folder: a record of another run, or one that would send the
 * token to another cache, does not fit.
 */
export function sealFor({ secrets, environment, job, folder }: SealContext): Seal {
  const key = secrets.token ?? secrets.signingKey ?? environment["ACTIONS_RUNTIME_TOKEN"];
  const bound = JSON.stringify([
    job.cacheName,
    folder,
    ...["GITHUB_REPOSITORY", "GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_JOB"].map(
      (name) => environment[name] ?? "",
    ),
  ]);
  const digest = (text: string) =>
    (key ? createHmac("sha256", key) : createHash("sha256")).update(bound).update(text).digest();
  return {
    of: (text) => digest(text).toString("hex"),
    isGood: (seal, text) => {
      const given = Buffer.from(seal, "hex");
      const right = digest(text);
      return given.length === right.length && timingSafeEqual(given, right);
    },
  };
}

export type SealContext = Pick<Context, "secrets" | "environment" | "folder"> & {
  readonly job: Pick<Context["job"], "cacheName">;
};
