/** A check run for each target, where the workflow asks for one: made at the end of main, changed in post. */

import * as z from "zod/mini";
import { describeError } from "../domain/errors.ts";
import type { Finding } from "../domain/finding.ts";
import { codeOf, type Job, type Trust } from "../domain/job.ts";
import { mapLimited } from "../domain/limit.ts";
import { count } from "../domain/size.ts";
import { isNamedIn } from "../domain/target.ts";
import type { Verdict } from "../domain/verdict.ts";
import type { PostRun } from "../engine/post.ts";
import { type FinalState, postResult, type Run } from "../engine/result.ts";
import type { Survey } from "../engine/survey.ts";
import { serverWords } from "../host/http-body.ts";
import { HttpClient, type HttpResponse } from "../host/http-client.ts";
import { isSuccess } from "../host/retry.ts";
import { type Blame, CHECK_TITLES, conclusionOf } from "../report/annotations.ts";
import { code, markdown, verbatim } from "../report/page.ts";
import { verdictWords } from "../report/text.ts";
import { log, redacted } from "./console.ts";
import type { Context } from "./context.ts";

/** One that main made, for post to change. */
export interface CheckRun {
  readonly target: string;
  readonly id: number;
  /** What became of the target by then. */
  readonly state: string;
}

/** One request each, and 1,000 an hour of all jobs of a repository together: the most severe have them. */
const CHECKS_MOST = 100;
const AT_ONCE = 8;
/** Milliseconds for one request, and for all of them. */
const DEADLINE = 15_000;
const PATIENCE = 120_000;
/** Of a name, of which GitHub shows the beginning. */
const NAME_MOST = 200;

/** Those that were made. Whatever GitHub says to it, no job fails for them. */
export async function makeCheckRuns(
  context: Context,
  trust: Trust,
  { result, survey, job }: Run,
  signal: AbortSignal,
): Promise<readonly CheckRun[]> {
  const service = serviceOf(context, trust);
  if (!service) return [];
  await using checks = service;
  const states = [...result.states];
  const told = states.slice(0, CHECKS_MOST);
  const verdicts = new Map(survey.targets.map(({ name, verdict }) => [name, verdict]));
  const made = await checks.each(told, signal, async ([name, state], inner) => {
    const verdict = verdicts.get(name);
    const words = [
      ...(verdict ? [markdown(redacted(verdictWords(survey, verdict)))] : []),
      ...whyOf(name, result.findings),
    ];
    const id = await checks.send(
      { name: checkName(name), head_sha: headOf(context) },
      {
        state,
        job,
        blame: blameOf(name, result.findings, survey, verdict),
        summary: words.join("\n\n"),
      },
      inner,
    );
    return { target: redacted(name), id, state };
  });
  checks.tell(made.length, "made", states.length - told.length);
  return made;
}

/** An error names targets, or the derivations that they need: of each list the heavy ones come first. */
function blameOf(
  target: string,
  findings: readonly Finding[],
  { derivations }: Survey,
  verdict: Verdict | undefined,
): Blame {
  const needed =
    verdict?.kind === "missing" ? [verdict.missing.source, verdict.missing.download] : [];
  const paths = needed.flatMap(({ first }) => first);
  const names = new Set([target, ...paths.flatMap((path) => derivations.get(path)?.name ?? [])]);
  const errors = findings.filter(({ level }) => level === "error");
  return errors.some((error) => error.names?.some((name) => names.has(name)))
    ? "blamed"
    : "not blamed";
}

/** What the end of the job made of main's. */
export async function changeCheckRuns(
  context: Context,
  trust: Trust,
  made: readonly CheckRun[],
  { outcome, targets }: Pick<PostRun, "outcome" | "targets">,
  signal: AbortSignal,
): Promise<void> {
  const { states, findings } = postResult(outcome, targets);
  const changed = made.flatMap((one) => {
    const state = states.get(one.target);
    return state === undefined || state === one.state ? [] : [{ ...one, state }];
  });
  const service = changed.length > 0 ? serviceOf(context, trust) : undefined;
  if (!service) return;
  await using checks = service;
  const done = await checks.each(changed, signal, ({ target, id, state }, inner) => {
    const summary = ["At the end of the job.", ...whyOf(target, findings)].join("\n\n");
    return checks.send(id, { state, job: context.job, summary }, inner);
  });
  checks.tell(done.length, "changed", 0);
}

function checkName(target: string): string {
  const name = `nix-cache-preflight / ${redacted(target)}`;
  return name.length <= NAME_MOST ? name : `${name.slice(0, NAME_MOST - 1)}…`;
}

/** The first thing that is told of it, in the words of the log. */
export function whyOf(target: string, findings: readonly Finding[]): string[] {
  const found = findings.find(
    ({ level, message, names }) =>
      level !== "notice" && (names?.includes(target) || isNamedIn(message, target)),
  );
  if (!found) return [];
  const lines = redacted(found.message).split("\n").slice(0, 20);
  return [verbatim(lines), ...(found.code ? [code(found.code)] : [])];
}

/** In a pull request GitHub shows what is said of its own last commit, and not of the one it is merged in. */
function headOf({ environment, event }: Context): string {
  const sha = environment["GITHUB_SHA"] ?? "";
  if (!/^pull_request/.test(environment["GITHUB_EVENT_NAME"] ?? "")) return sha;
  const head = PullRequest.safeParse(parsed(event));
  return head.success ? head.data.pull_request.head.sha : sha;
}

const PullRequest = z.object({
  pull_request: z.object({
    head: z.object({ sha: z.string().check(z.regex(/^[0-9a-f]{40,64}$/)) }),
  }),
});
const Made = z.object({ id: z.int().check(z.positive()) });

function parsed(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return undefined;
  }
}

/** Undefined where none are asked for, or none can be made, which is said. */
function serviceOf(context: Context, trust: Trust): CheckService | undefined {
  if (context.checkRuns === "off") return undefined;
  const { checkRunsToken: token } = context.secrets;
  const { environment } = context;
  const repository = environment["GITHUB_REPOSITORY"] ?? "";
  const why =
    codeOf(trust) === "strange"
      ? `none for what others wrote, whose job has no token for them (${trust.why})`
      : token === undefined
        ? "check-runs-token is empty: give it a token with `checks: write`, such as github.token"
        : /^[\w.-]+\/[\w.-]+$/.test(repository)
          ? undefined
          : "GITHUB_REPOSITORY names no repository";
  if (why === undefined && token !== undefined) return new CheckService(context, repository, token);
  log.info(`check runs: ${why} (NCP-317)`);
  return undefined;
}

interface Told {
  readonly state: FinalState;
  readonly job: Pick<Job, "failOn" | "onPushFailure">;
  readonly blame?: Blame;
  /** Markdown. */
  readonly summary: string;
}

/** GitHub's REST API, as far as check runs ask it. */
class CheckService implements AsyncDisposable {
  private readonly http: HttpClient;
  private readonly url: string;
  private readonly details: string;
  private readonly token: string;
  private failed = 0;
  private why: string | undefined;

  constructor({ environment }: Context, repository: string, token: string) {
    const api = environment["GITHUB_API_URL"] || "https://api.github.com";
    const server = environment["GITHUB_SERVER_URL"] || "https://github.com";
    this.http = new HttpClient(environment);
    this.url = `${api}/repos/${repository}/check-runs`;
    this.details = `${server}/${repository}/actions/runs/${environment["GITHUB_RUN_ID"] ?? ""}`;
    this.token = token;
  }

  /** Some at a time. What failed is left out, and so is the rest where the server or the token is at fault. */
  async each<T, R>(
    items: readonly T[],
    signal: AbortSignal,
    task: (item: T, signal: AbortSignal) => Promise<R>,
  ): Promise<R[]> {
    const end = new AbortController();
    const inner = AbortSignal.any([signal, end.signal, AbortSignal.timeout(PATIENCE)]);
    const results = await mapLimited(items, AT_ONCE, async (item) => {
      if (inner.aborted) {
        this.failed++;
        return [];
      }
      try {
        return [await task(item, inner)];
      } catch (error) {
        signal.throwIfAborted();
        this.failed++;
        this.why ??= describeError(error);
        // What is wrong with one check run says nothing of the others; all else does.
        if (!(error instanceof BadCheckRun)) end.abort(error);
        return [];
      }
    });
    return results.flat();
  }

  /** A new one, or by its number one that is there. Its number. */
  async send(
    which: number | { readonly name: string; readonly head_sha: string },
    { state, job, blame = "not blamed", summary }: Told,
    signal: AbortSignal,
  ): Promise<number> {
    const isNew = typeof which !== "number";
    const body = JSON.stringify({
      ...(isNew ? which : {}),
      status: "completed",
      conclusion: conclusionOf(state, job, blame),
      details_url: this.details,
      output: { title: CHECK_TITLES[state], summary: redacted(summary) || CHECK_TITLES[state] },
    });
    const answer = await this.http.request({
      method: isNew ? "POST" : "PATCH",
      url: new URL(isNew ? this.url : `${this.url}/${which}`),
      headers: {
        accept: "application/vnd.github+json",
        authorization: `Bearer ${this.token}`,
        "content-type": "application/json",
        "x-github-api-version": "2022-11-28",
      },
      body,
      signal,
      deadline: DEADLINE,
    });
    const { status } = answer;
    if (isLimited(answer)) {
      throw new Error(
        `GitHub answers ${status} (${serverWords(answer, this.token)}): it limits how often it is asked, and others ask with the same token; the permission is not at fault`,
      );
    }
    if (status === 401 || status === 403 || status === 404) {
      throw new Error(
        `GitHub answers ${status} (${serverWords(answer, this.token)}): check-runs needs \`checks: write\` in the job's permissions, and the token of this repository`,
      );
    }
    if (!isSuccess(status)) {
      const words = `GitHub answers ${status} (${serverWords(answer, this.token)})`;
      throw status === 422 ? new BadCheckRun(words) : new Error(words);
    }
    if (!isNew) return which;
    return Made.parse(parsed(answer.body.toString("utf8"))).id;
  }

  tell(done: number, what: "made" | "changed", left: number): void {
    const some = left > 0 ? `; ${left} more targets have none, the most severe come first` : "";
    if (done > 0) log.info(`${count(done, "check run")} ${what}${some}`);
    if (this.failed === 0) return;
    log.info(`check runs: ${this.failed} not ${what}: ${this.why ?? "time was up"} (NCP-317)`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.http.close();
  }
}

/** 403 is also what GitHub says to who asks too often. */
function isLimited(answer: HttpResponse): boolean {
  const { status, headers } = answer;
  if (status === 429) return true;
  if (status !== 403) return false;
  const isSpent = headers["x-ratelimit-remaining"] === "0" || headers["retry-after"] !== undefined;
  return isSpent || /rate limit/i.test(serverWords(answer));
}

class BadCheckRun extends Error {}
