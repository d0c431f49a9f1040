/** What the step does: the run, its report, and what it leaves for post. */

import { delimiter, join } from "node:path";
import * as core from "@actions/core";
import type { Composed } from "../compose.ts";
import { describeError } from "../domain/errors.ts";
import { codeOf, type Trust } from "../domain/job.ts";
import type { StorePath } from "../domain/store-path.ts";
import type { Run } from "../engine/result.ts";
import { MAY, maySendAtOnce } from "../engine/step.ts";
import { pinsOf } from "../engine/survey/found.ts";
import { silentSubstituters } from "../engine/survey/substituters.ts";
import type { Survey } from "../engine/survey.ts";
import { makeFolder, writeWhole } from "../host/atomic.ts";
import { isHosted, jobPath, takeEnvironment } from "../host/environment.ts";
import type { ProcessIdentity } from "../host/processes.ts";
import { folderOf } from "../host/programs.ts";
import { annotations } from "../report/annotations.ts";
import type { LinkTo } from "../report/page.ts";
import { runnerOfJob, startBackground } from "./background-push.ts";
import type { CheckRun } from "./check-runs.ts";
import {
  annotate,
  conclude,
  guarded,
  hide,
  log,
  mask,
  redacted,
  spared,
  traceJob,
  world,
  writeSummary,
} from "./console.ts";
import { buildsToEvaluate, type Context, contextTrust, readContext, rootsOf } from "./context.ts";
import { githubRecords } from "./github-records.ts";
import { derivationsOf, type GithubRecord, restoreGithub, writeRecord } from "./github-restore.ts";
import { foreignInputs } from "./inputs.ts";
import { beginUse } from "./job-folder.ts";
import { STATE, StateKeeper, sealFor } from "./state.ts";

/** What looks and acts; as the words of its report, loaded while Nix is asked: a first line, or an error, needs neither. */
const engine = () => import("../engine/run.ts");

async function words() {
  const [headline, json, summary, text] = await Promise.all([
    import("../report/headline.ts"),
    import("../report/json.ts"),
    import("../report/summary.ts"),
    import("../report/text.ts"),
  ]);
  return { ...headline, ...json, ...summary, ...text };
}

export function main(): Promise<void> {
  return guarded(async (signal) => {
    const environment = takeEnvironment();
    const given = await readContext(environment, await beginUse(environment));
    mask(given);
    using _trace = traceJob(given);
    for (const warning of foreignInputs(environment)) annotate(warning);
    const trust = contextTrust(given);
    // Known now, whatever becomes of the rest.
    core.setOutput("read-only", String(trust.kind === "read-only"));
    const { job } = given;
    log.info(
      `nix-cache-preflight: ${job.mode}, cache ${job.cacheName}, ${trust.kind} (${trust.why})`,
    );
    const context = await withNix(given, signal);
    const restoring = restoreGithub(
      job,
      context.workspace,
      { ...context, log, signingKey: context.secrets.signingKey },
      signal,
    );
    // Awaited below: until then another failure may be first.
    restoring.catch(() => undefined);
    const { compose } = await world();
    await using composed = await compose({
      ...context,
      needs: "store and checkout",
      code: codeOf(trust),
      hide,
      laterSteps: {
        file: join(context.folder, "nix.conf"),
        setVariable: (name, value) => core.exportVariable(name, value),
      },
      platform: process.platform,
      log,
      signal,
      evaluationRecords: githubRecords(
        { ...context, log },
        job.targets.map(({ line }) => line),
      ),
      buildsToEvaluate: buildsToEvaluate(context),
      // Where that fails, whoever waits for it hears of it.
      meanwhile: () => void Promise.all([engine(), words()]).catch(() => undefined),
      ...rootsOf(context),
    });
    const { run } = await engine();
    const { record, notices, findings } = await restoring;
    const leave = await leaveForPost(context, trust, composed, record);
    // An evaluation may build, too.
    await leave({});
    const restored = {
      ...composed.world,
      notices: [...composed.world.notices, ...notices],
      findings,
    };
    const done = await run(job, trust, restored, signal, (survey) => leave({ survey }));
    await tell(done, context);
    const { own } = composed.world;
    const ended = own?.pushEnded?.();
    // Asked already: it says so where it never answered, or stopped.
    const isThere = await own?.describe(signal).then(
      () => true,
      () => false,
    );
    // A cache that hangs, fails whatever it is sent or refuses the token does no better in the background.
    const isRefused = done.result.findings.some(({ code }) => code === "NCP-303");
    const watcher =
      isThere && !ended && !isRefused && maySendAtOnce(job, trust, composed.world)
        ? await startBackground(
            {
              environment: context.environment,
              sharedFolder: context.sharedFolder,
              use: context.use,
              // What this step built, it has dealt with itself.
              storeNames: [...(await composed.storeNames())],
              origin: originOf(context, done.survey),
              runner: await runnerOfJob(),
            },
            context.folder,
            log,
          )
        : undefined;
    const { lastLine } = await words();
    await leave({
      survey: done.survey,
      watcher,
      alsoSilent: own && !isThere ? [own.name] : [],
      pushEnded: ended && describeError(ended),
      checks: await checkRuns(context, trust, done, signal),
      told: done.result.findings.flatMap(({ level, cause, message }) =>
        level === "notice" ? [] : [cause ?? message],
      ),
    });
    log.info(lastLine(done));
    conclude(done.result.end);
  });
}

async function checkRuns(
  context: Context,
  trust: Trust,
  done: Run,
  signal: AbortSignal,
): Promise<readonly CheckRun[]> {
  if (context.checkRuns === "off") return [];
  const make = async () => {
    const { makeCheckRuns } = await import("./check-runs.ts");
    return makeCheckRuns(context, trust, done, signal);
  };
  return (await spared("no check runs were made", make, signal)) ?? [];
}

interface Known {
  readonly survey?: Survey;
  readonly watcher?: ProcessIdentity | undefined;
  /** Beside the substituters that did not answer. */
  readonly alsoSilent?: readonly string[];
  readonly pushEnded?: string | undefined;
  readonly checks?: readonly CheckRun[];
  /** What post need not tell again, by its cause. */
  readonly told?: readonly string[];
}

/**
 * Leaves what post needs, as far as it is known: before the first build, and again with more. A job
 * that is cancelled, too slow or killed in between loses nothing of what it had built by then.
 */
async function leaveForPost(
  context: Context,
  trust: Trust,
  composed: Composed,
  record: GithubRecord | undefined,
): Promise<(known: Known) => Promise<void>> {
  const keeper = new StateKeeper(context, sealFor(context));
  const storeNames = await composed.storeNames();
  return async ({ survey, watcher, alsoSilent = [], pushEnded, checks = [], told = [] }) => {
    if (record) {
      const derivations = survey && derivationsOf(survey);
      await writeRecord({ ...record, ...(derivations ? { derivations } : {}) }, context.folder);
    }
    const targets = (survey?.targets ?? []).flatMap((target) => {
      const { name, outputs } = target;
      return outputs ? [{ name: redacted(name), outputs, pins: pinsOf(target) }] : [];
    });
    const silent = [...(survey ? silentSubstituters(survey) : []), ...alsoSilent];
    core.saveState(
      STATE,
      await keeper.save({
        trust,
        memory: {
          ...{ targets, storeNames, silent, pushEnded },
          origin: originOf(context, survey),
          // A warming step has pushed them.
          inputs: MAY[context.job.mode].has("push") ? [] : (survey?.inputs ?? []),
        },
        watcher,
        told: told.map(redacted),
        checks,
        programs: folderOf("nix-store", context.environment["PATH"] ?? ""),
      }),
    );
  };
}

/** The targets' derivations and results, where others may build into the same store. */
function originOf({ environment }: Context, survey: Survey | undefined): StorePath[] | undefined {
  if (isHosted(environment)) return undefined;
  const paths = (survey?.targets ?? []).flatMap(({ wanted, outputs }) => [
    ...(wanted?.kind === "derivation" ? [wanted.drvPath] : []),
    ...(outputs ?? []),
  ]);
  return [...new Set(paths)];
}

/** Where the job asks for it and the runner has none, Nix is installed first. */
async function withNix(context: Context, signal: AbortSignal): Promise<Context> {
  const { environment, folder, job } = context;
  const { platform, arch } = process;
  const mayInstall = job.installNix === "install" && platform !== "win32";
  const installation = mayInstall ? await import("./install-nix.ts") : undefined;
  if (!installation || (await installation.hasNix(environment))) {
    tellWhereNixIs(context);
    return context;
  }
  await makeFolder(folder);
  const folders = await installation.installNix({
    release: installation.releaseOf(job.chosenNix),
    environment,
    platform,
    arch,
    folder,
    log,
    signal,
  });
  for (const one of folders) core.addPath(one);
  const path = [...folders, environment["PATH"] ?? ""].join(delimiter);
  return { ...context, environment: { ...environment, PATH: path } };
}

/** Nix that this step found beyond PATH: who asks for an installation gets it there, others are told how. */
function tellWhereNixIs({ environment, job }: Context): void {
  const folder = folderOf("nix", environment["PATH"] ?? "");
  if (folder === undefined || jobPath().split(delimiter).includes(folder)) return;
  if (job.installNix === "install") {
    core.addPath(folder);
    return;
  }
  annotate({
    level: "warning",
    title: "Nix is not on PATH",
    message: `Nix is in ${folder}, which is not on PATH: this step found it, later steps will not\nFix: put a step before this one: echo ${folder} >> "$GITHUB_PATH"`,
  });
}

async function tell(done: Run, { folder, environment, summary: detail }: Context): Promise<void> {
  const { reportText, outputValues, textReport, findingLines, summary } = await words();
  const reportPath = join(folder, "report.json");
  await writeWhole(reportPath, redacted(`${reportText(done)}\n`));
  for (const [name, value] of Object.entries(outputValues(done, reportPath))) {
    core.setOutput(name, redacted(value));
  }
  for (const line of [...textReport(done), ...findingLines(done)]) log.info(line);
  for (const annotation of annotations(done.result.findings)) annotate(annotation);
  await writeSummary(summary(done, { detail, linkTo: linkTo(environment) }));
}

/** A line of the commit at hand, on the server that the job is from. */
function linkTo(environment: Context["environment"]): LinkTo {
  const [server, repository, sha] = ["GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_SHA"].map(
    (name) => environment[name] || undefined,
  );
  if (server === undefined || repository === undefined || sha === undefined) return () => undefined;
  return (file, line) => `${server}/${repository}/blob/${sha}/${file}#L${line}`;
}
