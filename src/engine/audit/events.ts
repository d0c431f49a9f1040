/** Who can start a workflow, with which event, and what `github.…` says then. Pure. */

import type { Trigger, Workflow } from "../../domain/workflow.ts";
import type { Lookup } from "./expression.ts";
import {
  ANYTHING,
  DEFAULT_BRANCH,
  EMPTY,
  known,
  LABELS_STAY,
  named,
  STRANGER_ACTS,
  unknown,
  type Value,
} from "./value.ts";

/** One way in which a workflow comes to run. */
export interface Start {
  readonly event: string;
  /** `stranger`: anybody with an account, by his fork, his comment or his issue. */
  readonly who: "us" | "stranger";
  readonly trigger: Trigger;
  /** Of `workflow_run`: the event that started the workflow it follows; empty where that is not here. */
  readonly source: string;
}

/** Events of a fork's pull request: no secrets, and nothing that can be written. */
const UNPRIVILEGED = new Set([
  "pull_request",
  "pull_request_review",
  "pull_request_review_comment",
]);
const STRANGERS = new Set([
  ...UNPRIVILEGED,
  "pull_request_target",
  "issue_comment",
  "issues",
  "discussion",
  "discussion_comment",
  "fork",
  "watch",
]);

/** Whether the project's secrets and rights go along with somebody else's doing. */
export function isPrivileged({ event, who }: Start): boolean {
  return who === "stranger" && !UNPRIVILEGED.has(event);
}

export function hasSecrets({ event, who }: Start): boolean {
  return who === "us" || !UNPRIVILEGED.has(event);
}

/** Runs of the default branch's own, whose entries in GitHub's cache every other run can read. */
const OF_DEFAULT_BRANCH = new Set(["push", "schedule", "workflow_dispatch", "repository_dispatch"]);

export function fillsSharedCache({ event, who, source }: Start): boolean {
  const first = event === "workflow_run" ? source : event;
  return who === "us" && (OF_DEFAULT_BRANCH.has(first) || first === "");
}

/** Runs after which a binary cache has what the default branch needs. */
export function warms(start: Start): boolean {
  const isMerged = start.who === "us" && start.trigger.types.includes("closed");
  return fillsSharedCache(start) || isMerged || /^(?:merge_group|release)$/.test(start.event);
}

export function startsOf(workflow: Workflow, all: readonly Workflow[]): Start[] {
  return [...workflow.triggers].flatMap(([event, trigger]): Start[] => {
    if (event === "workflow_call") return [];
    if (event === "workflow_run") return followers(trigger, all);
    const ours: Start = { event, who: "us", trigger, source: "" };
    return STRANGERS.has(event) ? [ours, { ...ours, who: "stranger" }] : [ours];
  });
}

/** A workflow that follows another is started by whoever starts that one; its branches are names that a fork chooses. */
function followers(trigger: Trigger, all: readonly Workflow[]): Start[] {
  const followed = all.filter(({ name }) => trigger.workflows.includes(name));
  const events = new Set(followed.flatMap(({ triggers }) => [...triggers.keys()]));
  const base = { event: "workflow_run", trigger };
  const starts = [...events].flatMap((source): Start[] => {
    const ours: Start = { ...base, who: "us", source };
    return STRANGERS.has(source) ? [ours, { ...ours, who: "stranger" }] : [ours];
  });
  if (followed.length === 0) {
    return [
      { ...base, who: "us", source: "" },
      { ...base, who: "stranger", source: "" },
    ];
  }
  return starts;
}

function typesOf({ event, trigger }: Start): readonly string[] {
  if (trigger.types.length > 0 || !/^pull_request(?:_target)?$/.test(event)) return trigger.types;
  return ["opened", "synchronize", "reopened"];
}

/** What one kind of event tells, and for others is null. */
const ONLY_OF: readonly (readonly [part: RegExp, events: RegExp])[] = [
  [/^event\.(?:pull_request|number)\b/, /^pull_request/],
  [/^event\.issue\b/, /^issue/],
  [/^event\.comment\b/, /comment$/],
  [/^event\.workflow_run\b/, /^workflow_run$/],
  [/^event\.discussion\b/, /^discussion/],
];

/** Whoever may act in this way is not one of ours alone: labels and reviewers are set by us. */
function isHisAct(start: Start): boolean {
  const types = typesOf(start);
  const isOurs = types.length > 0 && types.every((type) => /label|assign|request/.test(type));
  return start.who === "stranger" && !isOurs;
}

/** What `github.…` is in a run that begins so; `repository` is ours, where its name is known. */
export function contextOf(start: Start, repository: string | undefined): Lookup {
  const stranger = start.who === "stranger";
  const ours = (symbol: string, literal: string | undefined): Value =>
    literal === undefined ? named(symbol) : { ...known(literal), symbol };
  const ourRepository = ours("our repository", repository);
  const ourOwner = ours("our repository's owner", repository?.split("/")[0]);
  const ourNumber = named("our number");
  const free = (why: string, more: Partial<Value> = {}) =>
    unknown(why, { free: stranger, ...more });

  const head = (name: string): Value => {
    switch (name) {
      case "repo.full_name":
        return stranger
          ? named("stranger's repository", { stranger: "repository" })
          : ourRepository;
      case "repo.fork":
        return known(stranger);
      case "repo.id":
        return stranger ? named("stranger's number") : ourNumber;
      case "repo.owner.login":
      case "user.login":
        return stranger ? named("stranger's name", { stranger: "repository" }) : ourOwner;
      case "repo.name":
        return named("the repository's name");
      case "ref":
      case "label":
        return free(`the branch of the pull request`, {
          truth: "yes",
          stranger: stranger ? "branch" : "nothing",
        });
      case "sha":
        return stranger ? named("stranger's commit", { stranger: "commit" }) : named("our commit");
      default:
        // Its addresses: clone_url, html_url.
        return named(`head.${name}`, { stranger: stranger ? "repository" : "nothing" });
    }
  };

  return (path) => {
    const name = path
      .slice(1)
      .map((part) => part?.toLowerCase() ?? "*")
      .join(".");
    if (ONLY_OF.some(([part, of]) => part.test(name) && !of.test(start.event))) return known(null);
    const pull = /^event\.(?:pull_request|workflow_run\.pull_requests\.[^.]+)\.head\.(.+)$/.exec(
      name,
    )?.[1];
    if (pull !== undefined) return head(pull);
    const run = /^event\.workflow_run\.(.+)$/.exec(name)?.[1];
    if (run !== undefined) return followed(run, start, head);
    switch (name.replace(/^event\.(?:pull_request\.base\.repo|repository)\./, "repository.")) {
      case "event_name":
        return known(start.event);
      case "repository":
      case "repository.full_name":
        return ourRepository;
      case "repository_owner":
      case "repository.owner.login":
        return ourOwner;
      case "repository_id":
      case "repository.id":
        return ourNumber;
      case "repository.fork":
        return known(false);
      case "head_ref":
        return start.event.startsWith("pull_request") ? head("ref") : EMPTY;
      case "base_ref":
      case "event.pull_request.base.ref":
        return start.event.startsWith("pull_request")
          ? free("the base branch", { truth: "yes" })
          : EMPTY;
      case "event.pull_request.base.sha":
      case "event.before":
      case "event.after":
        return named("our commit");
      case "event.pull_request.merge_commit_sha":
        return head("sha");
      case "sha":
        return stranger && !isPrivileged(start) ? head("sha") : named("our commit");
      case "ref":
      case "ref_name":
        return refOf(start, name);
      case "repository.default_branch":
        return named(DEFAULT_BRANCH);
      case "event.number":
      case "event.pull_request.number":
      case "event.issue.number":
        return named("its number", { stranger: stranger ? "number" : "nothing" });
      case "event.action":
        return typesOf(start).length > 0 ? known(...typesOf(start)) : unknown("event.action");
      case "event.pull_request.merged":
        // Once merged it is ours.
        return stranger ? known(false) : unknown("whether it is merged");
      case "event.pull_request.draft":
        return free("whether it is a draft");
      case "event.issue.pull_request":
      case "event.issue.pull_request.url":
      case "event.pull_request":
        return named("the pull request");
      case "event.label.name":
        return unknown("whether whoever sets the label has read that very commit");
      case "token":
        return named("GITHUB_TOKEN", { secrets: ["GITHUB_TOKEN"] });
      case "actor":
      case "triggering_actor":
        return unknown("who started the run", isHisAct(start) ? { symbol: STRANGER_ACTS } : {});
    }
    const [, said] =
      /^event\.(?:comment|issue|pull_request|review|discussion)\.(\w+)$/.exec(name) ?? [];
    if (said === "author_association") {
      return stranger
        ? known("NONE", "FIRST_TIMER", "FIRST_TIME_CONTRIBUTOR", "CONTRIBUTOR", "MANNEQUIN")
        : known("OWNER", "MEMBER", "COLLABORATOR");
    }
    if (
      /^event\.(?:comment|issue|pull_request|review|sender|discussion)(?:\.user)?\.login$/.test(
        name,
      )
    )
      return stranger ? named("stranger's name") : unknown("who it is");
    if (/^event\.(?:pull_request|issue)\.labels\b/.test(name)) return labels(start);
    if (said === "body" || said === "title") return free("what is written there");
    return unknown(`github.${name}`);
  };
}

function labels(start: Start): Value {
  const stays = start.who === "stranger" && typesOf(start).includes("synchronize");
  return stays
    ? named(LABELS_STAY)
    : unknown("whether whoever sets the label has read that very commit");
}

/** What `github.event.workflow_run.…` says of the run that it follows. */
function followed(name: string, start: Start, head: (name: string) => Value): Value {
  // The target of a pull request is our branch, and so is its commit.
  const foreign = start.source !== "pull_request_target";
  if (name.startsWith("head_repository.")) return head(name.replace("head_repository", "repo"));
  switch (name) {
    case "event":
      if (start.source !== "") return known(start.source);
      // What a stranger can start is known, whichever it was.
      return start.who === "stranger"
        ? known(...STRANGERS)
        : unknown("which event started the other workflow");
    case "head_branch":
      return head("ref");
    case "head_sha":
    case "head_commit.id":
      return foreign ? head("sha") : named("our commit");
    case "conclusion":
    case "head_commit.message":
    case "display_title":
      return { ...ANYTHING, free: start.who === "stranger", why: ["how the other run ended"] };
    case "id":
      return named("the other run");
    default:
      return unknown(`github.event.workflow_run.${name}`);
  }
}

function refOf({ event, trigger, who }: Start, name: string): Value {
  const full = name === "ref";
  const below = (prefix: string | undefined): Value => ({
    ...ANYTHING,
    truth: "yes",
    prefix,
    why: [`github.${name}`],
  });
  const heads = full ? "refs/heads/" : "";
  const onDefault = named(DEFAULT_BRANCH, { prefix: heads || undefined });
  const { branches, tags } = trigger;
  if (UNPRIVILEGED.has(event)) return below(full ? "refs/pull/" : undefined);
  if (event === "merge_group") return below(`${heads}gh-readonly-queue/`);
  const tagged = event === "push" && branches.length === 0 && tags.length > 0;
  if (event === "release" || tagged) return below(full ? "refs/tags/" : undefined);
  if (event !== "push" || who === "stranger") return onDefault;
  const plain = branches.filter((branch) => !/[*?![\]+]/.test(branch));
  const isMain =
    branches.length === 0 ||
    plain.length < branches.length ||
    plain.some((one) => /^(?:main|master|trunk)$/.test(one));
  return isMain ? onDefault : known(...plain.map((branch) => heads + branch));
}
