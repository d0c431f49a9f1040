/** Hints that are written for the author of a workflow, in the words of whoever types a command. Pure. */

import { CHOICES } from "../action/inputs.ts";
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
  [
    /write each on a line of its own: targets: \|, and below it \.#a and \.#b/g,
    "write each as an argument of its own: .#a .#b",
  ],
  [/write ("[^"]+") on a line of substituters, or /g, "add --substituters $1, or write "],
  // The cache of a job is no machine's.
  [/\bwrite one of github, /g, "write one of "],
  [/\brun this action with mode: (\w+)/g, "run nix-cache-preflight $1"],
  [
    /put the checkout before this step, or say where the flake is: working-directory: FOLDER/g,
    "say where the flake is: --working-directory FOLDER",
  ],
  [
    /put the checkout before this step, which is GITHUB_WORKSPACE, or correct working-directory/g,
    "name one that is there: --working-directory FOLDER",
  ],
  [/\bgive them a job of their own \(the output matrix\), or /g, "give them "],
  [/ before this step\b/g, ""],
  [/the runner's temporary folder/g, "the folder for temporary files"],
  [/RUNNER_TEMP/g, "TMPDIR"],
  [/\bthe runner's user\b/g, "this user"],
  [/\b(?:this|the) (?:step|job)\b/g, "this command"],
  [/\brun this command on a runner for\b/g, "run it on a machine for"],
  [/\b(?:this|the) runner\b/g, "this machine"],
  [/\bthe workspace\b/g, "this folder"],
];

/** An input and a value of it, as a workflow writes them: prose has colons, too. */
const INPUTS = Object.entries(CHOICES)
  .filter(([name]) => (OPTIONS as readonly string[]).includes(name) && name !== "force")
  .map(([name, legal]) => new RegExp(`(?<![-\\w])(${name}): (?=(?:${legal.join("|")})\\b)`, "g"));

export function typed(text: string): string {
  const words = TYPED.reduce((said, [from, to]) => said.replace(from, to), text);
  return INPUTS.reduce(
    (said, input) => said.replace(input, "--$1 "),
    words.replace(/\bforce: true\b/g, "--force"),
  );
}
