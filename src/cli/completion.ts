/** Completion for shells: commands, options, their values; targets are Nix's own to complete. Pure. */

import { CHOICES } from "../action/inputs.ts";
import { MODES } from "../domain/job.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

export interface Words {
  readonly options: readonly string[];
  /** Beside the modes. */
  readonly commands: readonly string[];
}

const NAME = "nix-cache-preflight";

export function completionScript(shell: Shell, words: Words): string {
  switch (shell) {
    case "bash":
      return bash(words);
    case "zsh":
      return zsh(words);
    case "fish":
      return fish(words);
    default:
      return shell satisfies never;
  }
}

/** Options with few legal values, and those; options without a value. */
const VALUES = Object.entries(CHOICES).filter(([name]) => name !== "mode");
export const FLAGS = ["json", "remove", "files-only", "verbose", "help", "version"] as const;

/** Nix completes installables when it is asked so; the first line says what kind they are. */
const ASK_NIX = "nix --extra-experimental-features 'nix-command flakes' build";

function bash({ options, commands }: Words): string {
  const values = VALUES.map(([name, legal]) => `    --${name}) words="${legal.join(" ")}" ;;`);
  return `# bash completion for ${NAME}: eval "$(${NAME} completion bash)"
_nix_cache_preflight() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words=
  case $prev in
${values.join("\n")}
    completion) words="${SHELLS.join(" ")}" ;;
    --*) case $prev in ${FLAGS.map((name) => `--${name}`).join("|")}) ;; *) return ;; esac ;;
  esac
  if [ -z "$words" ]; then
    if [ "$COMP_CWORD" -eq 1 ]; then words="${[...MODES, ...commands].join(" ")}"
    elif [ "\${cur#-}" != "$cur" ]; then words="${[...options, ...FLAGS].map((name) => `--${name}`).join(" ")}"
    else words=$(NIX_GET_COMPLETIONS=6 ${ASK_NIX} "$cur" 2> /dev/null | tail -n +2 | cut -f 1)
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _nix_cache_preflight ${NAME}
`;
}

function zsh({ options, commands }: Words): string {
  const legal = new Map(VALUES.map(([name, words]) => [name, words.join(" ")]));
  const specs = options.map((name) => {
    const values = legal.get(name);
    return `    '--${name}[input ${name}]:value:${values === undefined ? "" : `(${values})`}'`;
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
    '1:command:(${[...MODES, ...commands].join(" ")})' \\
    '*:target:_nix_cache_preflight_rest' \\
    ${FLAGS.map((name) => `'--${name}'`).join(" ")} \\
${specs.join(" \\\n")}
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _nix_cache_preflight "$@"
else compdef _nix_cache_preflight ${NAME}
fi
`;
}

function fish({ options, commands }: Words): string {
  const legal = new Map(VALUES.map(([name, words]) => [name, words.join(" ")]));
  const lines = options.map((name) => {
    const values = legal.get(name);
    return `complete -c ${NAME} -l ${name} -x${values === undefined ? "" : ` -a "${values}"`}`;
  });
  return `# fish completion for ${NAME}: ${NAME} completion fish | source
complete -c ${NAME} -f
complete -c ${NAME} -n __fish_use_subcommand -a "${[...MODES, ...commands].join(" ")}"
complete -c ${NAME} -n "__fish_seen_subcommand_from completion" -a "${SHELLS.join(" ")}"
complete -c ${NAME} -n "__fish_seen_subcommand_from ${MODES.join(" ")}" -a "(NIX_GET_COMPLETIONS=6 ${ASK_NIX} (commandline -ct) 2> /dev/null | tail -n +2 | cut -f 1)"
${FLAGS.map((name) => `complete -c ${NAME} -l ${name}`).join("\n")}
${lines.join("\n")}
`;
}
