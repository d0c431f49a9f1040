/** Checks of the caches that are read: configured, reachable, in sensible order, once, and vouched for. Pure. */

import { describeError, UserError } from "../../domain/errors.ts";
import { count } from "../../domain/size.ts";
import type { CacheConfiguration } from "../../domain/workflow.ts";
import { NAR_GONE } from "../survey/lookup.ts";
import type { SurveyedSubstituter } from "../survey/substituters.ts";
import { type AuditRequest, type Check, rule, type Trouble } from "./check.ts";
import { reads } from "./key-checks.ts";

export function cacheChecks(request: AuditRequest): Check[] {
  return [
    ...reachable(request),
    ...configuredAnywhere(request),
    ...duplicates(request),
    ...order(request),
    ...vouchedFor(request),
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
  return rule(
    "caches",
    "NCP-613",
    `${count(survey.substituters.length, "cache")} answer`,
    troubles,
  );
}

function configuredAnywhere({ job, project, ownUrl, addresses }: AuditRequest): Check[] {
  if (job.cache?.readers !== "everybody" || ownUrl === undefined || !project) return [];
  const found = project.configurations.find((one) => reads(one, ownUrl, addresses));
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
            mend: `nixConfig.extra-substituters = [ "${addresses.placeOf(ownUrl)}" ]; in flake.nix`,
          },
        ],
  );
}

function duplicates({ project, job, addresses }: AuditRequest): Check[] {
  const lists: Pick<CacheConfiguration, "where" | "substituters">[] = [
    ...(project?.configurations ?? []),
    { where: "the input substituters", substituters: job.substituters.map(({ text }) => text) },
  ];
  const troubles = lists.flatMap(({ where, substituters }) => {
    const seen = new Map<string, string>();
    return substituters.flatMap((url): Trouble[] => {
      const place = addresses.placeOf(url);
      const before = seen.get(place);
      seen.set(place, url);
      if (before === undefined) return [];
      const message = `${url} is there twice: every path that it lacks is asked for twice`;
      return [{ status: "warn", message, mend: `take out one of ${before} and ${url}`, where }];
    });
  });
  return rule("caches", "NCP-614", "no cache is there twice", troubles);
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

function vouchedFor({ project, survey }: AuditRequest): Check[] {
  const all = project?.configurations ?? [];
  const keyNames = new Set(
    all.flatMap(({ publicKeys }) => publicKeys.map((text) => text.split(":")[0] ?? "")),
  );
  const troubles = all.flatMap(({ where, substituters }) =>
    substituters.flatMap((url): Trouble[] => {
      if (isLocal(url) || !URL.canParse(url)) return [];
      const { searchParams, hostname, protocol } = new URL(url);
      if (searchParams.get("trusted") === "1") {
        const message = `${hostname} is read without signatures (?trusted=1): who holds it holds this machine`;
        return [{ message, mend: "take out ?trusted=1 and trust its public key instead", where }];
      }
      if (protocol === "http:" && project?.signatures === "accept any") {
        const message = `${hostname} is read over http, and require-sigs is off: anybody between can change it`;
        return [{ message, mend: "write https://, and require-sigs = true", where }];
      }
      const signs = hostname.endsWith(".cachix.org") || hostname === "cache.nixos.org";
      const known = [...keyNames].some((name) => name.replace(/-\d+$/, "") === hostname);
      if (!signs || known) return [];
      const message = `${hostname} is read and no key of it is trusted: all that it has is refused`;
      const mend = `add its key to extra-trusted-public-keys: https://${hostname} shows it`;
      return [{ message, mend, where }];
    }),
  );
  const refused = survey.substituters.flatMap(
    ({ name, count: { refused: answers } }): Trouble[] => {
      // What is gone is no matter of trust: the closures' checks tell it.
      const doubted = answers.filter((answer) => !answer.endsWith(NAR_GONE));
      const [first] = doubted;
      if (first === undefined) return [];
      const message = `${name}: ${count(doubted.length, "answer")} not believed: ${first}`;
      return [
        { status: "warn", message, mend: "trust the key that signed them, or leave the cache out" },
      ];
    },
  );
  return rule("caches", "NCP-616", "every cache is vouched for", [...troubles, ...refused]);
}
