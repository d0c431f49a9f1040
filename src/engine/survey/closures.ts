/** Owns whether a path can be had whole: its own answer, and those of everything it refers to. */

import { dependencies } from "../../domain/narinfo.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Answer, Lookup } from "./lookup.ts";

/**
 * Whether a path can be had from caches together with all it refers to.
 * - `broken`: it is served, and something in its closure is not: Nix would have to build it.
 */
export type Availability = "whole" | "broken" | "absent" | "unknown";

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
  private asking = 0;
  private failure: { readonly reason: unknown } | undefined;

  constructor(lookup: Lookup) {
    this.lookup = lookup;
  }

  /** Asks for a path and for everything it refers to, each once. Rejects for the signal alone. */
  of(path: StorePath): Promise<Availability> {
    const member = this.member(path);
    if (member.state) return Promise.resolve(member.state);
    if (this.failure) return Promise.reject(this.failure.reason);
    member.result ??= Promise.withResolvers();
    return member.result.promise;
  }

  private member(path: StorePath): Member {
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
    this.lookup.ask(path).then(
      (answer) => this.answered(member, answer),
      (error) => this.fail(error),
    );
    return member;
  }

  private answered(member: Member, answer: Answer): void {
    this.answers.set(member.path, answer);
    const served = answer.own ?? answer.upstream;
    if (!served) this.settle(member, answer.unknown ? "unknown" : "absent");
    else {
      for (const path of dependencies(served.narInfo)) {
        const reference = this.member(path);
        if (reference.state) worsen(member, reference.state);
        else {
          reference.dependents.push(member);
          member.waitingFor++;
        }
      }
      if (member.waitingFor === 0) this.settle(member, member.worst);
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
