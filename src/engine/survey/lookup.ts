/** Asks for paths: every cache at once, no path twice, the first in order that has it wins. */

import type { BinaryCache, Presence } from "../../domain/cache.ts";
import { UserError } from "../../domain/errors.ts";
import type { WorkState } from "../../domain/ports.ts";
import type { RealisationAnswer, RealisationId } from "../../domain/realisation.ts";
import type { StorePath } from "../../domain/store-path.ts";
import { answeredBy } from "../../domain/verdict.ts";
import {
  type Answer,
  type AnswerCount,
  answerOf,
  type Indexes,
  isByIndex,
  joined,
  noCount,
  passedOn,
  type Said,
  type Served,
  silentIn,
} from "./answer.ts";

export interface RankedSubstituter {
  readonly cache: BinaryCache;
  readonly role: "own" | "upstream";
}

/** How a `gone` is counted among the answers that are not believed. */
export const NAR_GONE = "its narinfo is served and its NAR is gone";

/** So many misses, and nothing else, make a substituter cold once others had as many hits. */
const COLD = 16;

function notAsked({ name }: BinaryCache): RealisationAnswer {
  return { kind: "unknown", cause: new Error(`${name} is not asked for realisations`) };
}

function disproved(answer: Answer): Answer {
  const gone = answer.gone ?? answer.served;
  return { ...answer, own: undefined, upstream: undefined, served: undefined, gone };
}

export class Lookup {
  readonly substituters: readonly RankedSubstituter[];
  readonly counts = new Map<string, AnswerCount>();
  private readonly answers = new Map<StorePath, Promise<Answer>>();
  /** What was asked ahead, and nobody wanted to know yet. */
  private readonly expected = new Map<StorePath, Promise<Said>>();
  /** What was answered by an index, and not confirmed yet. */
  private readonly byIndex = new Map<StorePath, Said>();
  private readonly realisations = new Map<RealisationId, Promise<RealisationAnswer>>();
  private readonly signal: AbortSignal;
  private readonly refuted: ReadonlySet<StorePath>;
  private readonly indexes: Indexes;
  private readonly misses = new Map<string, number>();
  /** Those that had something, if only what is not believed. */
  private readonly found = new Set<string>();
  /** Of all substituters together. */
  private hits = 0;
  private answered = 0;

  /** `refuted`: paths that this run has tried to have, in vain, from whoever says they are there. */
  constructor(
    substituters: readonly RankedSubstituter[],
    signal: AbortSignal,
    refuted: ReadonlySet<StorePath> = new Set(),
    indexes: Indexes = "believed",
  ) {
    this.substituters = substituters;
    this.refuted = refuted;
    this.indexes = indexes;
    this.signal = signal;
    for (const { cache } of substituters) {
      this.counts.set(cache.name, noCount());
    }
  }

  ask(path: StorePath): Promise<Answer> {
    const known = this.answers.get(path);
    if (known) return known;
    const asking = this.expected.get(path) ?? this.askAll(path);
    this.expected.delete(path);
    return this.keep(path, asking);
  }

  /** Not by an index: for what is pushed, and for what is proved. */
  async certain(path: StorePath): Promise<Answer> {
    await this.ask(path);
    const said = this.byIndex.get(path);
    if (!said) return this.ask(path);
    this.byIndex.delete(path);
    const silent = silentIn(said);
    const asking = this.confirmed(path, said).then(({ answer, presences }) => ({
      answer,
      // The others are counted already.
      presences: presences.filter(([name]) => silent.has(name)),
    }));
    return this.keep(path, asking);
  }

  private keep(path: StorePath, asking: Promise<Said>): Promise<Answer> {
    const told = this.told(path, asking);
    const answer = this.refuted.has(path) ? told.then(disproved) : told;
    this.answers.set(path, answer);
    return answer;
  }

  /**
   * What the first cache in order says that has a realisation: Nix looks no further, be its path there or not.
   * An earlier one that did not tell might have said another path.
   */
  realisation(id: RealisationId): Promise<RealisationAnswer> {
    let asked = this.realisations.get(id);
    if (!asked) {
      asked = this.askRealisation(id);
      this.realisations.set(id, asked);
    }
    return asked;
  }

  private async askRealisation(id: RealisationId): Promise<RealisationAnswer> {
    const answers = await Promise.all(
      this.substituters.map(({ cache }) => cache.realisation?.(id, this.signal) ?? notAsked(cache)),
    );
    return answers.find(({ kind }) => kind !== "miss") ?? { kind: "miss" };
  }

  /**
   * Asks for what will perhaps be wanted. What comes of it is counted only when somebody asks. False: it is
   * asked for already.
   */
  expect(path: StorePath): boolean {
    if (this.answers.has(path) || this.expected.has(path)) return false;
    const said = this.askAll(path);
    // Whoever asks hears of it.
    said.catch(() => undefined);
    this.expected.set(path, said);
    return true;
  }

  /** What was answered before a push is no longer so after it. */
  forget(paths: Iterable<StorePath>): void {
    for (const path of paths) {
      this.answers.delete(path);
      this.expected.delete(path);
      this.byIndex.delete(path);
    }
  }

  /** How far looking is: nobody knows beforehand how much there is to ask. */
  readonly state = (): WorkState => ({
    unit: "path",
    done: this.answered,
    inAll: undefined,
    bytes: 0,
    bytesInAll: undefined,
    now: [],
  });

  /** The cache that said it. */
  cacheOf(served: Served): BinaryCache | undefined {
    const name = answeredBy(served);
    return this.substituters.find(({ cache }) => cache.name === name)?.cache;
  }

  private async told(path: StorePath, asking: Promise<Said>): Promise<Answer> {
    const said = await asking;
    const { answer, presences } = said;
    for (const [name, presence] of presences) this.count(name, presence);
    if (answer.how === "by index") this.byIndex.set(path, said);
    this.answered++;
    return answer;
  }

  private async askAll(path: StorePath): Promise<Said> {
    const said = await this.askInOrder(path);
    return this.indexes === "confirmed" ? this.confirmed(path, said) : said;
  }

  /** Where nobody serves it, those are asked that only their index spoke for. */
  private async confirmed(path: StorePath, said: Said): Promise<Said> {
    if (said.answer.how === "asked") return said;
    const byIndex = silentIn(said);
    const silent = this.substituters.filter(({ cache }) => byIndex.has(cache.name));
    const rest = await this.askSubstituters(silent, path, (cache) =>
      cache.query(path, this.signal),
    );
    const presences = said.presences.filter(([name]) => !byIndex.has(name));
    return { presences: [...presences, ...rest.presences], answer: joined(said, rest, "asked") };
  }

  /** What its index does not name, a cache is not asked for. */
  private readonly askOne = async (cache: BinaryCache, path: StorePath): Promise<Presence> => {
    const said = this.indexes === "not used" ? undefined : await cache.mayHave?.(path, this.signal);
    if (said === "absent") return { kind: "miss", by: "index" };
    const count = this.counts.get(cache.name);
    if (said instanceof UserError && count) count.badIndex = said;
    return cache.query(path, this.signal);
  };

  private async askInOrder(path: StorePath): Promise<Said> {
    const lively = this.substituters.filter((substituter) => !this.isCold(substituter));
    const first = await this.askSubstituters(lively, path);
    const { answer } = first;
    if (answer.served || lively.length === this.substituters.length) return first;
    // Nobody else has it: now the answer of a cold substituter is the one that counts.
    const rest = await this.askSubstituters(
      this.substituters.filter((substituter) => !lively.includes(substituter)),
      path,
    );
    const how = answer.how === "asked" ? rest.answer.how : "by index";
    const presences = [...first.presences, ...rest.presences];
    return { presences, answer: joined(first, rest, how) };
  }

  /**
   * A substituter that had nothing of what others have is asked only for what those have not. Our own
   * cache is always asked: whether it has a path decides what is pushed and pinned.
   */
  private isCold({ cache, role }: RankedSubstituter): boolean {
    if (role === "own" || this.substituters.length === 1) return false;
    if (this.found.has(cache.name)) return false;
    return (this.misses.get(cache.name) ?? 0) >= COLD && this.hits >= COLD;
  }

  private async askSubstituters(
    substituters: readonly RankedSubstituter[],
    path: StorePath,
    ask: (cache: BinaryCache, path: StorePath) => Promise<Presence> = this.askOne,
  ): Promise<Said> {
    const presences = await Promise.all(substituters.map(({ cache }) => ask(cache, path)));
    let own: Served | undefined;
    let upstream: Served | undefined;
    let foreign: Served | undefined;
    let unknown: Error | undefined;
    let gone: Served | undefined;
    let refused: string | undefined;
    substituters.forEach(({ cache, role }, index) => {
      const presence = presences[index] as Presence;
      this.note(cache.name, presence);
      if (presence.kind === "hit") {
        const served = { cache: cache.name, narInfo: presence.narInfo };
        if (role !== "own") upstream ??= served;
        else if (presence.origin === "own") own = served;
        else foreign = passedOn(cache.name, presence.narInfo);
      } else if (presence.kind === "unknown") unknown ??= presence.cause;
      else if (presence.kind === "gone") gone ??= { cache: cache.name, narInfo: presence.narInfo };
      // What is no narinfo at all is nobody's word: a push mends it.
      else if (presence.kind === "refused" && role === "own" && presence.form !== "corrupt")
        refused ??= presence.why;
    });
    const isServed = own ?? upstream ?? foreign;
    const how = !isServed && presences.some(isByIndex) ? "by index" : "asked";
    // A substituter that serves it itself is the better word for where it is.
    return {
      answer: answerOf({ own, upstream: upstream ?? foreign, unknown, gone, refused, how }),
      presences: substituters.map(({ cache }, index) => [cache.name, presences[index] as Presence]),
    };
  }

  /** For whether it is cold, every answer counts. */
  private note(name: string, { kind }: Presence): void {
    if (kind === "hit") this.hits++;
    if (kind === "miss") this.misses.set(name, (this.misses.get(name) ?? 0) + 1);
    else if (kind !== "unknown") this.found.add(name);
  }

  private count(name: string, presence: Presence): void {
    const count = this.counts.get(name);
    if (!count) return;
    if (isByIndex(presence)) count.byIndex++;
    else count.asked++;
    if (presence.kind === "hit") {
      const { fileSize, narSize } = presence.narInfo;
      count.hits++;
      count.bytes += fileSize ?? narSize;
    } else if (presence.kind === "unknown") {
      count.unknown++;
      if (!presence.of) count.failure ??= presence.cause;
    } else if (presence.kind === "refused") {
      count.refused.push(presence.why);
      if (presence.form === "corrupt") count.corrupt++;
    } else if (presence.kind === "gone")
      count.refused.push(`${presence.narInfo.storePath}: ${NAR_GONE}`);
  }
}
