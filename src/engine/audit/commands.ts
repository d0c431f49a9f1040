/** The commands that an audit knows: what they run in turn, and which of them use Nix, read a cache, push or log in. Pure. */

import { type Command, readScript } from "./script.ts";

const MEMO = new Map<string, readonly Command[]>();
const MEMO_MOST = 4_000;

/** The commands of a script, and those that they run in turn. */
export function commandsOf(script: string): readonly Command[] {
  const before = MEMO.get(script);
  if (before) return before;
  const commands = readScript(script).flatMap((command) => unwrapped(command, 0));
  if (MEMO.size > MEMO_MOST) MEMO.clear();
  MEMO.set(script, commands);
  return commands;
}

/** Programs that run another one: how many options of theirs take a word is counted by their letters. */
const RUNNERS: Readonly<Record<string, string>> = {
  sudo: "uUgphCDR",
  env: "uCS",
  nice: "n",
  timeout: "sk",
  xargs: "IdnPLsa",
  command: "",
  exec: "a",
  nohup: "",
  stdbuf: "ioe",
  retry: "",
  unbuffer: "",
};
const NESTED_MOST = 4;

/** The command itself, and the commands that it is told to run. */
function unwrapped(command: Command, depth: number): Command[] {
  const inner = runner(command);
  if (inner) return depth < NESTED_MOST ? unwrapped(inner, depth + 1) : [command];
  const told = depth < NESTED_MOST ? toldTo(command) : [];
  return [command, ...told];
}

/** `sudo -E nix build` is `nix build`. */
function runner(command: Command): Command | undefined {
  const [program = ""] = command.words;
  const options = Object.hasOwn(RUNNERS, program) ? RUNNERS[program] : undefined;
  if (options === undefined) return undefined;
  const assigned = [...command.assigned];
  let at = 1;
  for (; at < command.words.length; at++) {
    const word = command.words[at] ?? "";
    if (/^[A-Za-z_]\w*=/.test(word)) assigned.push(word);
    else if (word.startsWith("-"))
      at += word.length === 2 && options.includes(word.charAt(1)) ? 1 : 0;
    else if (program === "timeout" && /^\d+[smhd]?$/.test(word)) continue;
    else break;
  }
  const words = command.words.slice(at);
  return words.length === 0 ? undefined : { ...command, words, assigned };
}

function toldTo(command: Command): Command[] {
  const { words } = command;
  const [program = "", verb = ""] = words;
  const at = words.findIndex((word) =>
    program === "nix" && /^(?:develop|shell)$/.test(verb)
      ? /^(?:-c|--command)$/.test(word)
      : program === "nix-shell"
        ? /^--(?:run|command)$/.test(word)
        : /^(?:bash|sh|zsh|dash)$/.test(program) && /^-[a-z]*c$/.test(word),
  );
  if (at < 0) {
    // `nix run nixpkgs#attic-client -- push …`, with or without the dashes.
    const isFlake = (word: string) => /#|^(?:github|gitlab|git\+[a-z]+):/.test(word);
    const flake = program === "nix" && verb === "run" ? words.findIndex(isFlake) : -1;
    const name = words[flake]
      ?.split(/[#./:]/)
      .at(-1)
      ?.replace(/-(?:client|cli)$/, "");
    if (flake > 0 && name !== undefined) {
      const rest = words.slice(flake + 1);
      return inner(command, [name, ...(rest[0] === "--" ? rest.slice(1) : rest)]);
    }
    if (program === "devenv" && verb === "shell" && words.length > 2)
      return inner(command, words.slice(2));
    if (program === "direnv" && verb === "exec") return inner(command, words.slice(3));
    return [];
  }
  const rest = words.slice(at + 1);
  if (program !== "nix") return script(command, rest[0] ?? "");
  return inner(command, rest);
}

function inner(command: Command, words: readonly string[]): Command[] {
  const within = [...command.within, command.words.slice(0, 2).join(" ")];
  return unwrapped({ ...command, words, within }, within.length);
}

function script(command: Command, text: string): Command[] {
  const shell = /^(?:bash|sh|zsh|dash)$/.test(command.words[0] ?? "");
  const within = shell ? command.within : [...command.within, command.words[0] ?? ""];
  return readScript(text).flatMap((one) =>
    unwrapped({ ...one, within, failure: command.failure }, within.length + 1),
  );
}

const VERBS_THAT_BUILD = new Set([
  "build",
  "develop",
  "run",
  "shell",
  "flake",
  "bundle",
  "print-dev-env",
]);
const BUILDERS = new Set(
  "nix-build nix-fast-build nixos-rebuild darwin-rebuild home-manager nom nom-build devour-flake nix-build-uncached".split(
    " ",
  ),
);

/** `nix --option x y build` is `build`; the rest are its words. */
export function nixVerb({
  words,
}: Command): { readonly verb: string; readonly rest: readonly string[] } | undefined {
  if (words[0] !== "nix") return undefined;
  let at = 1;
  for (; at < words.length && words[at]?.startsWith("-"); at++) {
    const word = words[at] ?? "";
    if (word === "--option") at += 2;
    else if (
      /^--(?:extra-)?(?:experimental-features|substituters|trusted-public-keys|access-tokens)$|^--(?:max-jobs|cores|log-format|store)$|^-j$/.test(
        word,
      )
    )
      at++;
  }
  return { verb: words[at] ?? "", rest: words.slice(at + 1) };
}

/** What of Nix a command uses. `fetches`: only what nixpkgs, or somebody else's flake, has. */
export function nixUse(command: Command): "builds" | "evaluates" | "fetches" | "other" | undefined {
  const [program = ""] = command.words;
  if (BUILDERS.has(program)) {
    const only =
      program === "home-manager" || program === "nom" ? /^(?:build|switch|develop|shell)$/ : /./;
    return command.words.slice(1).some((word) => only.test(word)) || program !== "home-manager"
      ? "builds"
      : "other";
  }
  if (program === "nix-shell")
    return command.words.some((word) => /^(?:-p|--packages)$/.test(word)) ? "fetches" : "builds";
  if (program === "nix-instantiate" || program === "nix-eval-jobs") return "evaluates";
  if (program === "devenv")
    return /^(?:build|test|shell|ci|up|tasks)$/.test(command.words[1] ?? "") ? "builds" : "other";
  if (program === "nix-store" || program === "nix-env") return "other";
  const nix = nixVerb(command);
  if (!nix) return undefined;
  if (
    nix.verb === "eval" ||
    (nix.verb === "flake" && /^(?:show|metadata)$/.test(nix.rest[0] ?? ""))
  )
    return "evaluates";
  if (!VERBS_THAT_BUILD.has(nix.verb) || (nix.verb === "flake" && nix.rest[0] !== "check"))
    return "other";
  const end = nix.rest.findIndex((word) => /^(?:--|-c|--command)$/.test(word));
  const own = (end < 0 ? nix.rest : nix.rest.slice(0, end)).filter((word) => !word.startsWith("-"));
  const elsewhere = (word: string) =>
    /^(?:nixpkgs|github:[^$]+|gitlab:[^$]+|flake:nixpkgs|https:[^$]+)(?:\/[^#$]*)?#/.test(word);
  return own.length > 0 && own.every(elsewhere) ? "fetches" : "builds";
}

/** `cachix push`, `attic push`, `nix copy --to`: what writes to a binary cache. */
export function pushOf({ words }: Command): string | undefined {
  const [program = "", verb = ""] = words;
  switch (program) {
    case "cachix":
      return /^(?:push|watch-exec|watch-store|pin)$/.test(verb) ? `cachix ${verb}` : undefined;
    case "attic":
      return /^(?:push|watch-store)$/.test(verb) ? `attic ${verb}` : undefined;
    case "niks3":
      return verb === "push" ? "niks3 push" : undefined;
    case "nix-fast-build":
      return words.some((word) =>
        /^--(?:cachix-cache|attic-cache|niks3-server|copy-to)(?:=|$)/.test(word),
      )
        ? "nix-fast-build"
        : undefined;
    case "nix": {
      const to = words.findIndex((word) => /^--to(?:=|$)/.test(word));
      const target = words[to]?.includes("=") ? words[to] : words[to + 1];
      // Over SSH a machine is given what it shall run.
      const isCache =
        to > 0 &&
        words.includes("copy") &&
        !/^(?:--to=)?(?:ssh|ssh-ng|daemon|local)\b/.test(target ?? "");
      return isCache ? "nix copy --to" : undefined;
    }
    default:
      return undefined;
  }
}

/** The variable that a command reads its token from, where there is one. */
export function tokenVariable(tool: string, { words }: Command): string | undefined {
  if (tool.startsWith("cachix") || words.some((word) => word.startsWith("--cachix-cache")))
    return "CACHIX_AUTH_TOKEN";
  if (tool === "nix copy --to" && words.some((word) => /^(?:--to=)?s3:/.test(word)))
    return "AWS_ACCESS_KEY_ID";
  return undefined;
}

/** What gives later commands a cache's token. */
export function logsIn({ words }: Command): boolean {
  const [program, verb] = words;
  return (
    (program === "attic" && verb === "login") ||
    (program === "cachix" && verb === "authtoken") ||
    (program === "niks3" && verb === "auth")
  );
}

/** What has later commands, or itself, read a cache. */
export function readsCache({ words }: Command): boolean {
  const [program, verb] = words;
  return verb === "use" && (program === "attic" || program === "cachix");
}

const INSTALLERS =
  /nixos\.org\/nix\/|install\.determinate\.systems|install\.lix\.systems|nix-installer|lix-installer/;

/** A program that installs Nix: `piped` straight from the network, in whatever version is there today. */
export function installsNix({
  words,
  pipedInto,
}: Command): { readonly url: string | undefined } | undefined {
  const [program = "", verb] = words;
  if (/^(?:apt|apt-get|apk|dnf|pacman|brew|zypper)$/.test(program)) {
    return words.some((word) => /^(?:nix|nix-bin|lix)$/.test(word))
      ? { url: undefined }
      : undefined;
  }
  const url = words.find((word) => INSTALLERS.test(word));
  if (url === undefined)
    return program === "nix-quick-install" || verb === "nix-quick-install"
      ? { url: undefined }
      : undefined;
  const fetched = /^(?:curl|wget|fetch)$/.test(program) || pipedInto !== undefined;
  return {
    url:
      fetched && /^https?:/.test(url) && !/\d+\.\d+|\/(?:tag|rev)\/|[0-9a-f]{40}|\$/.test(url)
        ? url
        : undefined,
  };
}

/** A script or a recipe of the project's own, which is not read here. */
export function runsOwnScript({ words }: Command): boolean {
  const [program = "", first = ""] = words;
  if (/^(?:ba|z|da)?sh$|^(?:source|\.|python3?)$/.test(program))
    return /\.(?:sh|bash|py)$|^\.?\//.test(first);
  return /^\.{0,2}\/(?!nix\/store)|^[\w.-]+\/.*\w$|\.(?:sh|bash|py)$|^(?:make|just|task|mise)$/.test(
    program,
  );
}
