/** One YAML file of somebody else's: read node by node, so that nothing in it costs more than its size. */

import { lstat, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Document, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";

/** Bytes of one file; GitHub itself takes less. */
const BYTES_MOST = 512 * 1024;
/** Nodes that aliases may stand for: a few kilobytes of them can mean gigabytes. */
const ALIASES_MOST = 100;

export type YamlNode = Node | null;

export class YamlFile {
  /** Below the root it was read from. */
  readonly file: string;
  private readonly lines = new LineCounter();
  private readonly document: Document;

  private constructor(file: string, text: string) {
    this.file = file;
    this.document = parseDocument(text, { lineCounter: this.lines, prettyErrors: false });
    const [error] = this.document.errors;
    if (error) {
      throw new Error(`line ${this.lines.linePos(error.pos[0]).line}: ${error.message}`);
    }
    // Throws where aliases stand for more than that; the nodes are read one by one.
    this.document.toJS({ maxAliasCount: ALIASES_MOST });
  }

  /** Throws with what is wrong: no plain file, too large, no YAML, too many aliases. */
  static async read(root: string, file: string): Promise<YamlFile> {
    const path = join(root, file);
    const stats = await lstat(path);
    // A link could lead anywhere, and what is wrong with a file is quoted.
    if (!stats.isFile()) throw new Error("it is no plain file");
    if (stats.size > BYTES_MOST) throw new Error(`it has ${stats.size} bytes, over ${BYTES_MOST}`);
    return new YamlFile(file, await readFile(path, "utf8"));
  }

  get root(): YamlNode {
    return this.document.contents;
  }

  private resolve(node: unknown): YamlNode {
    const alias = node as { resolve?: (document: Document) => Node | undefined } | null;
    return typeof alias?.resolve === "function"
      ? (alias.resolve(this.document) ?? null)
      : ((node as YamlNode | undefined) ?? null);
  }

  get(node: YamlNode, name: string): YamlNode {
    return isMap(node) ? this.resolve(node.get(name, true)) : null;
  }

  entries(node: YamlNode): [string, YamlNode][] {
    if (!isMap(node)) return [];
    return node.items.map(({ key, value }) => [this.text(this.resolve(key)), this.resolve(value)]);
  }

  texts(node: YamlNode): Map<string, string> {
    return new Map(this.entries(node).map(([name, value]) => [name, this.text(value)]));
  }

  /** `push`, `[push, pull_request]` or the keys of a map. */
  names(node: YamlNode): string[] {
    if (isMap(node)) return this.entries(node).map(([name]) => name);
    if (isSeq(node)) return node.items.map((item) => this.text(this.resolve(item)));
    const text = this.text(node);
    return text === "" ? [] : [text];
  }

  text(node: YamlNode): string {
    return isScalar(node) && node.value !== null ? String(node.value) : "";
  }

  comment(node: YamlNode): string {
    return isScalar(node) ? (node.comment ?? "") : "";
  }

  where(node: YamlNode): string {
    const at = node?.range?.[0];
    return at === undefined ? this.file : `${this.file}:${this.lines.linePos(at).line}`;
  }

  isList(node: YamlNode): boolean {
    return isSeq(node);
  }

  /** The items of a list; none where it is no list. */
  items(node: YamlNode): YamlNode[] {
    return isSeq(node) ? node.items.map((item) => this.resolve(item)) : [];
  }

  /** Itself, or where it is a map the value of `name`. */
  either(node: YamlNode, name: string): YamlNode {
    return isMap(node) ? this.get(node, name) : node;
  }
}
