/** Shell scripts as far as an audit reads them: which commands stand in one, with which words. Pure. */

export interface Command {
  /** Without quotes; `${{ … }}` and `$NAME` as written. */
  readonly words: readonly string[];
  /** `NAME=value` before the command, or alone. */
  readonly assigned: readonly string[];
  /** What its output goes into: the first word of the next command of a pipe. */
  readonly pipedInto: readonly string[] | undefined;
  /** Files that its output is written to. */
  readonly writesTo: readonly string[];
  /** Text that it is given by `<<EOF`. */
  readonly given: string;
  /** Whether its failure goes unseen: `|| true`. */
  readonly failure: "seen" | "swallowed";
  /** What the words of a shell around it say: `nix develop --command`. */
  readonly within: readonly string[];
}

interface Draft {
  words: string[];
  word: string | undefined;
  assigned: string[];
  writesTo: string[];
  given: string;
  redirect: boolean;
  quote: '"' | undefined;
  /** What ends a command in it: `)` or a back quote. */
  until: string;
}

/** The commands of a script, in the order in which they are written; what they run in turn is not among them. */
export function readScript(script: string): Command[] {
  return new ScriptReader(script).read();
}

class ScriptReader {
  private readonly text: string;
  private at = 0;
  private readonly commands: Command[] = [];
  private readonly stack: Draft[] = [];
  private draft = fresh("");
  /** Delimiters whose texts begin at the next line. */
  private readonly heredocs: { readonly end: string; readonly of: Draft }[] = [];
  private operator = "";
  /** Where each `{ …; }` began, and the last one that was closed. */
  private readonly groups: number[] = [];
  private closed = -1;

  constructor(text: string) {
    this.text = text;
  }

  read(): Command[] {
    while (this.at < this.text.length) this.step();
    while (this.stack.length > 0) this.close();
    this.end("");
    return this.commands;
  }

  private add(text: string): void {
    this.draft.word = (this.draft.word ?? "") + text;
  }

  private step(): void {
    const { text, draft } = this;
    const c = text.charAt(this.at);
    const next = text.charAt(this.at + 1);
    if (text.startsWith("${{", this.at)) {
      this.expression();
      return;
    }
    if (c === "\\") {
      this.at += 2;
      if (next !== "\n") this.add(next);
      return;
    }
    if (c === "$" && next === "(") {
      this.open(")", 2);
      return;
    }
    if (c === "`") {
      if (draft.until === "`") this.close();
      else this.open("`", 1);
      return;
    }
    if (draft.quote) {
      this.at++;
      if (c === '"') draft.quote = undefined;
      else this.add(c);
      return;
    }
    if (c === '"') {
      draft.quote = '"';
      this.at++;
      this.add("");
      return;
    }
    if (c === "'") {
      const end = text.indexOf("'", this.at + 1);
      this.add(text.slice(this.at + 1, end < 0 ? undefined : end));
      this.at = end < 0 ? text.length : end + 1;
      return;
    }
    if (c === draft.until && c !== "") {
      this.close();
      return;
    }
    this.plain(c, next);
  }

  private plain(c: string, next: string): void {
    const { draft } = this;
    this.at++;
    switch (c) {
      case " ":
      case "\t":
      case "\r":
        this.word();
        return;
      case "#":
        if (draft.word !== undefined) {
          this.add(c);
          return;
        }
        this.at = this.lineEnd();
        return;
      case "\n":
        this.end(";");
        this.heredoc();
        return;
      case ";":
        this.end(";");
        return;
      case "(":
      case ")":
        this.end(";");
        return;
      case "&":
        if (next === "&") this.at++;
        else if (next === ">" || this.text.charAt(this.at - 2) === ">") return;
        this.end(next === "&" ? "&&" : ";");
        return;
      case "|":
        if (next === "|" || next === "&") this.at++;
        this.end(next === "|" ? "||" : "|");
        return;
      case ">":
        if (next === ">" || next === "|") this.at++;
        // `2>file`: the number is no word.
        if (/^\d$/.test(draft.word ?? "")) draft.word = undefined;
        this.word();
        draft.redirect = true;
        return;
      case "<":
        this.input(next);
        return;
      default:
        this.add(c);
        return;
    }
  }

  private input(next: string): void {
    this.word();
    if (next === "(") {
      this.open(")", 1);
      return;
    }
    const match = /^<(-?)[ \t]*(["'\\]?)([A-Za-z_]\w*)\2/.exec(
      this.text.slice(this.at, this.at + 80),
    );
    if (!match?.[3]) return;
    this.at += match[0].length;
    this.heredocs.push({ end: match[3], of: this.draft });
  }

  private lineEnd(): number {
    const end = this.text.indexOf("\n", this.at);
    return end < 0 ? this.text.length : end;
  }

  /** The commands were written before their texts: each is the last one that was ended. */
  private heredoc(): void {
    for (const { end } of this.heredocs.splice(0)) {
      const lines: string[] = [];
      while (this.at < this.text.length) {
        const stop = this.lineEnd();
        const line = this.text.slice(this.at, stop);
        this.at = stop + 1;
        if (line.trim() === end) break;
        lines.push(line);
      }
      const last = this.commands.at(-1);
      if (last) this.commands[this.commands.length - 1] = { ...last, given: lines.join("\n") };
    }
  }

  private expression(): void {
    const end = this.text.indexOf("}}", this.at);
    const stop = end < 0 ? this.text.length : end + 2;
    this.add(this.text.slice(this.at, stop));
    this.at = stop;
  }

  private open(until: string, length: number): void {
    this.at += length;
    this.stack.push(this.draft);
    this.draft = fresh(until);
  }

  private close(): void {
    this.at++;
    this.end(";");
    this.draft = this.stack.pop() ?? fresh("");
    this.add("$(…)");
  }

  private word(): void {
    const { draft } = this;
    const { word } = draft;
    if (word === undefined) return;
    draft.word = undefined;
    if (word === "{" && draft.words.length === 0) this.groups.push(this.commands.length);
    if (word === "}" && draft.words.length === 0) this.closed = this.groups.pop() ?? -1;
    if (draft.redirect) {
      draft.redirect = false;
      draft.writesTo.push(word);
    } else if (draft.words.length === 0 && /^[A-Za-z_]\w*\+?=/.test(word))
      draft.assigned.push(word);
    else if (draft.words.length > 0 || !BEFORE.has(word)) draft.words.push(word);
  }

  private end(operator: string): void {
    this.word();
    const { draft } = this;
    const { words, assigned, writesTo, given } = draft;
    const last = this.commands.at(-1);
    if (this.closed >= 0 && words.length === 0 && writesTo.length > 0) {
      for (let at = this.closed; at < this.commands.length; at++) {
        const one = this.commands[at];
        if (one) this.commands[at] = { ...one, writesTo: [...one.writesTo, ...writesTo] };
      }
    }
    this.closed = -1;
    if (words.length > 0 || assigned.length > 0) {
      if (last && this.operator === "|") {
        this.commands[this.commands.length - 1] = { ...last, pipedInto: words };
      }
      const swallows = words[0] === "true" || words[0] === ":" || words[0] === "echo";
      if (last && this.operator === "||" && swallows) {
        this.commands[this.commands.length - 1] = { ...last, failure: "swallowed" };
      }
      this.commands.push({
        words,
        assigned,
        writesTo,
        given,
        pipedInto: undefined,
        failure: "seen",
        within: [],
      });
    }
    this.operator = operator;
    this.draft = { ...fresh(draft.until) };
  }
}

function fresh(until: string): Draft {
  return {
    words: [],
    word: undefined,
    assigned: [],
    writesTo: [],
    given: "",
    redirect: false,
    quote: undefined,
    until,
  };
}

/** Words of the shell that stand before a command. */
const BEFORE = new Set([
  "if",
  "then",
  "else",
  "elif",
  "while",
  "until",
  "do",
  "!",
  "{",
  "}",
  "time",
]);
