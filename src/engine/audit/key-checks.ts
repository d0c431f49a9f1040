/** Checks of the cache's name and keys: is it named, and is its key the one that Nix trusts. Pure. */

import type { Addresses } from "../../domain/location.ts";
import { parsePublicKey } from "../../domain/signature.ts";
import type { CacheConfiguration, ProjectFacts } from "../../domain/workflow.ts";
import { type AuditRequest, type Check, rule, type Trouble } from "./check.ts";

export function keyChecks(request: AuditRequest): Check[] {
  return [...nameChecks(request), ...placeholderChecks(request.project), ...trustChecks(request)];
}

const PLACEHOLDER_NAME =
  /^(?:my|your|the)?[-_]?(?:nix[-_])?(?:cache(?:[-_]?name)?|name)$|^(?:example|changeme|change-me|todo|placeholder|x{2,}|foo|bar|test)$|example\.(?:com|org|net)$/i;

function nameChecks({ job }: AuditRequest): Check[] {
  const { cache, cacheName } = job;
  const troubles: Trouble[] =
    cache === undefined
      ? [{ message: "no cache is named", mend: "cache: cachix:NAME, or another kind" }]
      : cache.name !== undefined && PLACEHOLDER_NAME.test(cache.name)
        ? [
            {
              message: `${cacheName} is the name of an example`,
              mend: "write your own cache's name",
            },
          ]
        : [];
  return rule("keys", "NCP-610", `the cache is named: ${cacheName}`, troubles);
}

/** What people leave in an example for others to fill in. */
const TO_FILL_IN = /your|change-?me|replace|placeholder|example|todo|<|>|\.\.\.|…|x{6,}/i;
/** Well formed, and of one letter. */
const ONE_LETTER = /([0-9A-Za-z+/])\1{19,}/;

/** A key may spell anything by chance: one of 32 bytes is one, unless they are all alike. */
function isPlaceholder(text: string): boolean {
  return ONE_LETTER.test(text) || (!parsePublicKey(text) && TO_FILL_IN.test(text));
}

export function placeholderChecks(project: ProjectFacts | undefined): Check[] {
  const troubles = (project?.configurations ?? []).flatMap(({ where, publicKeys }) =>
    publicKeys.flatMap((text): Trouble[] => {
      const shown = text.slice(0, 60);
      const mend = "put in the public key that the cache's own page shows, NAME:BASE64 of 32 bytes";
      if (isPlaceholder(text)) {
        return [{ message: `the key "${shown}" is a placeholder`, mend, where }];
      }
      if (parsePublicKey(text)) return [];
      return [{ message: `"${shown}" is not a public key`, mend, where }];
    }),
  );
  const some = project?.configurations.some(({ publicKeys }) => publicKeys.length > 0);
  return rule(
    "keys",
    "NCP-612",
    some ? "every key that is configured is one" : undefined,
    troubles,
  );
}

function trustChecks({ survey, project, ownUrl, addresses }: AuditRequest): Check[] {
  const own = survey.substituters.find(({ role }) => role === "own");
  const published = own?.state.kind === "reachable" ? own.state.info.publicKeys : [];
  const [nix, ...others] = project?.configurations ?? [];
  const base = { group: "keys" as const, code: "NCP-611" as const };
  if (own?.state.kind !== "reachable" || !project || !nix) {
    const message = "the keys of our cache could not be compared";
    return [{ ...base, code: "NCP-600", status: "unknown", message }];
  }
  if (published.length === 0) {
    return [{ ...base, status: "pass", message: `${own.name} publishes no key of its own` }];
  }
  const texts = new Set(published.map(({ text }) => text));
  const names = new Set(published.map(({ name }) => name));
  const right = published.map(({ text }) => text).join(" ");
  const wrong = [nix, ...others].flatMap(({ where, publicKeys }) =>
    publicKeys
      .filter((text) => names.has(text.split(":")[0] ?? "") && !texts.has(text))
      // What is no key at all has been told.
      .filter((text) => parsePublicKey(text) && !isPlaceholder(text))
      .map(
        (text): Trouble => ({
          message: `${text.slice(0, 80)} is not the key that ${own.name} publishes`,
          mend: `write ${right}`,
          where,
        }),
      ),
  );
  const untrusted =
    wrong.length === 0 &&
    project.signatures === "require" &&
    ownUrl !== undefined &&
    reads(nix, ownUrl, addresses)
      ? trustLack(nix, texts, own.name, right)
      : [];
  const holds = `the key of ${own.name} is the one that is trusted`;
  return rule("keys", "NCP-611", holds, [...wrong, ...untrusted]);
}

/** Nix takes what it reads from a cache whose key it does not trust for absent, without a word. */
function trustLack(
  nix: CacheConfiguration,
  published: ReadonlySet<string>,
  name: string,
  right: string,
): Trouble[] {
  if (nix.publicKeys.some((text) => published.has(text))) return [];
  return [
    {
      message: `Nix reads ${name} and does not trust its key: everything from it is refused`,
      mend: `extra-trusted-public-keys = ${right}`,
      where: nix.where,
    },
  ];
}

/** Whether the configuration names the cache at `url`. */
export function reads(
  { substituters }: CacheConfiguration,
  url: string,
  addresses: Addresses,
): boolean {
  const place = addresses.placeOf(url);
  return substituters.some((one) => addresses.placeOf(one) === place);
}
