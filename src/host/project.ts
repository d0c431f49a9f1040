/** Looks at the project: its workflows, where it configures caches, whether its locks are committed. */

import { join } from "node:path";
import type { CacheConfiguration, LockFile, Project } from "../domain/workflow.ts";
import { readIfThere, topOf } from "./disk.ts";
import { childEnvironment, type Environment } from "./environment.ts";
import { runGit } from "./programs.ts";

export interface ProjectOptions {
  readonly workspace: string;
  readonly environment: Environment;
  readonly nix: Omit<CacheConfiguration, "where">;
  readonly signatures: "require" | "accept any";
  readonly token: "given" | "absent";
}

export function project(options: ProjectOptions): Project {
  const { workspace, nix, signatures, token } = options;
  return {
    async look(keyFiles, signal) {
      const top = await topOf(workspace);
      // Loaded by an audit alone: a YAML parser would cost every other run its start.
      const { readWorkflows } = await import("./workflow-files.ts");
      const [workflows, flake, locks, repository] = await Promise.all([
        readWorkflows(top),
        readIfThere(join(workspace, "flake.nix")),
        lockFiles(options, keyFiles, signal),
        repositoryName(top, options.environment),
      ]);
      return {
        workflows,
        ...(repository === undefined ? {} : { repository }),
        signatures,
        token,
        locks,
        configurations: [
          { where: "Nix's configuration", ...nix },
          ...(flake === undefined ? [] : flakeConfiguration(flake)),
        ],
      };
    },
  };
}

/** `owner/name` on GitHub: the runner says it, and at other places git's configuration does. */
async function repositoryName(top: string, environment: Environment): Promise<string | undefined> {
  const said = environment["GITHUB_REPOSITORY"];
  if (said !== undefined && said !== "") return said;
  const config = (await readIfThere(join(top, ".git", "config"))) ?? "";
  const remote = /\[remote "origin"\]\s*\n(?:(?!\[)[^\n]*\n)*?\s*url\s*=\s*(\S+)/.exec(config)?.[1];
  return /github\.com[:/]([\w.-]+\/[\w.-]+?)(?:\.git)?$/.exec(remote ?? "")?.[1];
}

/** What locks what: the one without the other is built from whatever there is today. */
const LOCKED: readonly (readonly [string, string])[] = [
  ["flake.nix", "flake.lock"],
  ["Cargo.toml", "Cargo.lock"],
];

async function lockFiles(
  { workspace, environment }: ProjectOptions,
  keyFiles: readonly string[],
  signal: AbortSignal,
): Promise<LockFile[]> {
  const names = new Set(keyFiles);
  const missing: LockFile[] = [];
  for (const [source, lock] of LOCKED) {
    const text = await readIfThere(join(workspace, source));
    if (text === undefined) continue;
    if ((await readIfThere(join(workspace, lock))) !== undefined) names.add(lock);
    else {
      const needed = source === "flake.nix" ? needsLock(text) : "yes";
      if (needed !== "no")
        missing.push({ name: lock, state: needed === "yes" ? "missing" : "unknown" });
    }
  }
  const tracked = await trackedFiles(workspace, environment, [...names], signal);
  const present = [...names].map((name): LockFile => {
    if (!tracked) return { name, state: "unknown" };
    return { name, state: tracked.has(name) ? "committed" : "not committed" };
  });
  return [...missing, ...present];
}

const DEADLINE = 20_000;

/** Those that git has; undefined where there is no git, or nothing of it here. */
async function trackedFiles(
  workspace: string,
  environment: Environment,
  names: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlySet<string> | undefined> {
  if (names.length === 0) return new Set();
  try {
    const { code, stdout } = await runGit(["ls-files", "-z", "--", ...names], {
      cwd: workspace,
      env: { ...childEnvironment(environment), GIT_LITERAL_PATHSPECS: "1" },
      signal,
      deadline: DEADLINE,
    });
    return code === 0 ? new Set(stdout.split("\0").filter(Boolean)) : undefined;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

function flakeConfiguration(source: string): CacheConfiguration[] {
  const config = nixConfigOf(source);
  const words = (setting: string) =>
    [config.get(setting), config.get(`extra-${setting}`)].flatMap((text = "") =>
      text.split(/\s+/).filter(Boolean),
    );
  const substituters = words("substituters");
  const publicKeys = words("trusted-public-keys");
  if (substituters.length + publicKeys.length === 0) return [];
  return [{ where: "flake.nix", substituters, publicKeys }];
}

const BYTES_MOST = 1024 * 1024;

type Token = {
  /** `computed`: a string in which something is interpolated. */
  readonly kind: "word" | "text" | "sign" | "computed";
  readonly text: string;
};

/** Strings in the interpolations of strings; deeper ones nobody writes. */
const DEPTH_MOST = 50;

/** Nix's words, strings (an address without quotes is one) and signs; comments are left out. */
function tokensOf(whole: string): Token[] {
  const tokens: Token[] = [];
  const source = whole.slice(0, BYTES_MOST);
  const pattern =
    /\s+|#[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|([A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9%/?:@&=+$,_.!~*'-]+)|("|'')|([A-Za-z_][\w'-]*(?:\.[A-Za-z_][\w'-]*)*)|([\s\S])/y;
  for (let at = 0; at < source.length; at = pattern.lastIndex) {
    pattern.lastIndex = at;
    const [, address, quote, word, sign] = pattern.exec(source) ?? [];
    if (quote !== undefined) {
      const { end, text } = stringIn(source, pattern.lastIndex, quote, 0);
      tokens.push(text === undefined ? { kind: "computed", text: "" } : { kind: "text", text });
      pattern.lastIndex = end;
    } else if (address !== undefined) tokens.push({ kind: "text", text: address });
    else if (word !== undefined) tokens.push({ kind: "word", text: word });
    else if (sign !== undefined) tokens.push({ kind: "sign", text: sign });
  }
  return tokens;
}

const ESCAPED: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t" };

/** What stands behind a quote, and where that ends; no text where something is interpolated. */
function stringIn(
  source: string,
  from: number,
  quote: string,
  depth: number,
): { readonly end: number; readonly text?: string } {
  const pattern =
    quote === '"'
      ? /[^"\\$]+|\$[^{"\\]|\\([\s\S])|\$\{|(")|\$/y
      : /[^'$]+|\$[^{']|'''|''(\$)|''\\([\s\S])|\$\{|('')|['$]/y;
  let text = "";
  let isWritten = true;
  for (let at = from; at < source.length; at = pattern.lastIndex) {
    pattern.lastIndex = at;
    const [all = "", ...groups] = pattern.exec(source) ?? [];
    const end = groups.pop();
    const escaped = groups.find((one) => one !== undefined);
    if (end !== undefined) return { end: pattern.lastIndex, ...(isWritten ? { text } : {}) };
    if (all === "${") {
      isWritten = false;
      pattern.lastIndex = afterInterpolation(source, pattern.lastIndex, depth + 1);
    } else if (escaped !== undefined) text += ESCAPED[escaped] ?? escaped;
    else text += all === "'''" ? "''" : all;
  }
  return { end: source.length };
}

function afterInterpolation(source: string, from: number, depth: number): number {
  const pattern =
    /[A-Za-z_][\w'-]*|#[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|("|'')|([{}])|[^A-Za-z_#/"'{}]+|[\s\S]/y;
  let open = 1;
  for (let at = from; at < source.length && depth < DEPTH_MOST; at = pattern.lastIndex) {
    pattern.lastIndex = at;
    const [, quote, brace] = pattern.exec(source) ?? [];
    if (quote !== undefined) {
      pattern.lastIndex = stringIn(source, pattern.lastIndex, quote, depth).end;
    }
    if (brace === "{") open++;
    if (brace === "}" && --open === 0) return pattern.lastIndex;
  }
  return source.length;
}

const OPEN = new Set(["{", "[", "("]);
const CLOSE = new Set(["}", "]", ")"]);

interface Attribute {
  readonly name: string;
  readonly value: readonly Token[];
}

/** `name = value;` of the set that begins at `from`, one level deep. */
function attributesOf(tokens: readonly Token[], from: number): Attribute[] {
  const found: Attribute[] = [];
  let name: string | undefined;
  let begin = -1;
  let depth = 0;
  for (let at = from + 1; at < tokens.length; at++) {
    const { kind, text } = tokens[at] ?? { kind: "sign", text: "" };
    const isSign = kind === "sign";
    if (isSign && OPEN.has(text)) depth++;
    else if (isSign && CLOSE.has(text)) {
      if (depth === 0) break;
      depth--;
    } else if (depth === 0 && begin < 0 && (kind === "word" || kind === "text")) {
      // nixConfig."extra-substituters"
      name = name?.endsWith(".") ? name + text : text;
    } else if (depth === 0 && begin < 0 && isSign && text === ".") name = `${name ?? ""}.`;
    else if (depth === 0 && begin < 0 && isSign && text === "=" && name !== undefined)
      begin = at + 1;
    else if (depth === 0 && isSign && text === ";") {
      if (name !== undefined && begin >= 0) found.push({ name, value: tokens.slice(begin, at) });
      name = undefined;
      begin = -1;
    }
  }
  return found;
}

function attributesAtTop(source: string): Attribute[] | undefined {
  const tokens = tokensOf(source);
  // A flake is a set; one that is written otherwise is not read here.
  return tokens[0]?.text === "{" ? attributesOf(tokens, 0) : undefined;
}

/**
 * `nixConfig` of a flake, each setting as the one text that Nix makes of it; what is not written out is
 * left out. Nix evaluates no more than that there either.
 */
export function nixConfigOf(source: string): ReadonlyMap<string, string> {
  const settings = (attributesAtTop(source) ?? []).flatMap(({ name, value }): Attribute[] => {
    const first = value.findIndex(({ text }) => text !== "(");
    if (name === "nixConfig") return value[first]?.text === "{" ? attributesOf(value, first) : [];
    return name.startsWith("nixConfig.") ? [{ name: name.slice("nixConfig.".length), value }] : [];
  });
  return new Map(
    settings.map(({ name, value }) => {
      const [only, ...more] = value;
      const texts = value.flatMap(({ kind, text }) => (kind === "text" ? [text] : []));
      const isWord = only?.kind === "word" && more.length === 0;
      return [nowCalled(name), isWord ? only.text : texts.join(" ")];
    }),
  );
}

/** Names that Nix still takes for what is called otherwise now. */
const ELDER: Readonly<Record<string, string>> = {
  "binary-caches": "substituters",
  "binary-cache-public-keys": "trusted-public-keys",
  "build-use-substitutes": "substitute",
};

function nowCalled(name: string): string {
  const [, extra = "", base = name] = /^(extra-)?(.+)$/.exec(name) ?? [];
  return `${extra}${ELDER[base] ?? base}`;
}

/** A flake without inputs has no lock: Nix writes none. */
function needsLock(source: string): "yes" | "no" | "unknown" {
  const top = attributesAtTop(source);
  if (!top) return "unknown";
  const inputs = top.filter(({ name }) => name === "inputs" || name.startsWith("inputs."));
  if (inputs.some(({ value, name }) => name !== "inputs" || value.length !== 2)) return "yes";
  const outputs = top.find(({ name }) => name === "outputs")?.value ?? [];
  const [first, second] = outputs;
  if (first?.kind === "word" && second?.text === ":") return "no";
  if (first?.text !== "{") return "unknown";
  const end = outputs.findIndex(({ text }) => text === "}");
  const names = outputs.slice(1, end).flatMap(({ kind, text }) => (kind === "word" ? [text] : []));
  // What it takes and does not name comes from the registry, and is locked.
  return names.every((name) => name === "self") ? "no" : "yes";
}
