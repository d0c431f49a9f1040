/** Nix's settings wherever a workflow writes them: inputs, NIX_CONFIG, nix.conf in scripts, and command lines. Pure. */

import type { CacheConfiguration } from "../../domain/workflow.ts";
import type { AuditedJob } from "./jobs.ts";
import type { Command } from "./script.ts";
import type { AuditedStep } from "./steps.ts";

export type Settings = ReadonlyMap<string, readonly string[]>;

/** Lines of a nix.conf. An expression stands for what is not known, and is left out. */
function settingsIn(text: string): Map<string, string[]> {
  const settings = new Map<string, string[]>();
  for (const line of text
    .slice(0, 1024 * 1024)
    .replaceAll("\\n", "\n")
    .split("\n")) {
    const plain = /(^|\s)#/.test(line) ? line.slice(0, line.search(/(^|\s)#/)) : line;
    const equals = plain.indexOf("=");
    if (equals < 0) continue;
    const name = plain.slice(0, equals).trim();
    if (!/^[a-z][a-z-]*$/.test(name)) continue;
    const words = plain
      .slice(equals + 1)
      .replace(/\$\{\{((?!\}\}).)*\}\}/g, " $ ")
      .split(/\s+/)
      .filter((word) => word !== "");
    settings.set(name, [...(settings.get(name) ?? []), ...words]);
  }
  return settings;
}

/** `trusted-substituters` is what a user may ask for, and is asked by nobody. */
export function configurationOf(where: string, settings: Settings): CacheConfiguration | undefined {
  const words = (name: string) => [
    ...(settings.get(name) ?? []),
    ...(settings.get(`extra-${name}`) ?? []),
  ];
  const plain = (all: readonly string[]) => all.filter((word) => !word.includes("$"));
  const substituters = plain([...words("substituters"), ...(settings.get("binary-caches") ?? [])]);
  const keys = [
    ...words("trusted-public-keys"),
    ...(settings.get("binary-cache-public-keys") ?? []),
  ];
  const publicKeys = plain(keys);
  const signatures = settings.get("require-sigs")?.at(-1);
  const accepts = settings.get("accept-flake-config")?.at(-1);
  if (
    substituters.length + keys.length === 0 &&
    signatures === undefined &&
    accepts === undefined
  ) {
    return undefined;
  }
  return {
    where,
    substituters,
    publicKeys,
    ...(publicKeys.length < keys.length ? { hidden: "keys" } : {}),
    ...(signatures === undefined
      ? {}
      : { signatures: signatures === "false" ? "accept any" : "require" }),
    ...(accepts === undefined ? {} : { flakeConfig: accepts === "true" ? "accepted" : "asked" }),
  };
}

/** Inputs that become lines of nix.conf, by the actions that have them. */
const NIX_CONF_INPUTS = ["extra_nix_config", "extra-conf", "nix_conf", "nix-conf", "extra_conf"];

/** What one step says to Nix, for itself or for those that follow. */
export function settingsOfStep(step: AuditedStep): Map<string, string[]> {
  const all = new Map<string, string[]>();
  const add = (more: Settings) => {
    for (const [name, words] of more) all.set(name, [...(all.get(name) ?? []), ...words]);
  };
  for (const name of NIX_CONF_INPUTS) {
    const value = step.step.inputs.get(name);
    if (value !== undefined) add(settingsIn(step.text(value)));
  }
  for (const name of ["NIX_CONFIG", "NIX_INSTALLER_EXTRA_CONF"]) {
    const given = step.variable(name);
    if (given !== undefined) add(settingsIn(given));
  }
  for (const command of step.commands) {
    // A command says of itself alone what another one says again.
    for (const [name, words] of settingsOfCommand(command)) {
      const before = all.get(name) ?? [];
      all.set(name, [...before, ...words.filter((word) => !before.includes(word))]);
    }
  }
  // What installs Nix by a script may be told so in its options.
  const options = step.step.inputs.get("install_options");
  if (options !== undefined) add(optionsIn(options.split(/\s+/)));
  return all;
}

const CONF_FILE = /nix\.conf$|nix\.custom\.conf$|GITHUB_ENV/;

function settingsOfCommand(command: Command): Settings {
  const { words, writesTo, given, pipedInto, assigned } = command;
  const settings = optionsIn(words);
  const add = (more: Settings) => {
    for (const [name, values] of more)
      settings.set(name, [...(settings.get(name) ?? []), ...values]);
  };
  const target = [
    ...writesTo,
    ...(pipedInto?.includes("tee") ? pipedInto : []),
    ...(words[0] === "tee" ? words : []),
  ];
  if (target.some((file) => CONF_FILE.test(file))) {
    add(settingsIn(given));
    if (/^(?:echo|printf)$/.test(words[0] ?? "")) {
      add(
        settingsIn(
          words
            .slice(1)
            .join(" ")
            .replace(/^(?:-[en]+\s+)*(?:NIX_CONFIG=)?/, ""),
        ),
      );
    }
  }
  for (const one of assigned) {
    if (one.startsWith("NIX_CONFIG=")) add(settingsIn(one.slice("NIX_CONFIG=".length)));
  }
  if (words[0] === "export") {
    for (const one of words) {
      if (one.startsWith("NIX_CONFIG=")) add(settingsIn(one.slice("NIX_CONFIG=".length)));
    }
  }
  return settings;
}

const SETTINGS = new Set(
  "substituters extra-substituters trusted-public-keys extra-trusted-public-keys require-sigs builders accept-flake-config binary-caches".split(
    " ",
  ),
);

/** `--extra-substituters URL`, `--option substituters URL`, `--accept-flake-config`. */
function optionsIn(words: readonly string[]): Map<string, string[]> {
  const settings = new Map<string, string[]>();
  const set = (name: string, value: string) =>
    settings.set(name, [
      ...(settings.get(name) ?? []),
      ...value
        .replace(/\$\{\{((?!\}\}).)*\}\}/g, " $ ")
        .split(/\s+/)
        .filter((word) => word !== ""),
    ]);
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    if (word === "--option") {
      const name = words[at + 1] ?? "";
      if (SETTINGS.has(name)) set(name, words[at + 2] ?? "");
      at += 2;
      continue;
    }
    if (!word.startsWith("--")) continue;
    const [name = "", value] = word.slice(2).split("=", 2);
    if (name === "no-require-sigs") set("require-sigs", "false");
    else if (name === "no-accept-flake-config") set("accept-flake-config", "false");
    else if (SETTINGS.has(name)) {
      if (name === "accept-flake-config" || name === "require-sigs") set(name, "true");
      else set(name, value ?? words[++at] ?? "");
    }
  }
  return settings;
}

/** Where workflows say which caches Nix reads. */
export function workflowConfigurations(jobs: readonly AuditedJob[]): CacheConfiguration[] {
  const found = new Map<string, CacheConfiguration>();
  for (const { steps } of jobs) {
    for (const step of steps) {
      const said = configurationOf(step.step.where, settingsOfStep(step));
      const vouches = vouchedBy(step);
      const one =
        vouches.length === 0
          ? said
          : { where: step.step.where, substituters: [], publicKeys: [], ...said, vouches };
      if (one)
        found.set(`${one.where} ${one.substituters.join(" ")} ${one.publicKeys.join(" ")}`, one);
    }
  }
  return [...found.values()];
}

/** Caches of Cachix that a step adds together with their keys. */
function vouchedBy(step: AuditedStep): string[] {
  const byAction =
    step.step.uses?.name === "cachix/cachix-action"
      ? ["name", "extrapullnames"].flatMap((name) => step.inputText(name).split(/[\s,]+/))
      : [];
  const byCommand = step.commands.flatMap(({ words }) =>
    words[0] === "cachix" && words[1] === "use" ? words.slice(2, 3) : [],
  );
  return [...byAction, ...byCommand].flatMap((name) =>
    /^[\w-]+$/.test(name) ? [`${name}.cachix.org`] : [],
  );
}
