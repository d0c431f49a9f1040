/** Runs a user's regular expression with an end: one that backtracks without end is stopped and named. */

import { UserError } from "../domain/errors.ts";
import type { NamePattern } from "../domain/pattern.ts";

/** Milliseconds for all names of a push; 100,000 names take some 20. */
const PATTERN_DEADLINE = 2_000;

/**
 * V8's expressions know no deadline, but code in a context of `node:vm` does, and V8 looks at its
 * clock while it backtracks. `matching` throws a UserError (NCP-451) when time is up.
 */
export function boundedPattern(
  pattern: RegExp,
  what: string,
  deadline = PATTERN_DEADLINE,
): NamePattern {
  return {
    source: pattern.source,
    matching(names) {
      // Loaded by the first push with a filter, not by every start.
      const vm = process.getBuiltinModule("node:vm");
      const context = vm.createContext(Object.assign(Object.create(null), { pattern, names }));
      try {
        const matched = vm.runInContext("names.filter((name) => pattern.test(name))", context, {
          timeout: deadline,
        }) as string[];
        return new Set([...matched]);
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw cause;
        throw new UserError(
          "NCP-451",
          `${what}: "${pattern.source}" did not come to an end within ${deadline / 1000} s for ${names.length} names`,
          {
            hint: "a repetition inside a repetition, such as (a+)+, tries every way to divide a name: write it once",
            cause,
          },
        );
      }
    },
  };
}
