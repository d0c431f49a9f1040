/** The two kinds of pattern users write: names with `*`, and regular expressions. */

import { UserError } from "./errors.ts";

/** A user's regular expression, as far as names are concerned. */
export interface NamePattern {
  /** As the user wrote it. */
  readonly source: string;
  /** Those that match; throws a UserError where that takes too long. */
  matching(names: readonly string[]): ReadonlySet<string>;
}

/** Whether `name` is matched by `pattern`, in which `*` stands for any characters. At most their lengths' product. */
export function matchesGlob(pattern: string, name: string): boolean {
  let p = 0;
  let n = 0;
  let star = -1;
  let mark = 0;
  while (n < name.length) {
    if (pattern[p] === "*") {
      star = p++;
      mark = n;
    } else if (p < pattern.length && pattern[p] === name[n]) {
      p++;
      n++;
    } else if (star >= 0) {
      p = star + 1;
      n = ++mark;
    } else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}

/** A user's regular expression, or an error that names the input it came from. */
export function parseRegExp(text: string, what: string): RegExp {
  try {
    return new RegExp(text);
  } catch (cause) {
    throw new UserError("NCP-104", `${what}: "${text}" is not a regular expression`, {
      hint: `${cause instanceof Error ? cause.message : cause}; for example -source$|^nixos-`,
      cause,
    });
  }
}
