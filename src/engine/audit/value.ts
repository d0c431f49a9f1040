/** Values that are known in part: what a text can be, what comparing it comes to, which secrets and whose words are in it. Pure. */

export type Literal =
  | string
  | number
  | boolean
  | null
  | readonly (string | number | boolean | null)[];
export type Answer = "yes" | "no" | "unknown";

/** Whether something is so, and what would have to be known where that is open. */
export interface Runs {
  readonly is: Answer;
  readonly why: readonly string[];
}

/** Where a stranger chooses what a value names. A branch's name alone is looked up in our repository. */
export type Chosen = "nothing" | "branch" | "number" | "repository" | "commit";

export interface Value {
  /** Everything that it can be, where that is known. */
  readonly literals: readonly Literal[] | undefined;
  /** What it is, where its text is not known: two of one name are equal. */
  readonly symbol: string | undefined;
  /** How it begins. */
  readonly prefix: string | undefined;
  /** Whether it counts as true: an empty text does not. */
  readonly truth: Answer;
  /** Names of secrets that it may hold; `*` for all of them. */
  readonly secrets: readonly string[];
  /** What a stranger chooses of it, and whether he may as far as can be seen. */
  readonly stranger: Chosen;
  readonly maybeStranger: boolean;
  /** Not known beforehand, since a stranger has it as he likes: he names his branch, and writes the comment. */
  readonly free: boolean;
  /** What would have to be known to know it. */
  readonly why: readonly string[];
}

export const ANYTHING: Value = {
  literals: undefined,
  symbol: undefined,
  prefix: undefined,
  truth: "unknown",
  secrets: [],
  stranger: "nothing",
  maybeStranger: false,
  free: false,
  why: [],
};

export function known(...literals: readonly Literal[]): Value {
  const truths = new Set(literals.map(isTruthy));
  const truth = truths.size === 1 ? (truths.has(true) ? "yes" : "no") : "unknown";
  return { ...ANYTHING, literals, truth };
}

export const EMPTY = known("");

function isTruthy(literal: Literal): boolean {
  return !(literal === "" || literal === 0 || literal === false || literal === null);
}

export function unknown(why: string, more: Partial<Value> = {}): Value {
  return { ...ANYTHING, why: [why], ...more };
}

/** Something of which only its identity is known, and that it is not empty. */
export function named(symbol: string, more: Partial<Value> = {}): Value {
  return { ...ANYTHING, symbol, truth: "yes", why: [symbol], ...more };
}

export function not(value: Value): Value {
  if (value.truth === "unknown") return { ...ANYTHING, free: value.free, why: value.why };
  return known(value.truth === "no");
}

const LITERALS_MOST = 64;
/** Comparing many with many is left: the answer is not known then. */
const PAIRS_MOST = 400;

/** One or the other; `settled` is what `left` is not, where it is passed on. */
export function either(left: Value, right: Value, settled: "yes" | "no"): Value {
  // `unknown && ''` and `unknown && false` are empty either way.
  const passed = settled === "no" ? falsy(left) : truthy(left);
  const both = passed && right.literals ? [...passed, ...right.literals] : undefined;
  return {
    literals: both && both.length <= LITERALS_MOST ? unique(both) : undefined,
    symbol: undefined,
    prefix: undefined,
    truth: right.truth === settled ? settled : "unknown",
    secrets: unique([...(settled === "no" ? [] : left.secrets), ...right.secrets]),
    stranger: stronger(settled === "no" ? "nothing" : left.stranger, right.stranger),
    maybeStranger: left.maybeStranger || right.maybeStranger,
    free:
      settled === "no"
        ? left.free && (right.free || right.truth === "yes")
        : left.free || right.free,
    why: unique([...left.why, ...right.why]).slice(0, 4),
  };
}

function falsy({ literals }: Value): readonly Literal[] {
  return literals?.filter((one) => !isTruthy(one)) ?? [false];
}

function truthy({ literals }: Value): readonly Literal[] | undefined {
  return literals?.filter(isTruthy);
}

const ORDER: readonly Chosen[] = ["nothing", "branch", "number", "repository", "commit"];

function stronger(one: Chosen, two: Chosen): Chosen {
  return ORDER.indexOf(one) >= ORDER.indexOf(two) ? one : two;
}

export function unique<T>(all: readonly T[]): T[] {
  return [...new Set(all)];
}

export const DEFAULT_BRANCH = "our default branch";
/** Labels that were set before: they stay when the pull request changes. */
export const LABELS_STAY = "labels that stay";

/** He is nobody whom a file names; it may be a bot that he has act. */
export const STRANGER_ACTS = "the stranger who acts";

/** A text may double with each level of variables: beyond this it is not followed. */
const TEXT_MOST = 20_000;

/** The values written one after the other. */
export function textOf(parts: readonly Value[]): Value {
  const [only] = parts;
  if (parts.length === 1 && only) return only;
  let texts: string[] | undefined = [""];
  let prefix: string | undefined = "";
  let open = true;
  for (const { literals, prefix: begin } of parts) {
    const next: string[] | undefined =
      texts && literals && texts.length * literals.length <= LITERALS_MOST
        ? texts.flatMap((text: string) => literals.map((one) => text + String(one ?? "")))
        : undefined;
    texts = next?.every((text) => text.length <= TEXT_MOST) ? next : undefined;
    if (!open) continue;
    const [first] = literals ?? [];
    if (literals?.length === 1) prefix = (prefix + String(first ?? "")).slice(0, TEXT_MOST);
    else {
      prefix += begin ?? "";
      open = false;
    }
  }
  const isFull = parts.some(
    ({ truth, literals }) => truth === "yes" && (!literals || literals.every((one) => one !== "")),
  );
  return {
    literals: texts,
    symbol: undefined,
    prefix: prefix === "" ? undefined : prefix,
    truth: isFull
      ? "yes"
      : parts.every(({ literals }) => literals?.every((one) => one === ""))
        ? "no"
        : "unknown",
    secrets: unique(parts.flatMap(({ secrets }) => secrets)),
    stranger: parts.reduce<Chosen>((all, { stranger }) => stronger(all, stranger), "nothing"),
    maybeStranger: parts.some(({ maybeStranger }) => maybeStranger),
    free: parts.some(({ free }) => free),
    why: unique(parts.flatMap(({ why }) => why)).slice(0, 4),
  };
}

/** A stranger's names are none that a file spells out, and none of ours. */
const isStrangers = (value: Value) => value.symbol?.startsWith("stranger's ") === true;

export function isEqual(one: Value, two: Value): Value {
  const free = one.free || two.free;
  const unsure = { ...ANYTHING, free, why: unique([...one.why, ...two.why]).slice(0, 4) };
  if (free) return unsure;
  for (const [value, other] of [
    [one, two],
    [two, one],
  ] as const) {
    if (value.literals || !other.literals) continue;
    // Who writes his repository's name into a condition means this one.
    if (value.symbol?.startsWith("our repository") && other.truth === "yes") return known(true);
    if (value.symbol === DEFAULT_BRANCH) {
      const main = /(?:^|\/)(?:main|master|trunk)$/i;
      if (other.literals.every((text) => main.test(String(text)))) return known(true);
    }
  }
  if (one.literals && two.literals) {
    if (one.literals.length * two.literals.length > PAIRS_MOST) return unsure;
    const answers = one.literals.flatMap((a) => two.literals?.map((b) => same(a, b)) ?? []);
    if (answers.every((answer) => !answer)) return known(false);
    return answers.every(Boolean) ? known(true) : unsure;
  }
  if (one.symbol !== undefined && one.symbol === two.symbol) return known(true);
  if (isStrangers(one) !== isStrangers(two)) {
    const other = isStrangers(one) ? two : one;
    // With a name that only the run knows, it may be the same.
    if (other.literals || other.symbol !== undefined) return known(false);
  }
  for (const [value, other] of [
    [one, two],
    [two, one],
  ] as const) {
    const { prefix } = value;
    if (prefix === undefined || !other.literals) continue;
    const none = other.literals.every(
      (text) =>
        !String(text ?? "")
          .toLowerCase()
          .startsWith(prefix.toLowerCase()),
    );
    if (none) return known(false);
  }
  if (one.truth !== "unknown" && two.truth !== "unknown" && one.truth !== two.truth) {
    return known(false);
  }
  return unsure;
}

function same(one: Literal, two: Literal): boolean {
  if (typeof one === "string" && typeof two === "string") {
    return one.toLowerCase() === two.toLowerCase();
  }
  if (typeof one === typeof two) return one === two;
  return numberOf(one) === numberOf(two);
}

function numberOf(literal: Literal): number {
  return literal === null || literal === ""
    ? 0
    : Number(Array.isArray(literal) ? Number.NaN : literal);
}

export function compare(operator: string, one: Value, two: Value): Value {
  const [a = null] = one.literals ?? [];
  const [b = null] = two.literals ?? [];
  if (one.literals?.length !== 1 || two.literals?.length !== 1) {
    return { ...ANYTHING, why: unique([...one.why, ...two.why]) };
  }
  const [left, right] = [numberOf(a), numberOf(b)];
  if (operator.startsWith("<")) return known(operator === "<" ? left < right : left <= right);
  return known(operator === ">" ? left > right : left >= right);
}

export function texts(
  one: Value,
  two: Value,
  holds: (text: string, part: string) => boolean,
): Value {
  const [texts, parts] = [one.literals, two.literals];
  const unsure = { ...ANYTHING, free: one.free || two.free, why: [...one.why, ...two.why] };
  if (unsure.free) return unsure;
  if (!texts || !parts) {
    // The ref of a pull request has one beginning, whatever its number.
    const [part] = parts ?? [];
    if (one.prefix === undefined || typeof part !== "string" || parts?.length !== 1) return unsure;
    const begin = one.prefix.slice(0, part.length).toLowerCase();
    if (one.prefix.length >= part.length) return known(begin === part.toLowerCase());
    return part.toLowerCase().startsWith(begin) ? unsure : known(false);
  }
  if (texts.length * parts.length > PAIRS_MOST) return unsure;
  const answers = texts.flatMap((text) =>
    parts.map((part) => holds(String(text ?? "").toLowerCase(), String(part ?? "").toLowerCase())),
  );
  const same = answers.every((answer) => answer === answers[0]);
  return same && answers[0] !== undefined ? known(answers[0]) : unsure;
}

export function contains(all: Value, one: Value): Value {
  if (all.symbol === LABELS_STAY) return known(true);
  const lists = all.literals?.filter((literal) => Array.isArray(literal));
  if (!all.literals || lists?.length === 0)
    return texts(all, one, (text, part) => text.includes(part));
  const members = lists?.flat().map((member) => isEqual(known(member as Literal), one).truth) ?? [];
  if (members.every((truth) => truth === "no")) return known(false);
  if (members.includes("yes") && lists?.length === 1) return known(true);
  return { ...ANYTHING, free: one.free, why: [...all.why, ...one.why] };
}

export function json(text: Value): Value {
  const [only] = text.literals ?? [];
  if (text.literals?.length !== 1 || typeof only !== "string")
    return { ...ANYTHING, why: text.why };
  try {
    const value: unknown = JSON.parse(only);
    const plain = (one: unknown) =>
      one === null || ["string", "number", "boolean"].includes(typeof one);
    if (plain(value) || (Array.isArray(value) && value.every(plain)))
      return known(value as Literal);
  } catch {
    // GitHub would stop there; what it comes to is not known.
  }
  return { ...ANYTHING, why: text.why };
}
