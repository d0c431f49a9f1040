/** Hints that are written for the author of a workflow, in the words of whoever types a command. Pure. */

import { OPTIONS } from "./options.ts";

const TYPED: readonly (readonly [RegExp, string])[] = [
  [
    /put a step that installs (?:it|one) before this one \(uses: [^)]*\)(?:, or set install-nix: true)?/g,
    "install it from https://nixos.org/download",
  ],
  [
    /the checkout belongs to another user than the one of this step, as in a container: (.*)"\$GITHUB_WORKSPACE", in a step before this one/g,
    'the folder belongs to another user: $1"$PWD"',
  ],
  [/\brun this action with mode: (\w+)/g, "run nix-cache-preflight $1"],
  [/ before this step\b/g, ""],
  [/the runner's temporary folder/g, "the folder for temporary files"],
  [/RUNNER_TEMP/g, "TMPDIR"],
  [/\bthe runner's user\b/g, "this user"],
  [/\b(?:this|the) (?:step|job)\b/g, "this command"],
  [/\brun this command on a runner for\b/g, "run it on a machine for"],
  [/\b(?:this|the) runner\b/g, "this machine"],
  [/\bthe workspace\b/g, "this folder"],
];

const INPUTS = new RegExp(`(?<![-\\w])(${OPTIONS.join("|")}): (?=[\\w'"])`, "g");

export function typed(text: string): string {
  const words = TYPED.reduce((said, [from, to]) => said.replace(from, to), text);
  return words.replace(/\bforce: true\b/g, "--force").replace(INPUTS, "--$1 ");
}
