/** What the event that started the job lets this run write; whatever is not clear may write nothing. */

import * as z from "zod/mini";
import { codeOf, type Trust } from "../domain/job.ts";
import type { CacheLocation } from "../domain/location.ts";

export interface TrustRequest {
  readonly eventName: string;
  /** The text of the event file; undefined where it cannot be read. */
  readonly event: string | undefined;
  /** GITHUB_REF: `refs/heads/main`. */
  readonly ref: string;
  /** The input `trust`: lowers, never raises. */
  readonly asked: "auto" | "read-only";
  readonly cache: CacheLocation | undefined;
  readonly token: "given" | "absent";
  /** ACTIONS_CACHE_MODE. */
  readonly cacheMode: string | undefined;
}

const Repository = z.object({ id: z.number() });
const Event = z.object({
  repository: z.optional(z.nullable(z.object({ default_branch: z.optional(z.string()) }))),
  pull_request: z.optional(
    z.nullable(
      z.object({
        head: z.object({ repo: z.nullable(Repository) }),
        base: z.object({ repo: Repository }),
      }),
    ),
  ),
});

/** Events that only somebody with write access to this repository can cause. */
const OURS = new Set([
  "push",
  "schedule",
  "workflow_dispatch",
  "repository_dispatch",
  "release",
  "merge_group",
]);

export function trustOf(request: TrustRequest): Trust {
  const strange = (why: string): Trust => ({ kind: "read-only", code: "strange", why });
  if (request.asked === "read-only") return strange("trust: read-only was asked for");
  const event = parseEvent(request.event);
  if (!event) return strange("the event file cannot be read");
  const foreign = whyForeign(request.eventName, event);
  if (foreign) return strange(foreign);
  const readOnly = (why: string): Trust => ({ kind: "read-only", code: "ours", why });
  const { cache, cacheMode } = request;
  if (!cache) return readOnly("there is no cache to write to");
  if (cache.token !== "not needed" && request.token === "absent") {
    return readOnly("there is no token (secrets are not passed to forks, nor to Dependabot)");
  }
  if (cache.keeper === "GitHub" && (cacheMode === "read" || cacheMode === "none")) {
    return readOnly(`ACTIONS_CACHE_MODE is ${cacheMode}`);
  }
  const branch = event.repository?.default_branch;
  const onDefault =
    request.eventName === "schedule" ||
    (OURS.has(request.eventName) && branch !== undefined && request.ref === `refs/heads/${branch}`);
  return {
    kind: "write",
    pins: onDefault ? "move" : "keep",
    why: `${request.eventName}${onDefault ? " on the default branch" : ""}`,
  };
}

/** Whether anybody could have written what is evaluated, as far as the event shows. */
export function isStrange(request: Pick<TrustRequest, "asked" | "eventName" | "event">): boolean {
  const event = parseEvent(request.event);
  return (
    request.asked === "read-only" || !event || whyForeign(request.eventName, event) !== undefined
  );
}

/** What both allow. A step between main and post may have written another event, or forged a record. */
export function lowerTrust(main: Trust, post: Trust): Trust {
  if (main.kind === "read-only") {
    return codeOf(post) === "strange" ? { ...main, code: "strange" } : main;
  }
  if (post.kind === "read-only" || main.pins === "move") return post;
  return { ...post, pins: "keep" };
}

function parseEvent(text: string | undefined): z.infer<typeof Event> | undefined {
  if (text === undefined) return undefined;
  try {
    return Event.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function whyForeign(name: string, event: z.infer<typeof Event>): string | undefined {
  if (OURS.has(name)) return undefined;
  if (name !== "pull_request" && name !== "pull_request_target") {
    return `${name || "an unknown event"} may run on anybody's code`;
  }
  const pull = event.pull_request;
  if (!pull) return "the event has no pull request in it";
  if (!pull.head.repo) return "the pull request's repository is gone";
  // `head.repo.fork` is no evidence: it is true for our own branches where we are a fork ourselves.
  if (pull.head.repo.id !== pull.base.repo.id) return "the pull request is from a fork";
  return undefined;
}
