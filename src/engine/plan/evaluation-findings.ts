/** Says which targets were not evaluated, and what to do about it. Pure. */

import { type ErrorCode, isFullDisk } from "../../domain/errors.ts";
import type { Finding } from "../../domain/finding.ts";
import type { FailOn } from "../../domain/job.ts";
import { count } from "../../domain/size.ts";
import { shortName } from "../../domain/target.ts";
import type { Survey } from "../survey.ts";

/** A new file that was not `git add`ed, in the words of Nix 2.8 and of later ones. */
const UNTRACKED =
  /getting status of '[^']*-source\/[^']*': No such file|-source\/[^']*' does not exist|not tracked by Git/;

/** Where Nix found it, in a file of the flake: of what is in the store, behind the source's own name. */
const PLACE = /\bat \S*?\/[0-9a-z]{32}-source\/([^\s:]+):(\d+)(?::\d+)?/;

/** One for each place in a file: what stands there, every target that reads it meets. A wrong name is each target's own. */
export function evaluationFindings(
  survey: Survey,
  levelOf: (kind: FailOn) => Finding["level"],
): Finding[] {
  const failed = survey.targets.filter(({ verdict }) => verdict.kind === "failed");
  const groups = Map.groupBy(failed, ({ verdict }) => {
    if (verdict.kind !== "failed") return "";
    const place = PLACE.exec(verdict.message);
    return place ? `${place[1]}:${place[2]}` : [verdict.message, ...verdict.nearest].join(" ");
  });
  return [...groups].flatMap(([like, [first, ...rest]]): Finding[] => {
    if (first?.verdict.kind !== "failed") return [];
    const { message } = first.verdict;
    const names = [first, ...rest].map(({ name }) => name);
    const short = shortName(first.name, survey.system);
    const common = { cause: `eval ${like}`, names };
    if (isFullDisk(message)) {
      return [
        {
          ...common,
          kind: "disk",
          level: levelOf("disk"),
          code: "NCP-410",
          title: `the disk was full, ${count(names.length, "target")} could not be evaluated`,
          message: `${first.name} was not evaluated: the disk was full: ${message}`,
          hint: "an evaluation writes into the store and into Nix's cache in the home folder: free disk space there",
        },
      ];
    }
    const place = PLACE.exec(message);
    // A title begins with a capital, where it begins with a word: a name is none.
    const called = /^[a-z]+( |$)/.test(short) ? `"${short}"` : short;
    const many = rest.length === 0 ? " does" : ` and ${count(rest.length, "more target")} do`;
    const { code, hint = builtOf(first.name, message) } = adviceOn(
      first.name,
      first.verdict,
      survey.flake,
    );
    return [
      {
        ...common,
        kind: "eval",
        level: levelOf("eval"),
        code,
        title:
          rest.length === 0
            ? `${called} does not evaluate`
            : `${names.length} targets do not evaluate`,
        message: `${first.name}${many} not evaluate: ${message}`,
        ...(hint === undefined ? {} : { hint }),
        ...(place?.[1] === undefined ? {} : { place: { file: place[1], line: Number(place[2]) } }),
      },
    ];
  });
}

/** What is built of a configuration, which itself is no derivation. */
const BUILT_OF: Readonly<Record<string, string>> = {
  nixosConfigurations: "config.system.build.toplevel",
  darwinConfigurations: "system",
  homeConfigurations: "activationPackage",
};

function builtOf(name: string, message: string): string | undefined {
  const set = /#(\w+Configurations)\.("[^"]*"|[^."]+)$/.exec(name)?.[1] ?? "";
  const built = BUILT_OF[set];
  if (built === undefined || !message.includes("derivation")) return undefined;
  return `name what is built of it: ${name}.${built}`;
}

interface Advice {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
}

/** GitHub's words, as Nix hands them on with the answer; other hosts say it by the status alone. */
const LIMITED = /API rate limit exceeded|secondary rate limit|HTTP error 429\b/i;
/** GitHub and GitLab call a repository that one may not see absent. */
const REFUSED =
  /unable to download '(?:[a-z+]+:\/\/)(?:[^'/]*@)?([^'/:]+)[^']*': HTTP error (?:401|403)\b|unable to download 'https:\/\/((?:api\.)?github\.com|codeload\.github\.com|[^'/]*gitlab[^'/]*|[^'/]+(?=\/api\/v4\/projects\/))\/[^']*': HTTP error 404\b/i;
/** What git and ssh say, who are asked for inputs by `git+https:` and `git+ssh:`. */
const NO_LOGIN =
  /could not read (?:Username|Password) for|Authentication failed for|Permission denied \(publickey|Host key verification failed|remote: Repository not found|The requested URL returned error: 40[13]/i;

/** The registry of flakes, where a word is looked up that no machine nearer by knows. */
const NO_REGISTRY = /unable to download '[^']*flake-registry[^']*'/;

function adviceOn(
  name: string,
  { message, nearest }: { message: string; nearest: readonly string[] },
  flake: Survey["flake"],
): Advice {
  if (message.startsWith("there is no flake")) return { code: "NCP-204", hint: undefined };
  if (nearest.length > 0) {
    return { code: "NCP-205", hint: `did you mean ${nearest.join(" or ")}?` };
  }
  const [, id] = /cannot find flake 'flake:([\w-]+)' in the flake registries/.exec(message) ?? [];
  if (id !== undefined) return { code: "NCP-205", hint: outputHere(id, flake) };
  if (/rate limit exceeded for (?:user|installation) ID/i.test(message)) {
    return {
      code: "NCP-135",
      hint: "what GitHub answers this token in an hour is used up: have the inputs pushed to a cache (push-inputs), or give Nix another token (docs/private-inputs.md)",
    };
  }
  if (LIMITED.test(message)) {
    return {
      code: "NCP-135",
      hint: "without a token GitHub answers 60 requests an hour for all who share an address: give Nix the job's own, access-tokens = github.com=TOKEN in NIX_CONFIG (docs/private-inputs.md)",
    };
  }
  if (/"Bad credentials"/.test(message)) {
    const hint =
      "GitHub does not know the token that Nix has for it, or no more: replace it in access-tokens; a public input needs none (docs/private-inputs.md)";
    return { code: "NCP-137", hint };
  }
  const refused = REFUSED.exec(message);
  if (refused) {
    const host = (refused[1] ?? refused[2] ?? "").replace(/^(?:api|codeload)\./, "");
    // Of what is not called one or the other, Nix sends GitLab nothing.
    const token = /\/api\/v4\/projects\//.test(message) ? "PAT:TOKEN (or OAuth2:TOKEN)" : "TOKEN";
    return {
      code: "NCP-137",
      hint: `where it is private, Nix needs a token: access-tokens = ${host}=${token} for an input by github:, gitlab: or sourcehut:, else an entry for ${host} in the netrc file (docs/private-inputs.md)`,
    };
  }
  if (NO_LOGIN.test(message)) {
    return {
      code: "NCP-137",
      hint: "git has to be able to fetch it before this step: a key in ssh-agent and the host in known_hosts, or a token in git's global configuration (docs/private-inputs.md)",
    };
  }
  if (/dubious ownership|not owned by current user/.test(message)) {
    return { code: "NCP-205", hint: OTHER_OWNER };
  }
  // What Nix 2.8 asks of git, git answers in a checkout of somebody else's with how it is used.
  if (message.includes("Not a git repository")) {
    return { code: "NCP-205", hint: `git sees no repository here, as where ${OTHER_OWNER}` };
  }
  if (NO_REGISTRY.test(message) && /^[\w-]+$/.test(name)) {
    return { code: "NCP-205", hint: outputHere(name, flake) };
  }
  return { code: "NCP-205", hint: UNTRACKED.test(message) ? ADD_IT : undefined };
}

function outputHere(name: string, flake: Survey["flake"]): string {
  if (flake === "absent")
    return `where there is no flake, name the file, too: ${name} file=default.nix`;
  return `an output of the flake here begins with .#: write .#${name}`;
}

const ADD_IT =
  "of a git repository Nix sees only the files that git knows: git add it; those of a submodule it sees where the target says .?submodules=1#NAME";
const OTHER_OWNER =
  'the checkout belongs to another user than the one of this step, as in a container: git config --global --add safe.directory "$GITHUB_WORKSPACE", in a step before this one';
