/** Owns what is told a user whom Nix's daemon does not trust: what is left out, and the lines that help. Pure. */

import type { BinaryCache } from "../../domain/cache.ts";
import { UserError } from "../../domain/errors.ts";
import type { Finding } from "../../domain/finding.ts";
import type { Job } from "../../domain/job.ts";
import { isAllowed } from "../survey/tiers.ts";
import type { Survey } from "../survey.ts";

export function standingFindings(
  job: Job,
  survey: Survey,
  caches: { readonly own: BinaryCache | undefined; readonly tiers: readonly BinaryCache[] },
): Finding[] {
  const { untrusted } = survey;
  if (!untrusted) return [];
  const { user, file } = untrusted;
  const refused = caches.tiers.filter(({ name }) =>
    survey.tiers.some(
      ({ name: one, state }) =>
        one === name &&
        state.kind === "down" &&
        state.error instanceof UserError &&
        state.error.code === "NCP-351",
    ),
  );
  const own = caches.own && !isAllowed(caches.own, untrusted) ? [caches.own] : [];
  const all = [...own, ...refused];
  const unlisted = all.filter((cache) => !isAllowed(cache, untrusted));
  const trusted = new Set(untrusted.publicKeys);
  const given = [
    ...job.substituters.flatMap(({ publicKeys }) => publicKeys),
    ...all.flatMap(({ substituter }) => substituter.publicKeys),
  ];
  const keys = [...new Set(given.map(({ text }) => text))].filter((key) => !trusted.has(key));
  const hosts = all.flatMap(({ substituter }) => substituter.credentials?.().machine ?? []);
  if (all.length === 0 && keys.length === 0) return [];
  const what = [
    ...all.map(({ name }) => name),
    ...keys.map((key) => `the key ${key.split(":")[0]}`),
  ];
  const then = own.length > 0 ? "; later steps build what only our own cache has" : "";
  return [
    {
      kind: "tier",
      level: "warning",
      code: "NCP-351",
      message: `Nix's daemon does not trust ${user}, and takes nothing from: ${what.join(", ")}${then}`,
      hint: [
        `as root, add to ${file} one of these, and restart nix-daemon:`,
        `extra-trusted-users = ${user}`,
        "or, for these alone:",
        ...(unlisted.length > 0
          ? [
              `extra-trusted-substituters = ${unlisted.map(({ substituter }) => substituter.url).join(" ")}`,
            ]
          : []),
        ...(keys.length > 0 ? [`extra-trusted-public-keys = ${keys.join(" ")}`] : []),
        ...(hosts.length > 0
          ? [`and in the netrc file that the daemon reads, an entry for ${hosts.join(", ")}`]
          : []),
      ].join("\n"),
    },
  ];
}
