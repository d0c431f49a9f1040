/** Owns reading a YAML that somebody may copy: what it asks of this action and of others, and what is wrong with it. */

import { createPrivateKey, createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { parse, parseDocument } from "yaml";
import { DEFAULTS, foreignInputs, parseInputs, readInputs } from "../../src/action/inputs.ts";
import { UserError } from "../../src/domain/errors.ts";

const OURS = /^(nix-cache-preflight\/nix-cache-preflight@v\d+|\.\/)$/;
const CALLED =
  /^(?:nix-cache-preflight\/nix-cache-preflight\/|\.\/)(\.github\/workflows\/[^@]+?)(?:@v\d+)?$/;

/** A seed of zeros and its public half, as `nix-store --generate-binary-cache-key` writes the two. */
function aSigningKey(): string {
  const seed = Buffer.alloc(32);
  // RFC 8410: what comes before the seed in PKCS #8.
  const head = Buffer.from("302e020100300506032b657004220420", "hex");
  const der = Buffer.concat([head, seed]);
  const key = createPublicKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" }));
  const half = key.export({ format: "der", type: "spki" }).subarray(-32);
  return `key-1:${Buffer.concat([seed, half]).toString("base64")}`;
}

/** What an expression may become in a run, so that the value it stands in can be read. */
const SAMPLES: readonly (readonly [expression: RegExp, sample: string])[] = [
  [/^secrets\.[A-Z_]*SIGNING_KEY$|^secrets\.signing-key$/, aSigningKey()],
  [/^secrets\.[\w-]+$/, "a-token"],
  [/^runner\.(os|arch|temp)$/, "/Linux"],
  [/^matrix\.targets$/, ".#hello"],
  [/^matrix\.[\w-]+$/, "one"],
  [/^matrix\.[\w-]+ == '[\w-]+'$/, "false"],
  [/^inputs\.force( \|\| false)?$/, "false"],
  [/^inputs\.targets$/, ".#hello"],
  [/^inputs\.cache$/, "github"],
  [/^inputs\.heavy$/, ">1GB"],
  [/^inputs\.[\w-]+$/, ""],
  [/^(vars|env)\.[\w-]+$/, "one"],
  [/^github\.(ref|job|workflow|token)$/, "one"],
];

/** Inputs of foreign actions that the documents show, from their action.yml: a wrong one is ignored in silence. */
const THEIRS: Readonly<Record<string, readonly string[]>> = {
  "actions/checkout": ["persist-credentials", "fetch-depth", "ref"],
  "actions/setup-node": ["node-version", "package-manager-cache"],
  "actions/attest-build-provenance": ["subject-path"],
  "cachix/install-nix-action": ["extra_nix_config", "github_access_token", "nix_path"],
  "samueldr/lix-gha-installer-action": ["extra_nix_config"],
  "DeterminateSystems/determinate-nix-action": ["extra-conf"],
  "cachix/cachix-action": [
    "name",
    "extraPullNames",
    "authToken",
    "signingKey",
    "skipPush",
    "pushFilter",
  ],
  "nix-community/cache-nix-action": [
    "primary-key",
    "restore-prefixes-first-match",
    "gc-max-store-size-linux",
    "purge",
    "purge-prefixes",
    "purge-created",
    "purge-primary-key",
  ],
  "DeterminateSystems/magic-nix-cache-action": ["use-flakehub", "upstream-cache"],
};

type Mapping = Readonly<Record<string, unknown>>;

function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Every mapping with a `uses:`, however deep. */
function steps(value: unknown): Mapping[] {
  if (Array.isArray(value)) return value.flatMap(steps);
  if (!isMapping(value)) return [];
  const inner = Object.values(value).flatMap(steps);
  return typeof value["uses"] === "string" ? [value, ...inner] : inner;
}

function text(value: unknown): string {
  return String(value ?? "").replace(/\$\{\{\s*(.*?)\s*\}\}/g, (_, expression: string) => {
    const sample = SAMPLES.find(([pattern]) => pattern.test(expression));
    if (!sample) throw new Error(`there is no sample of \${{ ${expression} }}`);
    return sample[1];
  });
}

/** As the runner would pass them, through the parser of the action. */
function checkInputs(inputs: unknown): void {
  const environment = Object.fromEntries(
    Object.entries(isMapping(inputs) ? inputs : {}).map(([name, value]) => [
      `INPUT_${name.toUpperCase()}`,
      text(value),
    ]),
  );
  const [foreign] = foreignInputs(environment);
  if (foreign) throw new UserError("NCP-101", foreign.message);
  parseInputs(readInputs(environment));
}

const OUTPUTS = Object.keys(
  (parse(readFileSync("action.yml", "utf8")) as { outputs: Record<string, unknown> }).outputs,
);

export interface Usage {
  readonly problems: readonly string[];
  /** Steps, and fragments of one, that use us. */
  readonly ours: number;
  readonly theirs: number;
}

/** Of a workflow, a list of steps, one step, or a fragment of one. Throws the action's own error. */
export function checkUsage(source: string): Usage {
  const parsed = parseDocument(source);
  if (parsed.errors[0]) throw parsed.errors[0];
  const value = parsed.toJS() as unknown;
  const problems: string[] = [];
  const all = steps(value);
  const ours = all.filter(({ uses }) => OURS.test(String(uses)));
  for (const step of ours) checkInputs(step["with"]);
  for (const step of all) {
    const uses = String(step["uses"]);
    const names = Object.keys(isMapping(step["with"]) ? step["with"] : {});
    const called = CALLED.exec(uses)?.[1];
    if (called !== undefined) {
      const workflow = parse(readFileSync(called, "utf8")) as {
        on: { workflow_call: { inputs: Mapping; secrets: Mapping } };
      };
      const { inputs, secrets } = workflow.on.workflow_call;
      const given = Object.keys(isMapping(step["secrets"]) ? step["secrets"] : {});
      for (const name of names) if (!(name in inputs)) problems.push(`${called} has no ${name}`);
      for (const name of given) if (!(name in secrets)) problems.push(`${called} has no ${name}`);
      checkInputs(
        Object.fromEntries(
          Object.entries(step["with"] as Mapping).filter(([name]) => name in DEFAULTS),
        ),
      );
    } else if (!ours.includes(step)) {
      const known = THEIRS[uses.split("@")[0] ?? ""];
      if (!known) problems.push(`which inputs ${uses} has is not known to this test`);
      for (const name of names) if (!known?.includes(name)) problems.push(`${uses} has no ${name}`);
    }
  }
  // A fragment of one step: either its inputs, or a whole `with:`.
  if (isMapping(value) && all.length === 0) {
    const inputs = isMapping(value["with"]) ? value["with"] : value;
    if (!("jobs" in value)) {
      checkInputs(inputs);
      return { problems, ours: 1, theirs: 0 };
    }
  }
  const ids = new Set<unknown>(ours.map(({ id }) => id));
  const others = new Set<unknown>(all.map(({ id }) => id).filter((id) => !ids.has(id)));
  for (const [, id = "", name = ""] of source.matchAll(/steps\.([\w-]+)\.outputs\.([\w-]+)/g)) {
    if (!others.has(id) && !OUTPUTS.includes(name)) problems.push(`there is no output ${name}`);
  }
  return { problems, ours: ours.length, theirs: all.length - ours.length };
}
