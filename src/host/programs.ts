/** The system's programs: the folders they are looked for in, and what to install where one is missing. */

import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { UserError } from "../domain/errors.ts";
import { type ExecOptions, type ExecResult, exec } from "./exec.ts";

type Environment = Readonly<Record<string, string>>;

/** As execvp searches for a process that has no PATH. */
const NO_PATH = ["/usr/local/bin", "/usr/bin", "/bin"];

/**
 * PATH, and behind it the folders where Nix, NixOS and Homebrew put programs, as far as they are there. A
 * runner that is a service has a PATH of its own, which often lacks them; what PATH finds stays first.
 */
export function searchPath(
  environment: Environment,
  exists: (folder: string) => boolean = existsSync,
): string {
  const given = (environment["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const begin = given.length > 0 ? given : NO_PATH;
  const more = usualFolders(environment).filter((one) => !begin.includes(one) && exists(one));
  return [...begin, ...more].join(delimiter);
}

function usualFolders({ HOME, USER, LOGNAME }: Environment): string[] {
  if (process.platform === "win32") return [];
  const user = USER || LOGNAME;
  return [
    "/nix/var/nix/profiles/default/bin",
    ...(HOME ? [join(HOME, ".nix-profile/bin"), join(HOME, ".local/state/nix/profile/bin")] : []),
    // NixOS: sudo is a wrapper, since nothing in the store is setuid.
    "/run/wrappers/bin",
    ...(user ? [join("/etc/profiles/per-user", user, "bin")] : []),
    "/run/current-system/sw/bin",
    "/opt/homebrew/bin",
    "/usr/local/bin",
    "/home/linuxbrew/.linuxbrew/bin",
  ];
}

/** The first of the folders that has such a file. */
export function folderOf(program: string, path: string): string | undefined {
  return path.split(delimiter).find((folder) => folder !== "" && existsSync(join(folder, program)));
}

export type Program = "xz" | "bzip2" | "GNU tar";

/** Package managers by a file that each has, and how each is told to install. */
const MANAGERS: readonly (readonly [string, string])[] = [
  ["/etc/NIXOS", "add to the runner's packages (services.github-runners.NAME.extraPackages) pkgs."],
  ["/sbin/apk", "apk add "],
  ["/usr/bin/apt-get", "apt-get install -y "],
  ["/usr/bin/dnf", "dnf install -y "],
  ["/usr/bin/microdnf", "microdnf install -y "],
  ["/usr/bin/zypper", "zypper install -y "],
  ["/usr/bin/pacman", "pacman -S --noconfirm "],
  ["/opt/homebrew/bin/brew", "brew install "],
  ["/usr/local/bin/brew", "brew install "],
];

/** How this machine comes by it: "apk add xz". */
export function howToInstall(
  program: Program,
  exists: (file: string) => boolean = existsSync,
): string {
  const begin = MANAGERS.find(([file]) => exists(file))?.[1] ?? "nix profile install nixpkgs#";
  if (program === "xz") return `${begin}${begin.startsWith("apt-get") ? "xz-utils" : "xz"}`;
  if (program === "bzip2") return `${begin}bzip2`;
  if (begin.startsWith("brew")) return `${begin}gnu-tar`;
  return `${begin}${/pkgs[.#]$/.test(begin) ? "gnutar" : "tar"}`;
}

export function missingProgram(program: Program, what: string): UserError {
  return new UserError("NCP-356", `${what} needs ${program}, which this machine lacks`, {
    hint: howToInstall(program),
  });
}

const DEADLINE = 10_000;

/** GNU's tar, by either name; BusyBox's and others' do not take all that GitHub's cache client asks of it. */
export async function findGnuTar(path: string): Promise<string | undefined> {
  for (const name of ["tar", "gtar"]) {
    for (const folder of new Set(path.split(delimiter))) {
      const file = join(folder, name);
      if (folder !== "" && existsSync(file) && (await isGnu(file, path))) return file;
    }
  }
  return undefined;
}

async function isGnu(file: string, path: string): Promise<boolean> {
  const signal = new AbortController().signal;
  const how = { env: { PATH: path, LC_ALL: "C" }, signal, deadline: DEADLINE };
  // One that cannot be started, or is silent, is none to work with.
  const result = await exec(file, ["--version"], how).catch(() => undefined);
  return result?.code === 0 && result.stdout.includes("GNU tar");
}

/**
 * A folder with `HEAD`, `objects` and `refs` is a repository to git, and whoever writes the checkout can write one into it,
 * with a configuration that names programs. One that has to be named is not found (git 2.38); before that,
 * `core.fsmonitor` is what git would start of its own accord.
 */
const NOTHING_OF_THE_CHECKOUT = "-c safe.bareRepository=explicit -c core.fsmonitor=false".split(
  " ",
);

/** git in a folder that may be a stranger's. */
export function runGit(args: readonly string[], options: ExecOptions): Promise<ExecResult> {
  return exec("git", [...NOTHING_OF_THE_CHECKOUT, ...args], options);
}
