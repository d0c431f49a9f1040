/** What main leaves for post: a sealed record in our folder, and where it is; never a secret. */

import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod/mini";
import type { Trust } from "../domain/job.ts";
import type { StorePath } from "../domain/store-path.ts";
import type { JobMemory } from "../engine/post.ts";
import type { WantedPin } from "../engine/survey/found.ts";
import { writeWhole } from "../host/atomic.ts";
import type { ProcessIdentity } from "../host/processes.ts";
import type { CheckRun } from "./check-runs.ts";
import { type Context, folderOf, type Place, USE } from "./context.ts";

const STORE_PATH = /^\/[^\s"]{1,400}$/;

/** A target's own, and after a `^` which of its outputs. */
const PIN_NAME = /^[0-9A-Za-z_.+-]{1,200}(?:\^[0-9A-Za-z_.+-]{1,200})?$/;

const RECORD = /^state-[1-9]\d{0,3}\.json$/;

/** What the runner hands on: one variable, and a process is not started with one of more than 128 kB. */
const Pointer = z.object({
  version: z.literal(4),
  sharedFolder: z.string().check(z.regex(/^\/[^\0\n]{1,4000}$/)),
  use: z.string().check(z.regex(USE)),
  file: z.string().check(z.regex(RECORD)),
  seal: z.string(),
});

/** The record itself, in our folder. */
const State = z.object({
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
      pins: z.array(
        z.object({
          name: z.string().check(z.regex(PIN_NAME)),
          storePath: z.string().check(z.regex(STORE_PATH)),
        }),
      ),
    }),
  ),
  programs: z.optional(z.string().check(z.regex(/^\/[^:\0]*$/))),
  origin: z.optional(z.array(z.string().check(z.regex(STORE_PATH)))),
  inputs: z.optional(z.array(z.string().check(z.regex(STORE_PATH)))),
  storeNames: z.object({ sha256: z.string() }),
  silent: z.array(z.string()),
  pushEnded: z.optional(z.string()),
  told: z.optional(z.array(z.string())),
  checks: z.optional(
    z.array(
      z.object({
        target: z.string(),
        id: z.int().check(z.positive()),
        state: z.string(),
      }),
    ),
  ),
  watcher: z.optional(
    z.object({
      pid: z.int().check(z.positive()),
      began: z.string().check(z.regex(/^[\w :]{1,40}$/)),
    }),
  ),
});

export interface StepState {
  /** What main was allowed. Post asks again, and the lower of both counts. */
  readonly trust: Trust;
  readonly memory: JobMemory;
  /** The process that pushes while the job runs. */
  readonly watcher: ProcessIdentity | undefined;
  /** Causes that main told of. */
  readonly told?: readonly string[];
  /** The check runs that main made. */
  readonly checks?: readonly CheckRun[];
  /** Where main found Nix: a later step may put another program of its name before it. */
  readonly programs?: string | undefined;
}

export const STATE = "preflight";

const NAMES = "store-names";

/** Writes main's record, once before the work and again as more is known: post has the newest. */
export class StateKeeper {
  private readonly place: Place;
  private readonly seal: Seal;
  private saved = 0;
  private names: { readonly of: JobMemory["storeNames"]; readonly sha256: string } | undefined;

  constructor(place: Place, seal: Seal) {
    this.place = place;
    this.seal = seal;
  }

  /** Returns what the runner is to hand on. A file each time: a main that is killed here leaves the one before. */
  async save({ trust, memory, watcher, programs, told, checks }: StepState): Promise<string> {
    const folder = folderOf(this.place);
    if (this.names?.of !== memory.storeNames) {
      const names = [...memory.storeNames].join("\n");
      await writeWhole(join(folder, NAMES), names);
      this.names = { of: memory.storeNames, sha256: sum(names) };
    }
    const record = JSON.stringify({
      trust,
      targets: memory.targets.map(({ name, outputs, pins }) => ({
        name,
        outputs: [...outputs],
        pins: [...pins],
      })),
      storeNames: { sha256: this.names.sha256 },
      silent: [...(memory.silent ?? [])],
      ...(memory.pushEnded === undefined ? {} : { pushEnded: memory.pushEnded }),
      ...(memory.origin === undefined ? {} : { origin: [...memory.origin] }),
      ...(memory.inputs === undefined ? {} : { inputs: [...memory.inputs] }),
      ...(watcher === undefined ? {} : { watcher }),
      ...(programs === undefined ? {} : { programs }),
      ...(told === undefined ? {} : { told: [...told] }),
      ...(checks === undefined ? {} : { checks: checks.map((one) => ({ ...one })) }),
    } satisfies z.infer<typeof State>);
    const file = `state-${++this.saved}.json`;
    await writeWhole(join(folder, file), record);
    const { sharedFolder, use } = this.place;
    return JSON.stringify({
      version: 4,
      sharedFolder,
      use,
      file,
      seal: this.seal.of(record),
    } satisfies z.infer<typeof Pointer>);
  }
}

/** Where the record is, which its seal is bound to; undefined where the text names no place. */
export function placeIn(text: string): Place | undefined {
  try {
    const { sharedFolder, use } = Pointer.parse(JSON.parse(text));
    return { sharedFolder, use };
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
    const pointer = Pointer.parse(JSON.parse(text));
    const folder = folderOf(pointer);
    const record = await readFile(join(folder, pointer.file), "utf8");
    if (!seal.isGood(pointer.seal, record)) return undefined;
    const state = State.parse(JSON.parse(record));
    const names = await readFile(join(folder, NAMES), "utf8");
    if (sum(names) !== state.storeNames.sha256) return undefined;
    const targets = state.targets.map((target) => ({
      ...target,
      outputs: target.outputs as StorePath[],
      pins: target.pins as WantedPin[],
    }));
    return {
      trust: state.trust,
      memory: {
        targets,
        storeNames: new Set(names === "" ? [] : names.split("\n")),
        silent: state.silent,
        ...(state.pushEnded === undefined ? {} : { pushEnded: state.pushEnded }),
        ...(state.origin === undefined ? {} : { origin: state.origin as StorePath[] }),
        ...(state.inputs === undefined ? {} : { inputs: state.inputs as StorePath[] }),
      },
      watcher: state.watcher,
      ...(state.told === undefined ? {} : { told: state.told }),
      ...(state.checks === undefined ? {} : { checks: state.checks }),
      ...(state.programs === undefined ? {} : { programs: state.programs }),
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
