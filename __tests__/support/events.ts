/** Owns every event that may not write, as GitHub would send it: what trust and the wire are tested with. */

import { readFileSync } from "node:fs";
import { join } from "node:path";

const EVENTS = join(import.meta.dirname, "..", "fixtures", "events");

export function payload(name: string): string {
  return readFileSync(join(EVENTS, `${name}.json`), "utf8");
}

export interface SentEvent {
  readonly eventName: string;
  readonly event: string;
  readonly ref: string;
  /** What the runner says beside the event. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly inputs?: Readonly<Record<string, string>>;
}

const PULL = "refs/pull/2/merge";
const MAIN = "refs/heads/main";

/** A run of the default branch: with a token, it may do everything. */
export const PUSH: SentEvent = { eventName: "push", event: payload("push"), ref: MAIN };

const sent = (eventName: string, fixture: string, ref = PULL): SentEvent => ({
  eventName,
  event: payload(fixture),
  ref,
});

export const READ_ONLY: Readonly<Record<string, SentEvent>> = {
  "a fork": sent("pull_request", "pull_request-fork"),
  "a deleted fork": sent("pull_request", "pull_request-deleted-fork"),
  "a fork of a fork": sent("pull_request", "pull_request-fork-of-a-fork"),
  "a fork into a forked project": sent("pull_request", "pull_request-fork-into-a-forked-project"),
  "pull_request_target of a fork": sent("pull_request_target", "pull_request-fork", MAIN),
  "pull_request_target of a deleted fork": sent(
    "pull_request_target",
    "pull_request-deleted-fork",
    MAIN,
  ),
  "a re-run of a fork's": {
    ...sent("pull_request", "pull_request-fork"),
    environment: { GITHUB_RUN_ATTEMPT: "2" },
  },
  // A called workflow has its caller's event; only GITHUB_WORKFLOW_REF tells that it was called.
  "workflow_call under a fork's": {
    ...sent("pull_request", "pull_request-fork"),
    environment: { GITHUB_WORKFLOW_REF: "owner/repository/.github/workflows/called.yml@main" },
  },
  "workflow_call under pull_request_target": {
    ...sent("pull_request_target", "pull_request-fork", MAIN),
    environment: { GITHUB_WORKFLOW_REF: "owner/repository/.github/workflows/called.yml@main" },
  },
  "workflow_call as an event": sent("workflow_call", "push", MAIN),
  "workflow_run of a fork": sent("workflow_run", "workflow_run-fork", MAIN),
  workflow_run: sent("workflow_run", "workflow_run", MAIN),
  issue_comment: sent("issue_comment", "issue_comment", MAIN),
  "an unknown event": sent("ploughed", "push", MAIN),
  "no event name": sent("", "push", MAIN),
  "an empty payload": { ...PUSH, event: "" },
  "a payload that is not JSON": { ...PUSH, event: "<html>" },
  "a payload of 20 MB": {
    ...sent("pull_request", "pull_request-fork"),
    event: JSON.stringify({
      ...(JSON.parse(payload("pull_request-fork")) as object),
      filler: "x".repeat(20 * 1024 * 1024),
    }),
  },
  "merge_group without its payload": { ...sent("merge_group", "merge_group", MAIN), event: "null" },
  "trust: read-only": { ...PUSH, inputs: { trust: "read-only" } },
};
