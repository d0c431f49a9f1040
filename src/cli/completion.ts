/** Completion for shells: commands, options, their values; targets are Nix's own to complete. Pure. */

import { CHOICES } from "../action/inputs.ts";
import { MODES } from "../domain/job.ts";
import {
  COMMANDS,
  FLAG_FACTS,
  FLAGS,
  INPUT_OPTIONS,
  OPTIONS,
  type OptionFacts,
} from "./options.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

const NAME = "nix-cache-preflight";

export function completionScript(shell: Shell): string {
  switch (shell) {
    case "bash":
      return bash();
    case "zsh":
      return zsh();
    case "fish":
      return fish();
    default:
      return shell satisfies never;
  }
}

/** Options with few legal values, and those. */
const VALUES = Object.entries(CHOICES).filter(([name]) => name !== "mode" && name !== "force");
const LEGAL: ReadonlyMap<string, string> = new Map(
  VALUES.map(([name, words]) => [name, words.join(" ")]),
);
const ALL: readonly (readonly [string, OptionFacts])[] = [
  ...OPTIONS.map((name) => [name, INPUT_OPTIONS[name]] as const),
  ...FLAGS.map((name) => [name, FLAG_FACTS[name]] as const),
];
const takesValue = ([name, { takes }]: (typeof ALL)[number]) =>
  takes !== undefined && name !== "help";

/** Nix completes installables when it is asked so; the first line says what kind they are. */
const ASK_NIX = "nix --extra-experimental-features 'nix-command flakes' build";

function bash(): string {
  const values = VALUES.map(([name, legal]) => `    --${name}) words="${legal.join(" ")}" ;;`);
  const bare = ALL.filter((one) => !takesValue(one)).map(([name]) => `--${name}`);
  return `# bash completion for ${NAME}: eval "$(${NAME} completion bash)"
_nix_cache_preflight() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words=
  case $prev in
${values.join("\n")}
    completion) words="${SHELLS.join(" ")}" ;;
    --*) case $prev in ${bare.join("|")}) ;; *) return ;; esac ;;
  esac
  if [ -z "$words" ]; then
    if [ "$COMP_CWORD" -eq 1 ]; then words="${COMMANDS.join(" ")}"
    elif [ "\${cur#-}" != "$cur" ]; then words="${ALL.map(([name]) => `--${name}`).join(" ")}"
    else words=$(NIX_GET_COMPLETIONS=6 ${ASK_NIX} "$cur" 2> /dev/null | tail -n +2 | cut -f 1)
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _nix_cache_preflight ${NAME}
`;
}

function zsh(): string {
  const specs = ALL.map((one) => {
    const [name, { again, means }] = one;
    // In a string of the shell, within one that _arguments reads.
    const said = `[${means.replaceAll("'", "'\\''")}]`;
    const value = takesValue(one) ? `:value:(${LEGAL.get(name) ?? ""})` : "";
    return `    '${again === "adds up" ? "*" : ""}--${name}${said}${value.replace("()", "")}'`;
  });
  return `#compdef ${NAME}
# zsh completion for ${NAME}: eval "$(${NAME} completion zsh)"
_nix_cache_preflight_targets() {
  local -a found
  found=(\${(f)"$(NIX_GET_COMPLETIONS=6 ${ASK_NIX} "$words[CURRENT]" 2> /dev/null | tail -n +2 | cut -f 1)"})
  compadd -- $found
}
_nix_cache_preflight_rest() {
  if [[ $words[2] == completion ]]; then compadd -- ${SHELLS.join(" ")}
  else _nix_cache_preflight_targets
  fi
}
_nix_cache_preflight() {
  _arguments -S \\
    '1:command:(${COMMANDS.join(" ")})' \\
    '*:target:_nix_cache_preflight_rest' \\
${specs.join(" \\\n")}
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _nix_cache_preflight "$@"
else compdef _nix_cache_preflight ${NAME}
fi
`;
}

function fish(): string {
  const lines = ALL.map((one) => {
    const [name, { means }] = one;
    const legal = LEGAL.get(name);
    const value = takesValue(one) ? ` -x${legal === undefined ? "" : ` -a "${legal}"`}` : "";
    return `complete -c ${NAME} -l ${name} -d "${means}"${value}`;
  });
  return `# fish completion for ${NAME}: ${NAME} completion fish | source
complete -c ${NAME} -f
complete -c ${NAME} -n __fish_use_subcommand -a "${COMMANDS.join(" ")}"
complete -c ${NAME} -n "__fish_seen_subcommand_from completion" -a "${SHELLS.join(" ")}"
complete -c ${NAME} -n "__fish_seen_subcommand_from ${MODES.join(" ")}" -a "(NIX_GET_COMPLETIONS=6 ${ASK_NIX} (commandline -ct) 2> /dev/null | tail -n +2 | cut -f 1)"
${lines.join("\n")}
`;
}
