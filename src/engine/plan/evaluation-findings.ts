/** Says which targets were not evaluated, and what to do about it. Pure. */

import { type ErrorCode, isFullDisk } from "../../domain/errors.ts";
import type { Finding } from "../../domain/finding.ts";
import type { FailOn } from "../../domain/job.ts";
import type { Survey } from "../survey.ts";

/** A new file that was not `git add`ed, in the words of Nix 2.8 and of later ones. */
const UNTRACKED =
  /getting status of '[^']*-source\/[^']*': No such file|-source\/[^']*' does not exist|not tracked by Git/;

export function evaluationFindings(
  survey: Survey,
  levelOf: (kind: FailOn) => Finding["level"],
): Finding[] {
  const level = levelOf("eval");
  return survey.targets.flatMap(({ name, verdict }): Finding[] => {
    if (verdict.kind !== "failed") return [];
    if (isFullDisk(verdict.message)) {
      return [
        {
          kind: "disk",
          level: levelOf("disk"),
          code: "NCP-410",
          message: `${name} was not evaluated: the disk was full: ${verdict.message}`,
          hint: "an evaluation writes into the store and into Nix's cache in the home folder: free disk space there",
        },
      ];
    }
    const { code, hint } = adviceOn(verdict);
    return [
      {
        kind: "eval" as const,
        level,
        code,
        message: `${name} does not evaluate: ${verdict.message}`,
        ...(hint === undefined ? {} : { hint }),
      },
    ];
  });
}

interface Advice {
  readonly code: ErrorCode;
  readonly hint: string | undefined;
}

/** GitHub's words, as Nix hands them on with the answer; other hosts say it by the status alone. */
const LIMITED = /API rate limit exceeded|secondary rate limit|HTTP error 429\b/i;
/** GitHub and GitLab call a repository that one may not see absent. */
const REFUSED =
  /unable to download '(?:[a-z+]+:\/\/)(?:[^'/]*@)?([^'/:]+)[^']*': HTTP error (?:401|403)\b|unable to download 'https:\/\/((?:api\.)?github\.com|codeload\.github\.com|[^'/]*gitlab[^'/]*)\/[^']*': HTTP error 404\b/i;
/** What git and ssh say, who are asked for inputs by `git+https:` and `git+ssh:`. */
const NO_LOGIN =
  /could not read (?:Username|Password) for|Authentication failed for|Permission denied \(publickey|Host key verification failed|remote: Repository not found|The requested URL returned error: 40[13]/i;

function adviceOn({ message, nearest }: { message: string; nearest: readonly string[] }): Advice {
  if (message.startsWith("there is no flake")) return { code: "NCP-204", hint: undefined };
  if (nearest.length > 0) {
    return { code: "NCP-205", hint: `did you mean ${nearest.join(" or ")}?` };
  }
  if (LIMITED.test(message)) {
    return {
      code: "NCP-135",
      hint: "without a token GitHub answers 60 questions an hour for all who share an address: give Nix the job's own, access-tokens = github.com=TOKEN in NIX_CONFIG (docs/private-inputs.md)",
    };
  }
  const refused = REFUSED.exec(message);
  if (refused) {
    const host = (refused[1] ?? refused[2] ?? "").replace(/^(?:api|codeload)\./, "");
    return {
      code: "NCP-137",
      hint: `where it is private, Nix needs a token: access-tokens = ${host}=TOKEN for an input by github:, gitlab: or sourcehut:, else an entry for ${host} in the netrc file (docs/private-inputs.md)`,
    };
  }
  if (NO_LOGIN.test(message)) {
    return {
      code: "NCP-137",
      hint: "git has to be able to fetch it before this step: a key in ssh-agent and the host in known_hosts, or a token in git's global configuration (docs/private-inputs.md)",
    };
  }
  return { code: "NCP-205", hint: UNTRACKED.test(message) ? ADD_IT : undefined };
}

const ADD_IT = "of a git repository Nix sees only the files that git knows: git add it";
