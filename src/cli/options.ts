/** The commands and options of the command line, in words: help, man page and completion are made of it. */

import type { InputName } from "../action/inputs.ts";
import { MODES } from "../domain/job.ts";

/** Inputs that make no sense away from a runner, or are said in another way. */
type NoOption =
  | "targets"
  | "mode"
  | "token"
  | "signing-key"
  | "install-nix"
  | "nix-version"
  | "nix-sha256"
  | "summary"
  | "check-runs"
  | "check-runs-token";

export type OptionName = Exclude<InputName, NoOption>;

export type Group = "Caches" | "Cache key" | "Evaluation" | "Limits" | "Running" | "Output";

export interface OptionFacts {
  readonly group: Group;
  /** What stands for its value; without one it takes none. */
  readonly takes?: string;
  /** Few words: two options stand side by side in 80 columns. */
  readonly means: string;
  /** Its values, and what each does. */
  readonly values: readonly string[];
  /** What a second one is: one more, or a contradiction. */
  readonly again: "adds up" | "is refused";
}

/** The inputs that are options, named as in action.yml; each is explained, or it does not compile. */
export const INPUT_OPTIONS: Readonly<Record<OptionName, OptionFacts>> = {
  cache: {
    group: "Caches",
    takes: "URL",
    means: "push to this cache",
    values: [
      "cachix:NAME, attic:SERVER/CACHE, s3://…, http(s)://…, file:///…, ssh-ng://…, or none",
      "without a token or key for it, it is only read from",
    ],
    again: "is refused",
  },
  substituters: {
    group: "Caches",
    takes: "URL",
    means: "also read from",
    values: [
      "'URL [PUBLIC-KEY…]': a binary cache to read from, besides those that Nix is configured with",
    ],
    again: "adds up",
  },
  push: {
    group: "Caches",
    takes: "WHAT",
    means: "what to push",
    values: [
      "auto     all that is built and that no binary cache has",
      "targets  the targets' closures alone",
      "off      nothing",
    ],
    again: "is refused",
  },
  "push-filter": {
    group: "Caches",
    takes: "RE",
    means: "names not to push",
    values: [
      "a regular expression: store paths with such a name are not pushed, unless a pushed one refers to them",
    ],
    again: "is refused",
  },
  "push-max": {
    group: "Caches",
    takes: "SIZE",
    means: "no path above it",
    values: ["a size, such as 1GB: a larger store path is not pushed, nor what refers to it"],
    again: "is refused",
  },
  "push-inputs": {
    group: "Caches",
    takes: "X",
    means: "inputs to push",
    values: [
      "auto  push the sources of the flake's inputs that everybody can read, where no cache has them",
      "all   push them all",
      "off   push none",
    ],
    again: "is refused",
  },
  verify: {
    group: "Caches",
    takes: "HOW",
    means: "check after a push",
    values: [
      "narinfo  the cache has its narinfo, as it was pushed",
      "nar      and its NAR can be downloaded",
      "full     and its NAR is downloaded and has the right hash",
    ],
    again: "is refused",
  },
  pin: {
    group: "Caches",
    takes: "HOW",
    means: "pin after a push",
    values: ["auto  pin each target that was pushed and verified", "off   pin nothing"],
    again: "is refused",
  },
  "pin-keep": {
    group: "Caches",
    takes: "HOW",
    means: "how long pins last",
    values: ["forever, days:N or revisions:N"],
    again: "is refused",
  },
  "on-push-failure": {
    group: "Caches",
    takes: "X",
    means: "if a push fails",
    values: [
      "error   a push that failed is an error: exit status 1",
      "warn    it is a warning",
      "ignore  it is not told",
    ],
    again: "is refused",
  },
  "key-files": {
    group: "Cache key",
    takes: "GLOBS",
    means: "files to hash",
    values: ["names or patterns, as hashFiles has them, hashed in this order"],
    again: "adds up",
  },
  "key-prefix": {
    group: "Cache key",
    takes: "TEXT",
    means: "the key's beginning",
    values: ["up to 128 characters, without commas and white space"],
    again: "is refused",
  },
  "key-suffix": {
    group: "Cache key",
    takes: "TEXT",
    means: "the key's end",
    values: ["a further part of the key"],
    again: "adds up",
  },
  "working-directory": {
    group: "Evaluation",
    takes: "D",
    means: "the flake's folder",
    values: ["a folder below this one"],
    again: "is refused",
  },
  "reuse-evaluation": {
    group: "Evaluation",
    takes: "X",
    means: "auto or off",
    values: [
      "auto  what was evaluated of the same commit is not evaluated again",
      "off   evaluate",
    ],
    again: "is refused",
  },
  "fail-on": {
    group: "Limits",
    takes: "LIST",
    means: "findings that exit 1",
    values: [
      "any of disk, eval, missing, heavy, unverified, audit; or none",
      "a security problem that audit finds exits 1, unless it is none",
    ],
    again: "adds up",
  },
  heavy: {
    group: "Limits",
    takes: "LIST",
    means: "warn: '>1GB', '>10m'",
    values: ["what is not to be built from source unnoticed: names with *, sizes, times"],
    again: "adds up",
  },
  "min-free": {
    group: "Limits",
    takes: "SIZE",
    means: "disk space to leave",
    values: ["a size, such as 2GB: so much stays free"],
    again: "is refused",
  },
  reclaim: {
    group: "Limits",
    takes: "HOW",
    means: "free space if short",
    values: ["auto  collect garbage in the store, only as much as is short", "off   free nothing"],
    again: "is refused",
  },
  quota: {
    group: "Limits",
    takes: "SIZE",
    means: "size of your cache",
    values: ["a size, such as 5GB: audit compares it with what the pinned closures take"],
    again: "is refused",
  },
  trust: {
    group: "Running",
    takes: "HOW",
    means: "read-only: no push",
    values: ["auto       push, where there is a token or key", "read-only  never push"],
    again: "is refused",
  },
  force: {
    group: "Running",
    means: "ignore past results",
    values: ["look, build, upload and verify again, whatever an earlier run has found"],
    again: "is refused",
  },
  "pass-env": {
    group: "Running",
    takes: "NAMES",
    means: "variables passed on",
    values: [
      "names of environment variables that builds or fetches need, besides those that Nix reads",
    ],
    again: "adds up",
  },
};

/** Options that are no inputs. */
export const FLAGS = [
  "json",
  "quiet",
  "verbose",
  "files-only",
  "remove",
  "version",
  "help",
] as const;
export type FlagName = (typeof FLAGS)[number];

export const FLAG_FACTS: Readonly<Record<FlagName, OptionFacts>> = {
  json: {
    group: "Output",
    means: "report on stdout",
    values: ["the report as one JSON document on standard output"],
    again: "adds up",
  },
  quiet: {
    group: "Output",
    means: "errors, and result",
    values: ["no progress and no tables: errors, warnings and the result"],
    again: "adds up",
  },
  verbose: {
    group: "Output",
    means: "requests, commands",
    values: ["every request and every command of Nix, on standard error"],
    again: "adds up",
  },
  "files-only": {
    group: "Output",
    means: "audit without Nix",
    values: ["audit: look at the project's files alone; nothing is evaluated, no cache is asked"],
    again: "adds up",
  },
  remove: {
    group: "Output",
    means: "undo setup",
    values: ["setup: take back all that setup added"],
    again: "adds up",
  },
  version: {
    group: "Output",
    means: "print the version",
    values: ["print the version, and do nothing else"],
    again: "adds up",
  },
  help: {
    group: "Output",
    takes: "[OPTION]",
    means: "values and defaults",
    values: ["the options on one screen; with an option or a command behind it, what that does"],
    again: "adds up",
  },
};

export const OPTIONS = Object.keys(INPUT_OPTIONS) as OptionName[];
export const OTHER_COMMANDS = ["why", "setup", "completion"] as const;
export type CommandName = (typeof MODES)[number] | (typeof OTHER_COMMANDS)[number];
export const COMMANDS: readonly CommandName[] = [...MODES, ...OTHER_COMMANDS];
