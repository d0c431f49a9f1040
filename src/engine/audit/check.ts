/** Checks: what an audit found of one thing, and the line that mends it. */

import type { ErrorCode } from "../../domain/errors.ts";
import type { Job } from "../../domain/job.ts";
import type { Addresses } from "../../domain/location.ts";
import type { HeldPath, StorePath } from "../../domain/store-path.ts";
import type { VerifiedTarget } from "../../domain/verdict.ts";
import type { ProjectFacts } from "../../domain/workflow.ts";
import type { Survey } from "../survey.ts";

export type CheckGroup =
  | "closures"
  | "pins"
  | "quota"
  | "keys"
  | "caches"
  | "token"
  | "workflows"
  | "locks";

/** `unknown`: nobody answered. It is no pass, and no fault of the project (docs/adr/0002). */
export type CheckStatus = "pass" | "warn" | "fail" | "unknown";

export interface Check {
  readonly group: CheckGroup;
  /** Of the rule: the same whether it passes or fails. */
  readonly code: ErrorCode;
  readonly status: CheckStatus;
  /** One sentence: what is so. */
  readonly message: string;
  /** The line that mends it. */
  readonly mend?: string;
  /** `.github/workflows/ci.yml:12`. */
  readonly where?: string;
  /** A fault that lets somebody in: it fails the job without being asked to. */
  readonly nature?: "security";
  /** Further places of the same finding. */
  readonly more?: readonly Place[];
}

/** The bytes of a pin's closure in our own cache. */
export interface PinSize {
  readonly name: string;
  /** As stored, each path once. */
  readonly bytes: number;
  readonly paths: number;
  /** What no other pin holds: so much could go with this one. */
  readonly alone: number;
}

/** A path that takes much of our cache. */
export interface HeavyPath {
  readonly path: StorePath;
  readonly bytes: number;
  /** Who holds it. */
  readonly pins: readonly string[];
  /** Why: the shortest way to it, from a pin's own path down; each refers to the next. */
  readonly way: readonly StorePath[];
}

export interface PinSizes {
  /** The largest first. */
  readonly pins: readonly PinSize[];
  /** At most ten, the largest first. */
  readonly largest: readonly HeavyPath[];
  /** What several share is counted once. */
  readonly bytes: number;
  /** Whether a path's answer was missing, so that there may be more. */
  readonly complete: "complete" | "at least";
}

export interface AuditRequest {
  readonly job: Job;
  readonly survey: Survey;
  readonly verified: readonly VerifiedTarget[];
  /** Undefined where the project cannot be looked at. */
  readonly project: ProjectFacts | undefined;
  /** Where Nix reads our cache. */
  readonly ownUrl: string | undefined;
  readonly addresses: Addresses;
  /** `none`: our cache has no such thing; `hidden`: it does not list them to us. */
  readonly pins: "listed" | "hidden" | "none";
  readonly sizes: PinSizes | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export interface Audit {
  readonly checks: readonly Check[];
  readonly sizes: PinSizes | undefined;
  /** What takes the space of this machine's store; undefined where it is thrown away after the job. */
  readonly store?: readonly HeldPath[];
}

/** One place of a finding, and what is so there. */
export interface Place {
  readonly where: string;
  readonly message: string;
}

export type Trouble = Pick<Check, "message" | "mend" | "where" | "nature"> & {
  readonly status?: Exclude<CheckStatus, "pass">;
  /** Troubles of one kind are one finding; the message itself, where nothing is said. */
  readonly kind?: string;
};

/** A rule's troubles, `fail` unless they say otherwise, one for each kind; without any, that it holds. */
export function rule(
  group: CheckGroup,
  code: ErrorCode,
  holds: string | undefined,
  troubles: readonly Trouble[],
): Check[] {
  if (troubles.length === 0) {
    return holds === undefined ? [] : [{ group, code, status: "pass", message: holds }];
  }
  const kinds = new Map<string, Map<string, Trouble>>();
  for (const trouble of troubles) {
    const kind = `${trouble.status} ${trouble.kind ?? trouble.message}`;
    const places = kinds.get(kind) ?? new Map<string, Trouble>();
    kinds.set(kind, places);
    // A workflow that others call, or that several events start, is looked at each time.
    places.set(`${trouble.where} ${trouble.message}`, trouble);
  }
  return [...kinds.values()].flatMap((places): Check[] => {
    const [first, ...rest] = [...places.values()];
    if (!first) return [];
    const { status = "fail", message, mend, where, nature } = first;
    const more = rest.flatMap((one) =>
      one.where === undefined ? [] : [{ where: one.where, message: one.message }],
    );
    return [
      {
        group,
        code,
        status,
        message,
        ...(mend === undefined ? {} : { mend }),
        ...(where === undefined ? {} : { where }),
        ...(nature === undefined || status !== "fail" ? {} : { nature }),
        ...(more.length > 0 ? { more } : {}),
      },
    ];
  });
}

/** Checks of one kind, that a page shows as one block. */
export interface AuditKind {
  readonly code: ErrorCode;
  readonly group: CheckGroup;
  readonly status: Exclude<CheckStatus, "pass">;
  /** What is found, of all its places. */
  readonly title: string;
  readonly mend: string | undefined;
  readonly nature: Check["nature"];
  readonly places: readonly (Omit<Place, "where"> & { readonly where: string | undefined })[];
}

/** How a rule says of many what it says of one in words of its own. */
const MANY: Readonly<Partial<Record<ErrorCode, (n: number) => string>>> = {
  "NCP-601": (n) => `${n} closures are incomplete in the cache`,
  "NCP-602": (n) => `${n} targets were never pushed`,
  "NCP-603": (n) => `${n} targets have no pin`,
  "NCP-604": (n) => `${n} pins are on another store path`,
  "NCP-605": (n) => `${n} pins will run out`,
  "NCP-606": (n) => `${n} pins belong to no target`,
  "NCP-613": (n) => `${n} binary caches cannot be reached`,
  "NCP-623": (n) => `${n} actions are of a retired version`,
  "NCP-624": (n) => `${n} actions are not pinned to a commit`,
  "NCP-625": (n) => `${n} inputs have no effect`,
  "NCP-628": (n) => `${n} jobs have no binary cache`,
  "NCP-630": (n) => `${n} jobs have no Nix`,
};

const WORST = ["fail", "warn", "unknown"] as const;

/** The worst first; what passes is left out. */
export function kindsOf(checks: readonly Check[]): AuditKind[] {
  const bad = checks.filter(({ status }) => status !== "pass");
  const groups = Map.groupBy(bad, ({ code, status, nature, message }) =>
    JSON.stringify([code, status, nature, MANY[code] ? "" : message]),
  );
  const kinds = [...groups.values()].flatMap((group): AuditKind[] => {
    const [first] = group;
    if (!first || first.status === "pass") return [];
    const places = group.flatMap(({ where, message, more = [] }) => [{ where, message }, ...more]);
    const title = MANY[first.code]?.(places.length);
    return [
      {
        code: first.code,
        group: first.group,
        status: first.status,
        title: places.length === 1 || title === undefined ? first.message : title,
        mend: first.mend,
        nature: first.nature,
        places,
      },
    ];
  });
  return kinds.sort((a, b) => WORST.indexOf(a.status) - WORST.indexOf(b.status));
}
