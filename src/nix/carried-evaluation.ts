/** Takes over what an earlier job evaluated of the same commit, and leaves what this one did. */

import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { describeError } from "../domain/errors.ts";
import type { EvaluationRequest, EvaluationResult } from "../domain/evaluation.ts";
import type { RecordStore } from "../domain/evaluation-record.ts";
import { mapLimited } from "../domain/limit.ts";
import type { Log } from "../domain/ports.ts";
import { count } from "../domain/size.ts";
import { isDerivationPath, type StorePath } from "../domain/store-path.ts";
import { writeWhole } from "../host/atomic.ts";
import type { Environment } from "../host/environment.ts";
import {
  type AddressedPath,
  addToStore,
  type ClosurePlace,
  readClosure,
  type Taking,
} from "./derivation-closure.ts";
import {
  cacheFolder,
  evalCacheFile,
  type KeptDerivation,
  removeEvalCache,
  settle,
} from "./eval-cache.ts";
import {
  type Carried,
  type CarriedEvalCache,
  type CarriedResult,
  fitting,
  pack,
  unpack,
} from "./evaluation-file.ts";
import { indirectName, isIndirect } from "./flake.ts";

export interface CarriedParts extends ClosurePlace, Taking {
  /** Of the flake's lock. */
  readonly inputs: ReadonlySet<string>;
  readonly environment: Environment;
  /** Sealed: what it gives was left by a run that this one believes. */
  readonly store: RecordStore;
  /** What was evaluated and how, as a hash, and the name that Nix gives it; undefined: it cannot be named. */
  readonly key: (
    signal: AbortSignal,
  ) => Promise<{ readonly key: string; readonly fingerprint: string } | undefined>;
  /** What Nix has in its eval cache already. */
  readonly found: "believed" | "removed";
  /** Lines that take targets away count what they took: then each member is asked for. */
  readonly takesAway: "something" | "nothing";
  readonly log: Log;
}

/** Bytes, before they are compressed; what is largest stays out. */
const MOST = 100_000_000;

interface Begun {
  readonly key: string;
  readonly fingerprint: string;
  readonly taken: Pick<Carried, "results" | "kept" | "evalCaches">;
  /** Whether it is all in the store, and Nix's eval cache the one that was carried here. */
  readonly arrival: Promise<Arrival>;
}

const NOTHING: Begun["taken"] = { results: [], kept: [], evalCaches: [] };

type Arrival = "nothing" | "derivations" | "eval cache too" | "failed";

export class CarriedEvaluation {
  private readonly parts: CarriedParts;
  private readonly begun: Promise<Begun | undefined>;
  private readonly results = new Map<string, CarriedResult>();
  private readonly made = new Map<string, CarriedResult>();
  private readonly texts = new Map<StorePath, Uint8Array>();
  private readonly used: { request: EvaluationRequest; result: EvaluationResult }[] = [];
  private held: readonly CarriedEvalCache[] = [];

  /** Begins at once: it is fetched while the run finds out everything else. */
  constructor(parts: CarriedParts, signal: AbortSignal) {
    this.parts = parts;
    this.begun = this.begin(signal);
    // Whoever needs it awaits it; the signal alone makes it fail.
    this.begun.catch(() => undefined);
  }

  /**
   * What an earlier job got. Its derivations may still be on their way into the store: `text` has them until
   * then, and `unarrived` says what has to be evaluated after all.
   */
  async result(request: EvaluationRequest): Promise<EvaluationResult | undefined> {
    await this.begun;
    if (this.parts.takesAway === "something") return undefined;
    const key = keyOf(request);
    const found = this.results.get(key);
    if (!found) return undefined;
    const result: EvaluationResult = {
      ...found,
      derivations: found.derivations.map((one) => ({ ...one, drvPath: one.drvPath as StorePath })),
      failures: [],
      built: [],
    };
    this.used.push({ request, result });
    return result;
  }

  /** A derivation that was carried here; its path is that of this text. */
  text(path: StorePath): string | undefined {
    const content = this.texts.get(path);
    return content && Buffer.from(content).toString("utf8");
  }

  /** What was answered, and whose derivations Nix did not take. */
  async unarrived(): Promise<typeof this.used> {
    const begun = await this.begun;
    return (await begun?.arrival) === "failed" ? this.used.splice(0) : [];
  }

  /** What this one got, for the next. A failure is told anew each time, and so is what had to be built. */
  add(
    request: EvaluationRequest,
    { derivations, failures, passedOver, notices, built }: EvaluationResult,
  ): void {
    const { flake } = request;
    const isLocked =
      isIndirect(flake) && !flake.includes("/") && this.parts.inputs.has(indirectName(flake));
    if (failures.length > 0 || built.length > 0 || derivations.length === 0) return;
    if ((flake !== "." && !isLocked) || this.parts.takesAway === "something") return;
    this.made.set(keyOf(request), {
      derivations: derivations.map((one) => ({
        ...one,
        matched: [...one.matched],
        outputNames: [...one.outputNames],
      })),
      passedOver: [...passedOver],
      notices: [...notices],
    });
  }

  /** The name that Nix gives the flake, where what is evaluated of it can be carried. */
  async name(): Promise<string | undefined> {
    return (await this.begun)?.fingerprint;
  }

  /** What Nix's eval cache holds of it, where that was carried here. */
  async kept(): Promise<ReadonlyMap<string, KeptDerivation> | undefined> {
    const begun = await this.begun;
    return (await begun?.arrival) === "eval cache too" ? new Map(begun?.taken.kept) : undefined;
  }

  /** Whether anything of this flake was carried here. */
  async hasOf(flake: string): Promise<boolean> {
    await this.begun;
    return [...this.results.keys()].some((key) => JSON.parse(key)[0] === flake);
  }

  /**
   * Takes Nix's eval caches as they are now, the flake's own and those of inputs by what Nix calls them: nothing
   * has been built by then that could write to them.
   */
  async hold(inputs: ReadonlyMap<string, string>): Promise<string | undefined> {
    const begun = await this.begun;
    if (!begun) return undefined;
    await begun.arrival;
    const before = begun.taken.evalCaches.map(({ flake, name }) => [flake, name] as const);
    const names = new Map([[ITSELF, begun.fingerprint], ...before, ...inputs]);
    const held = await mapLimited([...names], 4, async ([flake, name]) => {
      const file = await evalCacheFile(name, this.parts.version, this.parts.environment);
      if (file === undefined) return [];
      await settle(file);
      return [{ flake, name, folder: basename(dirname(file)), content: await readFile(file) }];
    });
    this.held = held.flat();
    const { length } = this.used;
    if (length === 0) return undefined;
    return `an earlier job of this commit evaluated ${count(length, "line")} of the targets: they were not evaluated again`;
  }

  /** Leaves it for the next job. Throws for the signal alone. */
  async keep(kept: ReadonlyMap<string, KeptDerivation>, signal: AbortSignal): Promise<void> {
    const begun = await this.begun;
    const known = new Set(begun?.taken.kept.map(([key]) => key));
    const isNew = this.made.size > 0 || [...kept.keys()].some((key) => !known.has(key));
    if (!begun || !isNew) return;
    const { log, store } = this.parts;
    try {
      const content = await this.packed(kept, signal);
      if (content) await store.write(begun.key, content, signal);
    } catch (error) {
      signal.throwIfAborted();
      log.debug(
        `the evaluation was not left for other jobs: ${describeError(error).slice(0, 500)}`,
      );
    }
  }

  private async packed(
    kept: ReadonlyMap<string, KeptDerivation>,
    signal: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    const results = [...new Map([...this.results, ...this.made])];
    const derivations = new Set<StorePath>();
    for (const [, result] of results) {
      for (const { drvPath } of result.derivations) derivations.add(drvPath as StorePath);
    }
    for (const { drvPath } of kept.values()) derivations.add(drvPath as StorePath);
    const nodes = await readClosure(this.parts, derivations, signal);
    const most = MOST - this.held.reduce((sum, { content }) => sum + content.length, 0);
    const fit = fitting([...derivations], nodes, most);
    const isIn = ({ drvPath }: { readonly drvPath: string }) =>
      fit.derivations.has(drvPath as StorePath);
    if (most < 0 || fit.derivations.size === 0) return undefined;
    const paths: AddressedPath[] = [];
    for (const storePath of fit.paths) {
      const node = nodes.get(storePath);
      if (!node) continue;
      const { references, contentAddress } = node;
      paths.push({ storePath, references, contentAddress, content: await node.content(signal) });
    }
    return pack({
      results: results.filter(([, { derivations: all }]) => all.every(isIn)),
      kept: this.held.some(({ flake }) => flake === ITSELF)
        ? [...kept]
            .filter(([, one]) => isIn(one))
            .map(([key, one]) => [key, { ...one, install: [...one.install] }])
        : [],
      evalCaches: this.held,
      paths,
    });
  }

  private async begin(signal: AbortSignal): Promise<Begun | undefined> {
    const { key: name, store, storeDir } = this.parts;
    const named = await name(signal);
    if (!named) return undefined;
    const arrival = Promise.resolve<Arrival>("nothing");
    const nothing: Begun = { ...named, taken: NOTHING, arrival };
    try {
      const content = await store.read(named.key, signal);
      if (!content) return nothing;
      const carried = unpack(content, storeDir);
      for (const { storePath, content: text } of carried.paths) {
        if (isDerivationPath(storePath)) this.texts.set(storePath, text);
      }
      for (const [key, result] of carried.results) this.results.set(key, result);
      const begun = this.take(carried, named.fingerprint, signal);
      begun.catch(() => undefined);
      const { results, kept, evalCaches } = carried;
      return { ...named, taken: { results, kept, evalCaches }, arrival: begun };
    } catch (error) {
      signal.throwIfAborted();
      this.ignored(error);
      return nothing;
    }
  }

  /** Throws for the signal alone. */
  private async take(carried: Carried, fingerprint: string, signal: AbortSignal): Promise<Arrival> {
    let arrival: Arrival = "failed";
    try {
      await addToStore(this.parts, carried.paths, signal);
      // Who reads them from now on reads the store.
      this.texts.clear();
      arrival = "derivations";
      const own = carried.evalCaches.find(({ flake }) => flake === ITSELF);
      if (own?.name !== fingerprint || !(await this.takeEvalCache(own))) return arrival;
      arrival = "eval cache too";
      for (const one of carried.evalCaches) if (one !== own) await this.takeEvalCache(one);
    } catch (error) {
      signal.throwIfAborted();
      this.ignored(error, arrival === "failed" ? "evaluation" : "eval cache");
    }
    return arrival;
  }

  /** It may quote what somebody else wrote, and that may be long. */
  private ignored(error: unknown, what = "evaluation"): void {
    const why = describeError(error).slice(0, 500);
    this.parts.log.debug(`an earlier job's ${what} is ignored: ${why}`);
  }

  /** Whether Nix has it now: its user's own stays. */
  private async takeEvalCache({ name, folder, content }: CarriedEvalCache): Promise<boolean> {
    const { version, environment, found } = this.parts;
    const before = await evalCacheFile(name, version, environment);
    // Its user's own may hold more than that.
    if (before !== undefined && found === "believed") return false;
    if (before !== undefined) await removeEvalCache(before);
    await writeWhole(join(cacheFolder(environment), folder, `${name}.sqlite`), content);
    return true;
  }
}

/** The flake of the working directory. */
const ITSELF = ".";

function keyOf({ flake, attrPath, system, outputs, absent }: EvaluationRequest): string {
  return JSON.stringify([flake, attrPath, system, outputs, absent ?? ""]);
}
