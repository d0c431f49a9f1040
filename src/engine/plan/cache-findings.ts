/** What is told of caches: those that do not answer, refuse us or are not believed, and Nix's daemon. Pure. */

import type { BinaryCache } from "../../domain/cache.ts";
import { describeError, UserError } from "../../domain/errors.ts";
import type { Finding } from "../../domain/finding.ts";
import type { Job } from "../../domain/job.ts";
import { cacheHost, serverCause, whatItSaid } from "../../domain/location.ts";
import { count } from "../../domain/size.ts";
import { isAllowed, isSilent, type SurveyedSubstituter } from "../survey/substituters.ts";
import type { Survey } from "../survey.ts";
import type { Intent } from "./lacking.ts";
import { hasToBeMade } from "./work.ts";

export function substituterFindings(job: Job, survey: Survey, intent: Intent): Finding[] {
  // A push that cannot be is told before the hours of building that it would end.
  const pushes = intent === "builds" && job.push !== "off" && survey.trust.kind === "write";
  const pushLevel = job.onPushFailure === "error" ? "error" : "warning";
  // What nobody missed asks nobody to do something: a sentence of the page says it.
  const missed = survey.targets.some(
    (target) =>
      target.verdict.kind === "unknown" &&
      !(intent === "builds" && hasToBeMade(job, survey, target)),
  );
  const levelOf = (role: SurveyedSubstituter["role"]): Finding["level"] => {
    if (role === "own" && pushes) return pushLevel;
    return missed ? "warning" : "notice";
  };
  return survey.substituters.flatMap((substituter): Finding[] => {
    const { name, role, state, count: answers } = substituter;
    const host = cacheHost(name);
    if (state.kind === "down") {
      // Told together, with what would change it: below.
      const code = state.error instanceof UserError ? state.error.code : undefined;
      if (code === "NCP-351") return [];
      // One that refuses us will go on doing so: that is for whoever named it, not for the server's.
      const refused = code === "NCP-303";
      const how = refused
        ? "refused the credentials"
        : isSilent(substituter)
          ? "did not answer"
          : "is not used";
      return [
        {
          kind: role === "own" && pushes ? "push" : "cache",
          level: refused && levelOf(role) === "notice" ? "warning" : levelOf(role),
          cause: serverCause(name),
          title: role === "own" && pushes ? `nothing was pushed, ${host} ${how}` : `${host} ${how}`,
          message: `${name} ${how}: ${whatItSaid(name, state.error)}`,
          ...(isSilent(substituter) && !refused && missed ? reachable(host, role) : {}),
          ...adviceOf(state.error),
        },
      ];
    }
    const found: Finding[] = [];
    const { trouble } = state.info;
    if (trouble) {
      found.push({
        kind: pushes ? "push" : "cache",
        level: pushLevel,
        cause: serverCause(name),
        title: pushes
          ? `nothing was pushed, ${host} ${refusedToken(trouble) ? "refused the token" : "can only be read"}`
          : `${host} can only be read`,
        message: `${describeError(trouble)}: nothing is pushed or pinned, it is only read`,
        ...adviceOf(trouble),
      });
    }
    if (answers.failure) {
      found.push({
        kind: "cache",
        level: levelOf(role),
        cause: serverCause(name),
        title: `${host} stopped answering`,
        message: `${name} stopped answering: ${answers.unknown} of ${count(answers.asked, "path")} unknown there: ${whatItSaid(name, answers.failure)}`,
        ...adviceOf(answers.failure),
      });
    }
    return [...found, ...indexFindings(substituter), ...refusals(substituter)];
  });
}

/** Nothing is wrong for it, but slow; of a cache that stopped answering that is told already. */
function indexFindings({ name, count: { badIndex, failure } }: SurveyedSubstituter): Finding[] {
  if (!badIndex || failure) return [];
  return [
    {
      kind: "cache",
      level: "warning",
      cause: serverCause(name, "index"),
      title: `the index of ${cacheHost(name)} is not used`,
      message: describeError(badIndex),
      ...adviceOf(badIndex),
    },
  ];
}

function reachable(host: string, role: SurveyedSubstituter["role"]): Pick<Finding, "hint"> {
  const out = role === "own" ? "" : ", or take it out of the substituters";
  return { hint: `make ${host} reachable from this machine${out}` };
}

function refusedToken(error: Error): boolean {
  return error instanceof UserError && error.code === "NCP-303";
}

function refusals({ name, role, count: { refused, corrupt } }: SurveyedSubstituter): Finding[] {
  const [first] = refused;
  if (first === undefined) return [];
  const message = `${name}: ${count(refused.length, "answer")} not counted: ${first}`;
  const common = {
    kind: "cache" as const,
    level: "warning" as const,
    cause: serverCause(name, "refused answers"),
    title: `${count(refused.length, "answer")} of ${cacheHost(name)} ${refused.length === 1 ? "was" : "were"} not believed`,
  };
  if (corrupt === 0 || role === "own") return [{ ...common, message }];
  return [
    {
      ...common,
      code: "NCP-353",
      message,
      hint: "Nix would stop at such an answer: it is told nothing of this cache",
    },
  ];
}

function adviceOf(error: Error): Pick<Finding, "code" | "hint"> {
  if (!(error instanceof UserError)) return {};
  return { code: error.code, ...(error.hint === undefined ? {} : { hint: error.hint }) };
}

export function untrustedUserFindings(
  job: Job,
  survey: Survey,
  caches: { readonly own: BinaryCache | undefined; readonly substituters: readonly BinaryCache[] },
): Finding[] {
  const { untrusted } = survey;
  if (!untrusted) return [];
  const { user, file } = untrusted;
  const refused = caches.substituters.filter(({ name }) =>
    survey.substituters.some(
      ({ name: one, state }) =>
        one === name &&
        state.kind === "down" &&
        state.error instanceof UserError &&
        state.error.code === "NCP-351",
    ),
  );
  const own = caches.own && !isAllowed(caches.own, untrusted) ? [caches.own] : [];
  const all = [...own, ...refused];
  const unlisted = all.filter((cache) => !isAllowed(cache, untrusted));
  const trusted = new Set(untrusted.publicKeys);
  const given = [
    ...job.substituters.flatMap(({ publicKeys }) => publicKeys),
    ...all.flatMap(({ substituter }) => substituter.publicKeys),
  ];
  const keys = [...new Set(given.map(({ text }) => text))].filter((key) => !trusted.has(key));
  const hosts = all.flatMap(({ substituter }) => substituter.credentials?.().machine ?? []);
  if (all.length === 0 && keys.length === 0) return [];
  const what = [
    ...all.map(({ name }) => name),
    ...keys.map((key) => `the key ${key.split(":")[0]}`),
  ];
  const then = own.length > 0 ? "; later steps build what only our own cache has" : "";
  return [
    {
      kind: "cache",
      level: "warning",
      code: "NCP-351",
      title: `Nix's daemon does not trust ${user}`,
      message: `Nix's daemon does not trust ${user}, and takes nothing from: ${what.join(", ")}${then}`,
      hint: [
        `as root, add to ${file} one of these, and restart nix-daemon:`,
        `extra-trusted-users = ${user}`,
        "or, for these alone:",
        ...(unlisted.length > 0
          ? [
              `extra-trusted-substituters = ${unlisted.map(({ substituter }) => substituter.url).join(" ")}`,
            ]
          : []),
        ...(keys.length > 0 ? [`extra-trusted-public-keys = ${keys.join(" ")}`] : []),
        ...(hosts.length > 0
          ? [`and in the netrc file that the daemon reads, an entry for ${hosts.join(", ")}`]
          : []),
      ].join("\n"),
    },
  ];
}
