/** What a job does with a stranger's code: where it takes it, what runs it, and what would stop that. Pure. */

import { nixUse, nixVerb } from "./commands.ts";
import type { AuditedJob } from "./jobs.ts";
import type { Command } from "./script.ts";
import type { AuditedStep } from "./steps.ts";
import type { Answer } from "./value.ts";

/** A place where a stranger's code gets into the job. */
export interface Taken {
  readonly step: AuditedStep;
  /** `no` where the action itself refuses. */
  readonly is: Answer;
  readonly why: string;
  /** The folder below the workspace that it lies in. */
  readonly folder: string;
}

/** The first place of a job that takes it, with whatever is known best. */
export function takesStrangers(job: AuditedJob): Taken | undefined {
  let open: Taken | undefined;
  for (const step of job.steps) {
    if (step.runs.is === "no") continue;
    const taken = takes(step);
    if (!taken) continue;
    if (taken.is !== "unknown") return taken;
    open ??= taken;
  }
  return open;
}

function takes(step: AuditedStep): Taken | undefined {
  if (step.known?.role === "checkout") return byCheckout(step);
  const byHand =
    step.commands.some((command) => fetches(step, command)) ||
    (step.commands.some(readsPatch) && step.commands.some(applies));
  return byHand ? { step, is: "yes", why: "", folder: "" } : undefined;
}

function byCheckout(step: AuditedStep): Taken | undefined {
  const ref = step.input("ref");
  const repository = step.input("repository");
  const folder = step.inputText("path").replace(/^\.\/|\/$/g, "");
  const his =
    repository.stranger === "repository" ||
    ref.stranger === "commit" ||
    ref.prefix?.startsWith("refs/pull/");
  if (his) {
    const refused = refuses(step);
    return { step, is: refused ? "no" : "yes", why: refused ?? "", folder };
  }
  // A branch by its name alone is looked for in our repository.
  const isOurs =
    ref.literals !== undefined ||
    ref.symbol !== undefined ||
    ref.stranger === "branch" ||
    ref.truth === "no";
  if (isOurs) return undefined;
  const comments = step.job.start.event === "issue_comment";
  return comments && !ref.free
    ? { step, is: "yes", why: "", folder }
    : { step, is: "unknown", why: `what ${step.step.inputs.get("ref")} is`, folder };
}

/** The first version of each major that refuses a fork's code, 2026-07-20; all from 7 on do. */
const REFUSES_FROM: Readonly<Record<number, number>> = { 2: 8, 3: 7, 4: 4, 5: 1, 6: 1 };

/** actions/checkout does not hand a fork's code to a privileged run, unless it is told to. */
function refuses({ step, job }: AuditedStep): string | undefined {
  const { event, source } = job.start;
  const guarded =
    event === "pull_request_target" ||
    (event === "workflow_run" && source.startsWith("pull_request"));
  const allowed = step.inputs.get("allow-unsafe-pr-checkout") ?? "false";
  if (!guarded || allowed.trim() !== "false") return undefined;
  const [, major = "", minor] = /^v?(\d+)(?:\.(\d+))?/.exec(step.uses?.version ?? "") ?? [];
  const from = REFUSES_FROM[Number(major)];
  // `v5` may be any of them.
  const does =
    Number(major) >= 7 || (from !== undefined && minor !== undefined && Number(minor) >= from);
  return major !== "" && does ? `actions/checkout ${step.uses?.version}` : undefined;
}

/** `gh pr checkout`, `git fetch origin pull/1/head`, a clone of the fork. */
function fetches(step: AuditedStep, { words }: Command): boolean {
  const [program, verb, noun] = words;
  if (program === "gh" || program === "hub")
    return (
      (verb === "pr" && noun === "checkout") ||
      (verb === "repo" && noun === "clone" && his(step, words))
    );
  if (program !== "git") return false;
  if (
    !words.some((word) =>
      /^(?:fetch|pull|clone|checkout|switch|remote|reset|rebase|merge|cherry-pick|worktree)$/.test(
        word,
      ),
    )
  )
    return false;
  return (
    words.some((word) =>
      /(?:^|[:+/])(?:refs\/)?pull\/[^/]*\/(?:head|merge)|^(?:refs\/)?pull\//.test(word),
    ) || his(step, words)
  );
}

/** His changes as a text, from GitHub. */
function readsPatch({ words }: Command): boolean {
  const [program, verb, noun] = words;
  if (program === "gh") return verb === "pr" && noun === "diff";
  return words.some((word) =>
    /pull\/.*\.(?:patch|diff)|pull_request\.(?:patch|diff)_url/.test(word),
  );
}

function applies({ words }: Command): boolean {
  const [program] = words;
  return (
    program === "patch" || (program === "git" && words.some((word) => /^(?:apply|am)$/.test(word)))
  );
}

function his(step: AuditedStep, words: readonly string[]): boolean {
  return words.some(
    (word) => /[$]/.test(word) && /^(?:repository|commit)$/.test(step.word(word).stranger),
  );
}

/** Reads, moves or tells, and runs nothing of what lies there. */
const HARMLESS = new Set(
  "echo printf cat ls pwd cd mkdir cp mv rm touch test [ [[ true false : exit set export unset local return shift read git gh jq yq grep rg sed awk head tail sort uniq wc cut tr diff cmp comm date sleep tee sha256sum md5sum base64 tar unzip zip gzip gunzip zstd curl wget basename dirname realpath readlink stat file du df chmod ln seq case esac for in done fi then trap wait kill id whoami uname hostname env printenv xxd od nproc apt apt-get dpkg cachix attic niks3 nix-store nix-env nix-hash nix-collect-garbage mapfile declare umask let expr".split(
    " ",
  ),
);
/** Builds, installs or runs what lies there. */
const RUNS = new Set(
  "make gmake npm npx yarn pnpm bun bunx deno node cargo go python python3 pip pip3 uv poetry pdm tox nox pytest ruby bundle rake gradle mvn sbt stack cabal ghc cmake ninja meson bazel bazelisk just task pre-commit lefthook devenv direnv om dotnet composer php terraform tofu ansible-playbook zig mix swift treefmt statix docker podman earthly tilt helm jekyll hugo mdbook sphinx-build mkdocs bash sh zsh source .".split(
    " ",
  ),
);

/** Whether a command runs what lies in `folder`; a folder beside ours has to be named. */
function runsThere(command: Command, folder: string, inside: boolean): Answer {
  const { words } = command;
  const [program = ""] = words;
  const use = nixUse(command);
  const names =
    folder === "" ||
    inside ||
    words.some(
      (word) =>
        word.split(/[/#:@=]/).includes(folder) ||
        word.startsWith(`${folder}/`) ||
        word.includes(`/${folder}`),
    );
  if (!names) return "no";
  if (use === "builds" || use === "evaluates") return "yes";
  if (use !== undefined) {
    // A program of nixpkgs' own, run over his files.
    return use === "fetches" && nixVerb(command)?.verb === "run" ? "unknown" : "no";
  }
  if (/^\.{0,2}\/(?!nix\/store)|^\$\(|^[\w.-]+\/.*\.(?:sh|py|rb|js|ts|pl)$/.test(program))
    return "yes";
  if (
    /^(?:bash|sh|zsh|python3?|node)$/.test(program) &&
    words.length > 1 &&
    /^-[a-z]*c$/.test(words[1] ?? "")
  )
    return "no";
  if (RUNS.has(program)) return folder === "" || inside ? "yes" : "unknown";
  return program === "" || HARMLESS.has(program) ? "no" : "unknown";
}

/** Whether the step runs a stranger's code, and which of its words does. */
export function runsStrangers(
  step: AuditedStep,
  taken: Taken | undefined,
): { readonly is: Answer; readonly what: string } {
  const { known, step: written } = step;
  const direct = directly(step);
  if (direct !== undefined) return { is: "yes", what: direct };
  const none = { is: "no" as const, what: "" };
  if (!taken || taken.step === step) return byHandIn(step, taken) ?? none;
  const folder = taken.folder;
  if (written.uses?.from === "workspace" && written.composite !== "no") {
    const name = written.uses.name;
    return folder === "" ? { is: "yes", what: `${name}, which lies in his checkout,` } : none;
  }
  if (known?.role === "ours") {
    const mode = step.inputText("mode") || "prefetch";
    return { is: mode === "warm" ? "yes" : "unknown", what: `this action (mode: ${mode})` };
  }
  if (written.uses) {
    // What a composite action does, its steps say.
    if (written.composite === "read") return none;
    if (known || /^(?:actions|github)\//.test(written.uses.name)) return none;
    return { is: "unknown", what: written.uses.name };
  }
  return inScript(step.commands, folder, written.folder);
}

/** A script that takes the code itself runs it below that line. */
function byHandIn(
  step: AuditedStep,
  taken: Taken | undefined,
): { is: Answer; what: string } | undefined {
  if (!taken || step.step.run === "") return undefined;
  const at = step.commands.findIndex((command) => fetches(step, command));
  return at < 0 ? undefined : inScript(step.commands.slice(at + 1), "", step.step.folder);
}

function inScript(
  commands: readonly Command[],
  folder: string,
  where: string,
): { is: Answer; what: string } {
  let inside = folder !== "" && where.split("/").includes(folder);
  let open: string | undefined;
  for (const command of commands) {
    const { words } = command;
    if (words[0] === "cd" && folder !== "")
      inside = words.slice(1).some((word) => word.split("/").includes(folder));
    const is = runsThere(command, folder, inside);
    const what = `"${words.slice(0, 3).join(" ").slice(0, 60)}"`;
    if (is === "yes") return { is, what };
    if (is === "unknown") open ??= what;
  }
  return open === undefined ? { is: "no", what: "" } : { is: "unknown", what: open };
}

/** A flake of his that is built where it lies, without a checkout. */
function directly(step: AuditedStep): string | undefined {
  if (step.known?.role === "ours") {
    const stranger = step.input("targets").stranger;
    return stranger === "commit" || stranger === "repository" ? "this action's targets" : undefined;
  }
  for (const command of step.commands) {
    const use = nixUse(command);
    if (use === undefined || use === "other") continue;
    for (const word of command.words.slice(1)) {
      if (!word.includes("$")) continue;
      const { stranger } = step.word(word);
      const pull = /pull\//.test(word) && stranger === "number";
      if (pull || stranger === "commit" || stranger === "repository") {
        return `"${command.words.slice(0, 2).join(" ")}" of his own flake`;
      }
    }
  }
  return undefined;
}
