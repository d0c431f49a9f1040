/** Whether a path is whole in the caches: it, and everything it refers to. */

import { dependencies } from "../../domain/narinfo.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Ahead } from "./ahead.ts";
import type { Answer, Availability } from "./answer.ts";
import type { Lookup } from "./lookup.ts";

interface Member {
  readonly path: StorePath;
  /** Made for those that somebody waits for by name: the roots, and not all below them. */
  result: PromiseWithResolvers<Availability> | undefined;
  state: Availability | undefined;
  /** What its settled references make of it so far. */
  worst: "whole" | "unknown" | "broken";
  waitingFor: number;
  readonly dependents: Member[];
}

export class Closures {
  readonly answers = new Map<StorePath, Answer>();
  readonly availability = new Map<StorePath, Availability>();
  private readonly lookup: Lookup;
  private readonly members = new Map<StorePath, Member>();
  private readonly open = new Set<Member>();
  /** Questions that wait for their answer. */
  asking = 0;
  private failure: { readonly reason: unknown } | undefined;
  readonly sources = new Set<StorePath>();
  private readonly isSource: (path: StorePath) => Promise<boolean>;
  private readonly ahead: Pick<Ahead, "refers" | "names"> | undefined;

  constructor(
    lookup: Lookup,
    isSource: (path: StorePath) => Promise<boolean> = async () => false,
    ahead?: Pick<Ahead, "refers" | "names">,
  ) {
    this.lookup = lookup;
    this.isSource = isSource;
    this.ahead = ahead;
  }

  /** Asks for a path and for everything it refers to, each once. Rejects for the signal alone. */
  of(path: StorePath): Promise<Availability> {
    const member = this.member(path, "asked for");
    if (member.state) return Promise.resolve(member.state);
    if (this.failure) return Promise.reject(this.failure.reason);
    member.result ??= Promise.withResolvers();
    return member.result.promise;
  }

  private member(path: StorePath, how: "asked for" | "referred to"): Member {
    const known = this.members.get(path);
    if (known) return known;
    const member: Member = {
      path,
      result: undefined,
      state: undefined,
      worst: "whole",
      waitingFor: 0,
      dependents: [],
    };
    this.members.set(path, member);
    this.open.add(member);
    this.asking++;
    this.look(member, how).catch((error) => this.fail(error));
    return member;
  }

  private async look(member: Member, how: "asked for" | "referred to"): Promise<void> {
    const { path } = member;
    if (how === "referred to") this.ahead?.names(path);
    const answer = await this.lookup.ask(path);
    // What is asked for is made by a derivation, and no source.
    if (!answer.served && how === "referred to" && (await this.isSource(path))) {
      this.sources.add(path);
    }
    this.answered(member, answer);
  }

  private answered(member: Member, answer: Answer): void {
    this.answers.set(member.path, answer);
    const { served } = answer;
    if (this.sources.has(member.path)) this.settle(member, "whole");
    else if (!served) this.settle(member, answer.unknown ? "unknown" : "absent");
    else {
      for (const path of dependencies(served.narInfo)) {
        const reference = this.member(path, "referred to");
        if (reference.state) worsen(member, reference.state);
        else {
          reference.dependents.push(member);
          member.waitingFor++;
        }
      }
      if (member.waitingFor === 0) this.settle(member, member.worst);
      else this.ahead?.refers(member.path);
    }
    this.asking--;
    if (this.asking === 0) this.settleCircles();
  }

  private settle(first: Member, state: Availability): void {
    const stack: [Member, Availability][] = [[first, state]];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      const [member, settled] = next;
      if (member.state) continue;
      member.state = settled;
      this.availability.set(member.path, settled);
      this.open.delete(member);
      member.result?.resolve(settled);
      for (const dependent of member.dependents) {
        worsen(dependent, settled);
        dependent.waitingFor--;
        if (dependent.waitingFor === 0) stack.push([dependent, dependent.worst]);
      }
    }
  }

  /**
   * With every question answered, what is still open waits for itself. Store paths form no circles,
   * but a cache may say they do, and to wait for that would be for ever.
   */
  private settleCircles(): void {
    for (const verdict of ["broken", "unknown", "whole"] as const) {
      const stack = [...this.open].filter(({ worst }) => worst === verdict);
      for (let member = stack.pop(); member !== undefined; member = stack.pop()) {
        this.settle(member, verdict);
        stack.push(...member.dependents.filter(({ state, worst }) => !state && worst === verdict));
      }
    }
  }

  private fail(error: unknown): void {
    this.failure ??= { reason: error };
    for (const { result } of this.open) result?.reject(error);
    this.open.clear();
  }
}

function worsen(member: Member, by: Availability): void {
  if (by === "absent" || by === "broken") member.worst = "broken";
  else if (by === "unknown" && member.worst === "whole") member.worst = "unknown";
}
