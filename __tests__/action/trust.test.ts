import { describe, expect, test } from "@jest/globals";
import { contextTrust, readContext } from "../../src/action/context.ts";
import { lowerTrust, type TrustRequest, trustOf } from "../../src/action/trust.ts";
import { register } from "../../src/caches/register.ts";
import type { Trust } from "../../src/domain/job.ts";
import { payload, READ_ONLY } from "../support/events.ts";
import { temporaryFolder } from "../support/folder.ts";

function trusted(eventName: string, event: string | undefined, change: Partial<TrustRequest> = {}) {
  return trustOf({
    eventName,
    event,
    ref: "refs/heads/main",
    asked: "auto",
    cache: register.parse("cachix:mine", "cache"),
    token: "given",
    cacheMode: undefined,
    ...change,
  });
}

/** `move`: may write and move pins; `keep`: may write; `read-only`. */
function word(...request: Parameters<typeof trusted>): string {
  const trust = trusted(...request);
  return trust.kind === "write" ? trust.pins : trust.kind;
}

describe("what an event may write", () => {
  test.each([
    ["push", "push", "refs/heads/main", "move"],
    ["push", "push-branch", "refs/heads/topic", "keep"],
    ["push", "push-tag", "refs/tags/main", "keep"],
    ["schedule", "schedule", "refs/heads/main", "move"],
    ["workflow_dispatch", "workflow_dispatch", "refs/heads/main", "move"],
    ["workflow_dispatch", "workflow_dispatch", "refs/heads/topic", "keep"],
    ["repository_dispatch", "repository_dispatch", "refs/heads/main", "move"],
    ["release", "release", "refs/tags/v1.0.0", "keep"],
    ["merge_group", "merge_group", "refs/heads/gh-readonly-queue/main/pr-2-c", "keep"],
    ["pull_request", "pull_request-own-branch", "refs/pull/2/merge", "keep"],
    ["pull_request", "pull_request-own-branch", "refs/heads/main", "keep"],
    ["pull_request", "pull_request-inside-a-forked-project", "refs/pull/2/merge", "keep"],
    ["pull_request", "pull_request-fork", "refs/pull/2/merge", "read-only"],
    ["pull_request", "pull_request-deleted-fork", "refs/pull/2/merge", "read-only"],
    ["pull_request", "pull_request-fork-of-a-fork", "refs/pull/2/merge", "read-only"],
    ["pull_request", "pull_request-fork-into-a-forked-project", "refs/pull/2/merge", "read-only"],
    ["pull_request_target", "pull_request-fork", "refs/heads/main", "read-only"],
    ["pull_request_target", "pull_request-deleted-fork", "refs/heads/main", "read-only"],
    ["pull_request_target", "pull_request-own-branch", "refs/heads/main", "keep"],
    ["workflow_run", "workflow_run-fork", "refs/heads/main", "read-only"],
    ["workflow_run", "workflow_run", "refs/heads/main", "read-only"],
    ["issue_comment", "issue_comment", "refs/heads/main", "read-only"],
    ["issues", "push", "refs/heads/main", "read-only"],
    ["pull_request_review", "pull_request-own-branch", "refs/pull/2/merge", "read-only"],
    ["discussion_comment", "push", "refs/heads/main", "read-only"],
    ["PUSH", "push", "refs/heads/main", "read-only"],
    ["", "push", "refs/heads/main", "read-only"],
    // The event's own word counts, not what its payload looks like.
    ["pull_request", "push", "refs/heads/main", "read-only"],
    ["pull_request_target", "repository_dispatch", "refs/heads/main", "read-only"],
  ])("%s (%s) on %s: %s", (eventName, name, ref, expected) => {
    expect(word(eventName, payload(name), { ref })).toBe(expected);
  });

  test("says why it may not", () => {
    const why = (...request: Parameters<typeof trusted>) => trusted(...request).why;
    expect(why("pull_request", payload("pull_request-fork"))).toBe(
      "the pull request is from a fork",
    );
    expect(why("pull_request", payload("pull_request-deleted-fork"))).toBe(
      "the pull request's repository is gone",
    );
    expect(why("issue_comment", payload("issue_comment"))).toBe(
      "issue_comment may run on anybody's code",
    );
    expect(why("push", payload("push"), { token: "absent" })).toContain("there is no token");
  });
});

describe("an event that cannot be read", () => {
  test.each([
    ["no file", undefined],
    ["an empty file", ""],
    ["white space", " \n"],
    ["not JSON", "<html>"],
    ["half of it", payload("push").slice(0, 200)],
    ["null", "null"],
    ["a number", "7"],
    ["a list", "[]"],
    ["text", '"push"'],
    ["another shape", '{"repository": 7}'],
    ["a pull request without a head", '{"pull_request": {"base": {"repo": {"id": 1}}}}'],
    [
      "a pull request with a text for an id",
      '{"pull_request": {"head": {"repo": {"id": "1"}}, "base": {"repo": {"id": "1"}}}}',
    ],
    ["no repository under the head", '{"pull_request": {"head": {}, "base": {"repo": {"id": 1}}}}'],
    ["no repository under the base", '{"pull_request": {"head": {"repo": {"id": 1}}, "base": {}}}'],
    ["ten thousand brackets", "[".repeat(10_000)],
    ["nothing in it", "{}"],
  ])("is read-only for a pull request: %s", (_, event) => {
    expect(word("pull_request", event)).toBe("read-only");
  });

  test("of 20 MB is judged as any other", () => {
    const filler = "x".repeat(20 * 1024 * 1024);
    const grown = (name: string) =>
      JSON.stringify({ ...(JSON.parse(payload(name)) as object), filler });
    expect(word("pull_request", grown("pull_request-fork"))).toBe("read-only");
    expect(word("push", grown("push"))).toBe("move");
    expect(word("push", grown("push").slice(0, -1))).toBe("read-only");
  });

  test.each(["push", "schedule", "release", "merge_group"])(
    "is read-only for %s, which otherwise may write",
    (eventName) => {
      expect(word(eventName, "not JSON")).toBe("read-only");
      expect(word(eventName, undefined)).toBe("read-only");
    },
  );

  test("without its default branch moves no pin", () => {
    expect(word("push", "{}")).toBe("keep");
    expect(word("push", '{"repository": {}}')).toBe("keep");
    expect(word("push", '{"repository": null}', { ref: "refs/heads/undefined" })).toBe("keep");
  });
});

describe("what lowers it", () => {
  test("asking for read-only; nothing raises it", () => {
    expect(word("push", payload("push"), { asked: "read-only" })).toBe("read-only");
    const event = payload("pull_request-fork");
    expect(word("pull_request", event, { asked: "auto" })).toBe("read-only");
  });

  test.each([
    ["cachix:mine", "absent", "read-only"],
    ["attic:host/mine", "absent", "read-only"],
    ["https://host", "absent", "read-only"],
    ["attic:host/mine", "given", "move"],
    ["https://host", "given", "move"],
    ["file:///cache", "absent", "move"],
    ["github", "absent", "move"],
    ["s3://bucket", "absent", "move"],
    ["ssh-ng://host", "absent", "move"],
    ["none", "given", "read-only"],
  ] as const)("%s with the token %s: %s", (cache, token, expected) => {
    const change = { cache: register.parse(cache, "cache"), token };
    expect(word("push", payload("push"), change)).toBe(expected);
  });

  test.each([
    ["absent", "read-only"],
    ["given", "keep"],
  ] as const)("Dependabot, its secret %s: %s", (token, expected) => {
    expect(word("pull_request", payload("pull_request-dependabot"), { token })).toBe(expected);
  });

  test.each([
    ["github", "read", "read-only"],
    ["github", "none", "read-only"],
    ["github", "write", "move"],
    ["github", undefined, "move"],
    ["file:///cache", "read", "move"],
  ])("ACTIONS_CACHE_MODE for %s is %s: %s", (cache, cacheMode, expected) => {
    const change = { cache: register.parse(cache, "cache"), cacheMode };
    expect(word("push", payload("push"), change)).toBe(expected);
  });
});

describe("the lower of main's trust and post's", () => {
  const write = (pins: "move" | "keep"): Trust => ({ kind: "write", pins, why: "push" });
  const readOnly: Trust = { kind: "read-only", code: "strange", why: "a fork" };

  test.each<[Trust, Trust, Trust]>([
    [write("move"), write("move"), write("move")],
    [write("move"), write("keep"), write("keep")],
    [write("keep"), write("move"), write("keep")],
    [readOnly, write("move"), readOnly],
    [write("move"), readOnly, readOnly],
  ])("%j and %j: %j", (main, post, lower) => {
    expect(lowerTrust(main, post)).toEqual(lower);
  });
});

const PLACE = { sharedFolder: "/runner/nix-cache-preflight", use: "1" };

describe("as a step reads it from the runner", () => {
  test.each(Object.entries(READ_ONLY))("%s is read-only", async (_, sent) => {
    await using temp = await temporaryFolder();
    const environment = {
      ...Object.fromEntries(
        Object.entries({ cache: "cachix:mine", token: "t", ...sent.inputs }).map(
          ([name, value]) => [`INPUT_${name.toUpperCase()}`, value],
        ),
      ),
      GITHUB_EVENT_NAME: sent.eventName,
      GITHUB_EVENT_PATH: await temp.write("event.json", sent.event),
      GITHUB_REF: sent.ref,
      ...sent.environment,
    };
    const context = await readContext(environment, PLACE);
    expect(contextTrust(context).kind).toBe("read-only");
  });

  test("a push with the same inputs may write; where its file is gone, it may not", async () => {
    await using temp = await temporaryFolder();
    const environment = {
      INPUT_CACHE: "cachix:mine",
      INPUT_TOKEN: "t",
      GITHUB_EVENT_NAME: "push",
      GITHUB_EVENT_PATH: await temp.write("event.json", payload("push")),
      GITHUB_REF: "refs/heads/main",
    };
    expect(contextTrust(await readContext(environment, PLACE))).toMatchObject({ pins: "move" });
    const gone = { ...environment, GITHUB_EVENT_PATH: temp.at("gone.json") };
    expect(contextTrust(await readContext(gone, PLACE)).kind).toBe("read-only");
    expect(
      contextTrust(await readContext({ ...environment, GITHUB_EVENT_PATH: "" }, PLACE)).kind,
    ).toBe("read-only");
  });
});
