/** The caches that are read: configured, reachable, in sensible order, once, vouched for; and what our token may do. Pure. */

import { describeError, UserError } from "../../domain/errors.ts";
import type { Addresses } from "../../domain/location.ts";
import { count } from "../../domain/size.ts";
import type { CacheConfiguration, ProjectFacts } from "../../domain/workflow.ts";
import { NAR_GONE } from "../survey/lookup.ts";
import type { SurveyedSubstituter } from "../survey/substituters.ts";
import { type AuditRequest, type Check, rule, type Trouble } from "./check.ts";
import { reads } from "./key-checks.ts";

export function cacheChecks(request: AuditRequest): Check[] {
  return [
    ...reachable(request),
    ...configuredAnywhere(request),
    ...order(request),
    ...configurationChecks(request.project, {
      input: request.job.substituters.map(({ text }) => text),
      refused: refusals(request),
      addresses: request.addresses,
    }),
  ];
}

/** What can be told of the places that name caches by looking at them alone. */
export function configurationChecks(
  project: ProjectFacts | undefined,
  {
    input,
    refused,
    addresses,
  }: {
    readonly input: readonly string[];
    readonly refused: readonly Trouble[];
    readonly addresses: Addresses;
  },
): Check[] {
  const all = project?.configurations ?? [];
  const lists = [...all, { where: "the input substituters", substituters: input }];
  const some = lists.some(({ substituters }) => substituters.length > 0);
  return [
    ...rule(
      "caches",
      "NCP-614",
      some ? "no cache is there twice" : undefined,
      duplicates(lists, addresses),
    ),
    ...rule("caches", "NCP-616", some ? "every cache is vouched for" : undefined, [
      ...unvouched(all, project?.signatures ?? "require"),
      ...refused,
    ]),
    ...rule("caches", "NCP-623", undefined, gone(all)),
  ];
}

function reachable({ survey }: AuditRequest): Check[] {
  const troubles = survey.substituters.flatMap(({ name, role, state, count: asked }): Trouble[] => {
    if (state.kind === "down") {
      const hint = state.error instanceof UserError ? state.error.hint : undefined;
      return [
        {
          // Without ours nothing can be said of what is in it; another one is only slower to lack.
          status: role === "own" ? "fail" : "warn",
          message: `${name} is not reachable: ${describeError(state.error)}`,
          mend:
            hint ?? "is the address right, and the network there? Take out a cache that is gone",
        },
      ];
    }
    if (asked.unknown === 0) return [];
    const message = `${name} left ${count(asked.unknown, "question")} of ${asked.asked} without an answer`;
    return [
      { status: "warn", message, mend: "run the audit again; a cache that limits is asked less" },
    ];
  });
  const asked = survey.substituters.length;
  const holds =
    asked === 0 ? undefined : `${count(asked, "cache")} ${asked === 1 ? "answers" : "answer"}`;
  return rule("caches", "NCP-613", holds, troubles);
}

function configuredAnywhere({ job, project, ownUrl, addresses }: AuditRequest): Check[] {
  if (job.cache?.readers !== "everybody" || ownUrl === undefined || !project) return [];
  const host = URL.canParse(ownUrl) ? new URL(ownUrl).hostname : "";
  const found = project.configurations.find(
    (one) => reads(one, ownUrl, addresses) || one.vouches?.includes(host),
  );
  return rule(
    "caches",
    "NCP-617",
    `${job.cacheName} is configured in ${found?.where}`,
    found
      ? []
      : [
          {
            status: "warn",
            message: `${job.cacheName} is in no configuration of Nix here: only the steps of this action read it`,
            mend: `nixConfig.extra-substituters = [ "${ownUrl}" ]; in flake.nix`,
          },
        ],
  );
}

function duplicates(
  lists: readonly Pick<CacheConfiguration, "where" | "substituters">[],
  { placeOf }: Addresses,
): Trouble[] {
  return lists.flatMap(({ where, substituters }) => {
    const seen = new Map<string, string>();
    return substituters.flatMap((url): Trouble[] => {
      const place = placeOf(url);
      const before = seen.get(place);
      seen.set(place, url);
      if (before === undefined) return [];
      const message = `${url} is there twice: every path that it lacks is asked for twice`;
      return [{ status: "warn", message, mend: `take out one of ${before} and ${url}`, where }];
    });
  });
}

/** Services that are gone, and since when. */
const GONE: readonly (readonly [string, string])[] = [["cache.garnix.io", "2026-07-15"]];

function gone(all: readonly CacheConfiguration[]): Trouble[] {
  return all.flatMap(({ where, substituters }) =>
    GONE.filter(([host]) =>
      substituters.some((url) => URL.canParse(url) && new URL(url).hostname === host),
    ).map(
      ([host, since]): Trouble => ({
        status: "warn",
        kind: host,
        message: `${host} closed on ${since}: every path is asked for there in vain`,
        mend: `take ${host} and its key out`,
        where,
      }),
    ),
  );
}

/** So many questions without a hit say something. */
const TELLING = 20;

function order({ survey, project }: AuditRequest): Check[] {
  const [nix] = project?.configurations ?? [];
  const troubles: Trouble[] = [];
  const urls = nix?.substituters ?? [];
  const firstRemote = urls.findIndex((url) => !isLocal(url));
  const late = urls.find((url, index) => isLocal(url) && firstRemote >= 0 && index > firstRemote);
  if (late !== undefined && nix) {
    troubles.push({
      status: "warn",
      message: `${late} is on this machine and is named after ${urls[firstRemote]}`,
      mend: `name it first, or write ${late}${late.includes("?") ? "&" : "?"}priority=10`,
      where: nix.where,
    });
  }
  const answering = survey.substituters.filter(({ state }) => state.kind === "reachable");
  const idle = idleFirst(answering);
  if (idle) {
    troubles.push({
      status: "warn",
      message: `${idle.name} is asked before others and had none of ${count(idle.count.asked, "path")}`,
      mend: "take it out, or give it a higher ?priority=: every path waits for its answer",
    });
  }
  return rule("caches", "NCP-615", "the order of the caches is sensible", troubles);
}

/** Of the others' caches: our own is asked whatever it has, since that decides what is pushed. */
function idleFirst(substituters: readonly SurveyedSubstituter[]): SurveyedSubstituter | undefined {
  const [first, ...rest] = substituters.filter(({ role }) => role === "upstream");
  if (!first) return undefined;
  const { asked, hits, unknown } = first.count;
  const others = rest.some(({ count: one }) => one.hits > 0);
  return asked - unknown >= TELLING && hits === 0 && others ? first : undefined;
}

function isLocal(url: string): boolean {
  return /^(?:file:|\/|https?:\/\/(?:localhost|127\.|\[::1\]))/.test(url);
}

/** `signatures`: what Nix itself is told of them, where a place says nothing. */
function unvouched(
  all: readonly CacheConfiguration[],
  signatures: "require" | "accept any",
): Trouble[] {
  const names = all.flatMap(({ publicKeys }) =>
    publicKeys.map((text) => (text.split(":")[0] ?? "").replace(/-\d+$/, "")),
  );
  const vouched = new Set([...names, ...all.flatMap(({ vouches }) => vouches ?? [])]);
  const hidden = all.some((one) => one.hidden === "keys");
  return all.flatMap(({ where, substituters, signatures: own }) =>
    substituters.flatMap((url): Trouble[] => {
      if (isLocal(url) || !URL.canParse(url)) return [];
      const { searchParams, hostname, protocol } = new URL(url);
      if (searchParams.get("trusted") === "1") {
        const message = `${hostname} is read without signatures (?trusted=1): whoever controls it controls this machine`;
        const mend = "take out ?trusted=1 and trust its public key instead";
        return [{ message, mend, where, nature: "security" }];
      }
      if ((own ?? signatures) === "accept any") {
        const mend = "write https://, and require-sigs = true";
        if (protocol === "http:") {
          const message = `${hostname} is read over http, and require-sigs is off: anybody between can change it`;
          return [{ message, mend, where, nature: "security" }];
        }
        const message = `${hostname} is read with require-sigs off: whoever controls it controls this machine`;
        return [{ status: "warn", message, mend: "require-sigs = true", where }];
      }
      const signs = hostname.endsWith(".cachix.org") || hostname === "cache.nixos.org";
      if (!signs || vouched.has(hostname)) return [];
      const mend = `add its key to extra-trusted-public-keys: https://${hostname} shows it`;
      if (hidden) {
        const message = `${hostname} is read; to be known: whether its key is among those that stand in a variable`;
        return [{ status: "unknown", message, mend, where }];
      }
      const message = `${hostname} is read and no key of it is trusted: all that it has is refused`;
      return [{ message, mend, where }];
    }),
  );
}

function refusals({ survey }: AuditRequest): Trouble[] {
  return survey.substituters.flatMap(({ name, count: { refused: answers } }): Trouble[] => {
    // What is gone is no matter of trust: the closures' checks tell it.
    const doubted = answers.filter((answer) => !answer.endsWith(NAR_GONE));
    const [first] = doubted;
    if (first === undefined) return [];
    const message = `${name}: ${count(doubted.length, "answer")} not believed: ${first}`;
    const mend = "trust the key that signed them, or leave the cache out";
    return [{ status: "warn", message, mend }];
  });
}

export function tokenChecks({ job, survey, project }: AuditRequest): Check[] {
  const base = { group: "token" as const, code: "NCP-618" as const };
  const own = survey.substituters.find(({ role }) => role === "own");
  if (!own) return [{ ...base, status: "pass", message: `${job.cacheName} needs no token` }];
  const trouble = own.state.kind === "reachable" ? own.state.info.trouble : own.state.error;
  const hint = trouble instanceof UserError ? trouble.hint : undefined;
  const mend = hint === undefined ? {} : { mend: hint };
  const refused =
    trouble instanceof UserError && (trouble.code === "NCP-303" || trouble.code === "NCP-105");
  if (trouble && refused) {
    return [{ ...base, status: "fail", message: describeError(trouble), ...mend }];
  }
  // What it is written with is of another kind: SSH's keys, or variables of the job.
  if (job.cache?.token !== "needed to write") {
    return [{ ...base, status: "pass", message: `${own.name} lacks no token` }];
  }
  if (own.state.kind !== "reachable") {
    const message = "what the token may do could not be asked";
    return [{ ...base, code: "NCP-600", status: "unknown", message }];
  }
  if (project?.token !== "given") {
    return [
      {
        ...base,
        code: "NCP-600",
        status: "unknown",
        message: "no token was given, so none was tried",
        mend: `token: \${{ secrets.NAME }}: an audit writes nothing with it`,
      },
    ];
  }
  const { permission } = own.state.info;
  if (permission === "write") {
    return [{ ...base, status: "pass", message: `the token may read and write ${own.name}` }];
  }
  if (permission === "read") {
    const message = `the token may read ${own.name}, and not write`;
    return [{ ...base, status: "warn", message, mend: "make a token with write access" }];
  }
  const message = `${own.name} takes the token and does not say what it may do`;
  return [{ ...base, status: "pass", message }];
}
