/** Owns the token: is it valid, what may it do, and when is it refused. Pure. */

import { describeError, UserError } from "../../domain/errors.ts";
import type { AuditRequest, Check } from "./check.ts";

/** Kinds of cache that are written to with the input `token`. */
const WITH_TOKEN = new Set(["cachix", "attic", "http"]);

export function tokenChecks({ job, survey, project }: AuditRequest): Check[] {
  const base = { group: "token" as const, code: "NCP-618" as const };
  const own = survey.tiers.find(({ role }) => role === "own");
  if (!own || !WITH_TOKEN.has(job.cache.kind)) {
    return [{ ...base, status: "pass", message: `${job.cacheName} needs no token` }];
  }
  const trouble = own.state.kind === "reachable" ? own.state.info.trouble : own.state.error;
  const hint = trouble instanceof UserError ? trouble.hint : undefined;
  const mend = hint === undefined ? {} : { mend: hint };
  const refused =
    trouble instanceof UserError && (trouble.code === "NCP-303" || trouble.code === "NCP-105");
  if (trouble && refused) {
    return [{ ...base, status: "fail", message: describeError(trouble), ...mend }];
  }
  if (own.state.kind !== "reachable") {
    const message = "what the token may do could not be asked";
    return [{ ...base, code: "NCP-600", status: "unknown", message }];
  }
  if (project?.token !== "given") {
    return [
      {
        ...base,
        code: "NCP-600",
        status: "unknown",
        message: "no token was given, so none was tried",
        mend: `token: \${{ secrets.NAME }}: an audit writes nothing with it`,
      },
    ];
  }
  const { permission } = own.state.info;
  if (permission === "write") {
    return [{ ...base, status: "pass", message: `the token may read and write ${own.name}` }];
  }
  if (permission === "read") {
    const message = `the token may read ${own.name}, and not write`;
    return [{ ...base, status: "warn", message, mend: "make a token with write access" }];
  }
  const message = `${own.name} takes the token and does not say what it may do`;
  return [{ ...base, status: "pass", message }];
}
