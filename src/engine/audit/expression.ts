/** GitHub's expressions: their grammar, and what one comes to where not everything is known. Pure. */

import {
  ANYTHING,
  compare,
  contains,
  either,
  isEqual,
  json,
  known,
  type Literal,
  not,
  type Runs,
  STRANGER_ACTS,
  textOf,
  texts,
  type Value,
} from "./value.ts";

export type Path = readonly (string | undefined)[];

/** What a text is read with: the value of `github.event_name` and of every other name. */
export type Lookup = (path: Path) => Value;

type Node =
  | { readonly kind: "literal"; readonly value: Literal }
  /** A part that only a run knows is undefined. */
  | { readonly kind: "path"; readonly path: Path }
  | { readonly kind: "call"; readonly name: string; readonly args: readonly Node[] }
  | { readonly kind: "not"; readonly of: Node }
  | {
      readonly kind: "binary";
      readonly operator: string;
      readonly left: Node;
      readonly right: Node;
    };

/** GitHub takes no longer one; a longer one is not judged. */
const LENGTH_MOST = 21_000;
const TOKENS_MOST = 2_000;
const DEPTH_MOST = 50;

const TOKEN =
  /\s*(?:('(?:[^']|'')*')|(-?0x[0-9a-f]+|-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)|(&&|\|\||==|!=|<=|>=|[<>!()[\].,*])|([A-Za-z_][\w-]*))/iy;

function tokensOf(text: string): string[] | undefined {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  const end = text.trimEnd().length;
  for (let at = 0; at < end; ) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (!match || tokens.length === TOKENS_MOST) return undefined;
    tokens.push(match[0].trim());
    at = TOKEN.lastIndex;
  }
  return tokens;
}

const LEVELS: readonly (readonly string[])[] = [
  ["||"],
  ["&&"],
  ["==", "!="],
  ["<", "<=", ">", ">="],
];

class Parser {
  private at = 0;
  private depth = 0;
  private readonly tokens: readonly string[];

  constructor(tokens: readonly string[]) {
    this.tokens = tokens;
  }

  whole(): Node | undefined {
    const node = this.binary(0);
    return this.at === this.tokens.length ? node : undefined;
  }

  private take(token: string): boolean {
    if (this.tokens[this.at] !== token) return false;
    this.at++;
    return true;
  }

  private binary(level: number): Node | undefined {
    const operators = LEVELS[level];
    if (!operators) return this.unary();
    let left = this.binary(level + 1);
    for (;;) {
      const operator = this.tokens[this.at];
      if (!left || operator === undefined || !operators.includes(operator)) return left;
      this.at++;
      const right = this.binary(level + 1);
      left = right && { kind: "binary", operator, left, right };
    }
  }

  private unary(): Node | undefined {
    // What is nested deeper is nobody's condition, and a stack has an end.
    if (++this.depth > DEPTH_MOST) return undefined;
    const node = this.term();
    this.depth--;
    return node;
  }

  private term(): Node | undefined {
    if (this.take("!")) {
      const of = this.unary();
      return of && { kind: "not", of };
    }
    if (this.take("(")) {
      const inner = this.binary(0);
      return this.take(")") ? inner : undefined;
    }
    const token = this.tokens[this.at++];
    if (token === undefined) return undefined;
    if (token.startsWith("'")) {
      return { kind: "literal", value: token.slice(1, -1).replaceAll("''", "'") };
    }
    if (/^-?\d/.test(token)) return { kind: "literal", value: Number(token) };
    if (!/^[A-Za-z_]/.test(token)) return undefined;
    const word = token.toLowerCase();
    if (word === "true" || word === "false") return { kind: "literal", value: word === "true" };
    if (word === "null") return { kind: "literal", value: null };
    return this.tokens[this.at] === "(" ? this.call(word) : this.path(token);
  }

  private call(name: string): Node | undefined {
    this.at++;
    const args: Node[] = [];
    while (!this.take(")")) {
      if (args.length > 0 && !this.take(",")) return undefined;
      const arg = this.binary(0);
      if (!arg) return undefined;
      args.push(arg);
    }
    // What is picked out of an answer, only a run knows.
    let picked = false;
    for (; this.tokens[this.at] === "." || this.tokens[this.at] === "["; picked = true) {
      if (this.take(".")) this.at++;
      else {
        this.at++;
        if (!this.binary(0) || !this.take("]")) return undefined;
      }
    }
    return picked ? { kind: "path", path: [undefined] } : { kind: "call", name, args };
  }

  private path(first: string): Node | undefined {
    const path: (string | undefined)[] = [first];
    for (;;) {
      if (this.take(".")) {
        const name = this.tokens[this.at++];
        if (name === undefined) return undefined;
        path.push(name);
      } else if (this.take("[")) {
        const index = this.binary(0);
        if (!index || !this.take("]")) return undefined;
        path.push(index.kind === "literal" ? String(index.value) : undefined);
      } else return { kind: "path", path };
    }
  }
}

const parsed = new Map<string, Node | undefined>();
const PARSED_MOST = 5_000;

function parse(text: string): Node | undefined {
  if (text.length > LENGTH_MOST) return undefined;
  if (parsed.has(text)) return parsed.get(text);
  const tokens = tokensOf(text);
  const node = tokens && new Parser(tokens).whole();
  if (parsed.size > PARSED_MOST) parsed.clear();
  parsed.set(text, node);
  return node;
}

/** What the expression comes to; one that cannot be read may come to anything. */
export function evaluate(text: string, lookup: Lookup): Value {
  const node = parse(text.trim());
  return node ? valueAt(node, lookup) : { ...ANYTHING, why: [text.trim().slice(0, 80)] };
}

/** A condition, with or without its braces. */
export function isTrue(text: string, lookup: Lookup): Runs {
  const whole = /^\s*\$\{\{((?:(?!\}\}).)*)\}\}\s*$/s.exec(text)?.[1] ?? text;
  const value = whole.includes("${{") ? template(text, lookup) : evaluate(whole, lookup);
  // What a stranger decides comes out as he wants it.
  const is = value.truth === "unknown" && value.free ? "yes" : value.truth;
  return { is, why: is === "unknown" ? value.why : [] };
}

/** A text with `${{ … }}` in it. */
export function template(text: string, lookup: Lookup): Value {
  const parts: Value[] = [];
  let at = 0;
  for (;;) {
    const begin = text.indexOf("${{", at);
    const end = begin < 0 ? -1 : text.indexOf("}}", begin);
    if (end < 0) break;
    if (begin > at) parts.push(known(text.slice(at, begin)));
    parts.push(evaluate(text.slice(begin + 3, end), lookup));
    at = end + 2;
  }
  if (at < text.length || parts.length === 0) parts.push(known(text.slice(at)));
  return textOf(parts);
}

function valueAt(node: Node, lookup: Lookup): Value {
  switch (node.kind) {
    case "literal":
      return known(node.value);
    case "path":
      return lookup(node.path);
    case "not":
      return not(valueAt(node.of, lookup));
    case "call":
      return called(
        node.name,
        node.args.map((one) => valueAt(one, lookup)),
      );
    case "binary": {
      const left = valueAt(node.left, lookup);
      const right = valueAt(node.right, lookup);
      return binary(node.operator, left, right);
    }
    default:
      return node satisfies never;
  }
}

function binary(operator: string, left: Value, right: Value): Value {
  switch (operator) {
    case "&&":
      return left.truth === "no" ? left : left.truth === "yes" ? right : either(left, right, "no");
    case "||":
      return left.truth === "yes" ? left : left.truth === "no" ? right : either(left, right, "yes");
    case "==":
      return isEqual(left, right);
    case "!=":
      return isNotNamed(left, right) ? known(true) : not(isEqual(left, right));
    default:
      return compare(operator, left, right);
  }
}

function isNotNamed(...sides: readonly Value[]): boolean {
  return (
    sides.some(({ symbol }) => symbol === STRANGER_ACTS) && sides.some(({ literals }) => literals)
  );
}

function called(name: string, args: readonly Value[]): Value {
  const [first = ANYTHING, second = ANYTHING] = args;
  switch (name) {
    case "success":
    case "always":
      return known(true);
    case "failure":
    case "cancelled":
      return { ...ANYTHING, why: [`${name}()`] };
    case "contains":
      return contains(first, second);
    case "startswith":
      return texts(first, second, (text, part) => text.startsWith(part));
    case "endswith":
      return texts(first, second, (text, part) => text.endsWith(part));
    case "fromjson":
      return json(first);
    case "format":
    case "join":
    case "tojson":
      return textOf(args);
    default:
      return { ...ANYTHING, why: [`${name}(…)`] };
  }
}
