/** The action's inputs: text from the workflow becomes a Job, or an error that names the input. */

import { isAbsolute, normalize } from "node:path";
import type { PinKeep } from "../domain/cache.ts";
import { UserError } from "../domain/errors.ts";
import { parseSha256, type Sha256 } from "../domain/hash.ts";
import { parseHeavy } from "../domain/heavy.ts";
import {
  type ChosenNix,
  FAIL_ON,
  type FailOn,
  type Job,
  MODES,
  type Secrets,
  VERIFY_LEVELS,
} from "../domain/job.ts";
import { type Addresses, parseSubstituters } from "../domain/location.ts";
import { parseRegExp } from "../domain/pattern.ts";
import { parseSigningKey } from "../domain/signature.ts";
import { parseSize } from "../domain/size.ts";
import { didYouMean } from "../domain/suggest.ts";
import { parseTargets } from "../domain/target.ts";
import { boundedPattern } from "../host/bounded-pattern.ts";
import { register } from "../open-caches.ts";
import type { Annotation } from "../report/annotations.ts";
import type { Detail } from "../report/summary.ts";

/** Every input of action.yml with its default; a test holds the two together. */
export const DEFAULTS = {
  mode: "prefetch",
  targets: "",
  "working-directory": ".",
  cache: "github",
  token: "",
  "signing-key": "",
  substituters: "",
  push: "auto",
  "push-filter": "",
  "push-max": "",
  "push-inputs": "auto",
  pin: "auto",
  "pin-keep": "revisions:3",
  verify: "nar",
  "on-push-failure": "warn",
  "fail-on": "disk, eval",
  heavy: ">1GB",
  "min-free": "1GB",
  reclaim: "off",
  quota: "",
  "key-files": "flake.lock\nCargo.lock\n",
  "key-prefix": "preflight-v1",
  "key-suffix": "",
  trust: "auto",
  force: "false",
  "reuse-evaluation": "auto",
  "install-nix": "false",
  "nix-version": "",
  "nix-sha256": "",
  "pass-env": "",
  summary: "full",
  "check-runs": "off",
  "check-runs-token": "",
} as const;

/** Inputs that are one of few words; completion offers these. */
export const CHOICES = {
  mode: MODES,
  push: ["auto", "targets", "off"],
  "push-inputs": ["auto", "all", "off"],
  pin: ["auto", "off"],
  verify: VERIFY_LEVELS,
  "on-push-failure": ["error", "warn", "ignore"],
  reclaim: ["off", "auto"],
  trust: ["auto", "read-only"],
  force: ["true", "false"],
  "reuse-evaluation": ["auto", "off"],
  "install-nix": ["true", "false"],
  summary: ["full", "short", "off"],
  "check-runs": ["off", "targets"],
} as const satisfies Partial<Record<keyof typeof DEFAULTS, readonly string[]>>;

export type InputName = keyof typeof DEFAULTS;
export type Inputs = Readonly<Record<InputName, string>>;

export interface Request {
  /** Where the flake is, below the checkout. */
  readonly workingDirectory: string;
  readonly job: Job;
  readonly secrets: Secrets;
  readonly trust: "auto" | "read-only";
  /** How much of the job summary is written. */
  readonly summary: Detail;
  readonly checkRuns: (typeof CHOICES)["check-runs"][number];
  /** The inputs that hold addresses, as they were written: there may be credentials in them. */
  readonly addresses: string;
}

const NAMES = Object.keys(DEFAULTS) as InputName[];
const BY_VARIABLE = new Map(NAMES.map((name) => [`INPUT_${name.toUpperCase()}`, name]));

/** Inputs as the runner passes them: `INPUT_` and the name in capitals, hyphens kept. */
export function readInputs(environment: Readonly<Record<string, string>>): Inputs {
  const found: Record<string, string> = { ...DEFAULTS };
  for (const [variable, name] of BY_VARIABLE) {
    const value = environment[variable] ?? "";
    // The runner passes every declared input; an empty one means its default.
    if (value.trim() !== "") found[name] = value;
  }
  return found as Inputs;
}

/**
 * A warning for each input that is not ours: a slip of the pen, or somebody else's variable (a
 * composite action around this one, `env: INPUT_VERSION`), which cannot be told apart.
 */
export function foreignInputs(environment: Readonly<Record<string, string>>): Annotation[] {
  return Object.keys(environment)
    .filter((variable) => variable.startsWith("INPUT_") && !BY_VARIABLE.has(variable))
    .map((variable) => {
      const asked = variable.slice("INPUT_".length).toLowerCase();
      return {
        level: "warning",
        title: `The input "${asked}" is not known`,
        message: `"${asked}" is not an input, and is not read.${didYouMean(asked, NAMES)} (NCP-101)`,
      };
    });
}

/** Reads all inputs before anything runs. */
export function parseInputs(inputs: Inputs, addresses: Addresses = register): Request {
  const signingKey = inputs["signing-key"].trim() || undefined;
  const cache = addresses.parse(inputs.cache.trim(), "cache");
  if (signingKey) parseSigningKey(signingKey, cache?.keyName);
  const checkRunsToken = parseToken(inputs, "check-runs-token");
  return {
    trust: choice(inputs, "trust"),
    summary: choice(inputs, "summary"),
    checkRuns: choice(inputs, "check-runs"),
    addresses: [inputs.targets, inputs.substituters, inputs.cache].join("\n"),
    workingDirectory: below(inputs["working-directory"].trim()),
    secrets: { token: parseToken(inputs, "token"), signingKey, checkRunsToken },
    job: {
      mode: choice(inputs, "mode"),
      cache,
      ...parseTargets(inputs.targets),
      cacheName: inputs.cache.trim(),
      substituters: parseSubstituters(inputs.substituters, addresses),
      push: choice(inputs, "push"),
      pushFilter:
        inputs["push-filter"].trim() === ""
          ? undefined
          : boundedPattern(parseRegExp(inputs["push-filter"].trim(), "push-filter"), "push-filter"),
      pushMax: optionalSize(inputs, "push-max"),
      pushInputs: choice(inputs, "push-inputs"),
      pin: choice(inputs, "pin"),
      pinKeep: parseKeep(inputs["pin-keep"].trim()),
      verify: choice(inputs, "verify"),
      onPushFailure: choice(inputs, "on-push-failure"),
      failOn: parseFailOn(inputs["fail-on"]),
      heavy: parseHeavy(inputs.heavy),
      minFree: parseSize(inputs["min-free"], "min-free"),
      reclaim: choice(inputs, "reclaim"),
      quota: optionalSize(inputs, "quota"),
      keyFiles: lines(inputs["key-files"]),
      keyFilesBy:
        lines(inputs["key-files"]).join("\n") === DEFAULTS["key-files"].trim()
          ? "the default"
          : "the user",
      keyPrefix: keyPart(inputs["key-prefix"].trim(), "key-prefix"),
      keySuffix: lines(inputs["key-suffix"]).map((part) => keyPart(part, "key-suffix")),
      force: choice(inputs, "force") === "true" ? "force" : "trust",
      reuseEvaluation: choice(inputs, "reuse-evaluation"),
      passEnv: variableNames(inputs["pass-env"]),
      installNix: choice(inputs, "install-nix") === "true" ? "install" : "require",
      chosenNix: parseNix(inputs["nix-version"].trim(), lines(inputs["nix-sha256"])),
    },
  };
}

function optionalSize(inputs: Inputs, name: "push-max" | "quota"): number | undefined {
  return inputs[name].trim() === "" ? undefined : parseSize(inputs[name], name);
}

function choice<Name extends keyof typeof CHOICES>(
  inputs: Inputs,
  name: Name,
): (typeof CHOICES)[Name][number] {
  const value = inputs[name].trim();
  const legal: readonly (typeof CHOICES)[Name][number][] = CHOICES[name];
  const found = legal.find((one) => one === value);
  if (found !== undefined) return found;
  throw new UserError("NCP-101", `${name}: "${value}" is not legal.${didYouMean(value, legal)}`, {
    hint: `${name} is one of ${legal.join(", ")}`,
  });
}

function parseFailOn(text: string): FailOn[] {
  const words = text.split(/[\s,]+/).filter((word) => word !== "");
  if (words.length === 1 && words[0] === "none") return [];
  return words.map((word) => {
    const found = FAIL_ON.find((one) => one === word);
    if (found) return found;
    throw new UserError("NCP-101", `fail-on: "${word}" is not legal.${didYouMean(word, FAIL_ON)}`, {
      hint: `fail-on is any of ${FAIL_ON.join(", ")}, or none`,
    });
  });
}

function parseKeep(text: string): PinKeep {
  if (text === "forever") return { kind: "forever" };
  const match = /^(days|revisions):([1-9]\d{0,5})$/.exec(text);
  if (match?.[1] === "days") return { kind: "days", days: Number(match[2]) };
  if (match?.[1] === "revisions") return { kind: "revisions", revisions: Number(match[2]) };
  throw new UserError(
    "NCP-101",
    `pin-keep: "${text}" is not legal.${didYouMean(text, ["forever", "days:30", "revisions:3"])}`,
    { hint: "pin-keep is forever, days:N or revisions:N" },
  );
}

const NIX_SYSTEM = /^(?:x86_64|aarch64)-(?:linux|darwin)$/;

/** Nobody's word is taken for what an archive holds: a version of the user's own comes with its sum. */
function parseNix(version: string, sums: readonly string[]): ChosenNix | undefined {
  if (version === "" && sums.length === 0) return undefined;
  if (!/^\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(version)) {
    const what = version === "" ? "nix-sha256 is given without it" : `"${version}" is no version`;
    throw new UserError("NCP-101", `nix-version: ${what}`, { hint: "write a release: 2.34.7" });
  }
  if (sums.length === 0) {
    throw new UserError("NCP-101", `nix-version: ${version} needs the sum of its archive`, {
      hint: `nix-sha256 takes a line for each system, "x86_64-linux SHA-256": the script at https://releases.nixos.org/nix/nix-${version}/install has them`,
    });
  }
  const sha256 = new Map<string, Sha256>();
  for (const line of sums) {
    const [first = "", second] = line.split(/\s+/);
    const [system, text] = second === undefined ? ["", first] : [first, second];
    const sum = parseSha256(text);
    if (sum === undefined || !(system === "" || NIX_SYSTEM.test(system))) {
      throw new UserError("NCP-101", `nix-sha256: "${line}" is no SHA-256 of a system`, {
        hint: "write x86_64-linux and 64 hexadecimal digits behind it, one system per line",
      });
    }
    sha256.set(system, sum);
  }
  return { version, sha256 };
}

/** A token goes into a header: white space inside it is a copying mistake. It is never shown. */
function parseToken(inputs: Inputs, name: "token" | "check-runs-token"): string | undefined {
  const token = inputs[name].trim();
  if (token === "") return undefined;
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new UserError("NCP-105", `${name}: it holds white space or characters that no token has`, {
    hint: "store it again, without line breaks or quotes",
  });
}

/** What the runner gives this step alone is no build's. */
function variableNames(text: string): string[] {
  return text
    .split(/[\s,]+/)
    .filter((name) => name !== "")
    .map((name) => {
      const hint = "pass-env holds names of variables, such as COMPANY_MIRROR, and no values";
      // The value of whoever wrote NAME=VALUE may be a secret.
      const said = name.split("=")[0];
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
        throw new UserError("NCP-101", `pass-env: "${said}" is not the name of a variable`, {
          hint,
        });
      if (/^(INPUT|STATE|ACTIONS)_/.test(name))
        throw new UserError("NCP-101", `pass-env: ${name} is this step's own, and no build's`, {
          hint,
        });
      return name;
    });
}

/** GitHub's cache refuses commas in keys and keys over 512 characters. */
function keyPart(text: string, input: string): string {
  if (/^[^\s,]{1,128}$/.test(text)) return text;
  throw new UserError("NCP-101", `${input}: "${text}" cannot be part of a cache key`, {
    hint: "use up to 128 characters without commas or white space",
  });
}

/** A folder of the checkout, or the checkout itself. */
function below(text: string): string {
  const path = normalize(text === "" ? "." : text);
  if (!isAbsolute(path) && path !== ".." && !path.startsWith("../")) return path;
  const wrong = isAbsolute(path) ? "an absolute path" : "not inside the checkout";
  const hint = "name a folder below the checkout, by its path from there: working-directory: nix";
  throw new UserError("NCP-101", `working-directory: "${text}" is ${wrong}`, { hint });
}

function lines(text: string): string[] {
  return text.split("\n").flatMap((line) => line.trim() || []);
}
