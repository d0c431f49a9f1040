/** Owns the lock files: without them in git every machine builds something else. Pure. */

import { type AuditRequest, type Check, rule, type Trouble } from "./check.ts";

export function lockChecks({ project }: AuditRequest): Check[] {
  const locks = project?.locks ?? [];
  if (locks.some(({ state }) => state === "unknown")) {
    const message = "there is no git here to say whether the lock files are committed";
    return [{ group: "locks", code: "NCP-600", status: "unknown", message }];
  }
  const troubles = locks.flatMap(({ name, state }): Trouble[] => {
    if (state === "missing") {
      const make = name === "flake.lock" ? "nix flake lock" : "cargo generate-lockfile";
      return [{ message: `there is no ${name}`, mend: `${make} && git add ${name}` }];
    }
    if (state === "committed") return [];
    const message = `${name} is not committed: it is another one on every machine`;
    return [{ message, mend: `git add --force ${name} && git commit` }];
  });
  const names = locks.map(({ name }) => name).join(", ");
  return rule(
    "locks",
    "NCP-633",
    names === "" ? "nothing here has a lock file" : `committed: ${names}`,
    troubles,
  );
}
