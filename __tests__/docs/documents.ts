/** Owns reading the project's documents: their text, fenced blocks, commands and links. */

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

export interface Document {
  /** Relative to the repository. */
  readonly file: string;
  readonly text: string;
}

export interface Block {
  readonly file: string;
  /** Of the line with the opening fence, from 1. */
  readonly line: number;
  readonly language: string;
  readonly text: string;
}

const ELSEWHERE = /^(dist|demo-out|bench-out|coverage|\.git)(\/|$)|(^|\/)node_modules(\/|$)/;

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const found = entries.map((entry) => {
    const path = join(folder, entry.name);
    if (ELSEWHERE.test(path)) return [];
    return entry.isDirectory() ? filesBelow(path) : [path];
  });
  return (await Promise.all(found)).flat().sort();
}

/** Every Markdown file of the repository. */
export async function documents(): Promise<Document[]> {
  const files = (await filesBelow(".")).filter((file) => file.endsWith(".md"));
  return Promise.all(files.map(async (file) => ({ file, text: await readFile(file, "utf8") })));
}

/** Fenced blocks as CommonMark has them; indented ones lose their indentation. */
export function blocksOf({ file, text }: Document): Block[] {
  const blocks: Block[] = [];
  let open:
    | { indent: number; fence: string; line: number; language: string; lines: string[] }
    | undefined;
  for (const [at, line] of text.split("\n").entries()) {
    const [, indent = "", fence = "", language = ""] =
      /^( *)(`{3,}|~{3,})\s*(\S*)/.exec(line) ?? [];
    if (open === undefined) {
      if (fence) open = { indent: indent.length, fence, line: at + 1, language, lines: [] };
    } else if (fence.startsWith(open.fence) && language === "") {
      blocks.push({ file, line: open.line, language: open.language, text: open.lines.join("\n") });
      open = undefined;
    } else
      open.lines.push(line.slice(Math.min(open.indent, line.length - line.trimStart().length)));
  }
  if (open !== undefined) throw new Error(`${file}:${open.line}: this block is never closed`);
  return blocks;
}

/** The text without fenced blocks: what is left may hold links and inline code. */
export function proseOf({ text }: Document): string {
  return text.replace(/^( *)(`{3,}|~{3,})[^\n]*\n[\s\S]*?^\1\2[^\n]*$/gm, "");
}

export interface Command {
  readonly file: string;
  readonly command: string;
}

/** What inline code has to begin with to be a command a reader would type. */
const TYPED = /^(npm |npx |\.\/scripts\/|nix-cache-preflight )/;

/** Every command of `sh` blocks and of inline code, each once in a file. */
export function commandsOf(document: Document): Command[] {
  const { file } = document;
  const found = new Set<string>();
  for (const { language, text } of blocksOf(document)) {
    if (!["sh", "bash", "shell", "console"].includes(language)) continue;
    for (const line of text.replaceAll("\\\n", " ").split("\n")) {
      // A session: what has no prompt is an answer.
      if (language === "console" && !line.startsWith("$ ")) continue;
      const command = line
        .replace(/^\$ /, "")
        .replace(/\s+#\s.*$/, "")
        .trim();
      if (command !== "" && !command.startsWith("#")) found.add(command);
    }
  }
  for (const [, code = ""] of proseOf(document).matchAll(/`([^`\n]+)`/g)) {
    if (TYPED.test(code)) found.add(code.trim());
  }
  return [...found].map((command) => ({ file, command }));
}

/** Targets of links and pictures, without those that leave the repository. */
export function linksOf(document: Document): string[] {
  const prose = proseOf(document).replace(/`[^`\n]*`/g, "");
  const targets = [
    ...prose.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g),
    ...prose.matchAll(/^\s*\[[^\]]+\]:\s*(\S+)/gm),
    ...prose.matchAll(/\s(?:src|href|srcset)="([^"]+)"/g),
  ].map(([, target = ""]) => target);
  return targets.filter((target) => !/^[a-z][a-z0-9+.-]*:/i.test(target));
}

/** Anchors of its headings, as GitHub makes them. */
export function anchorsOf(document: Document): Set<string> {
  const seen = new Map<string, number>();
  const anchors = new Set<string>();
  for (const [, heading = ""] of proseOf(document).matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)) {
    const slug = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M}\s_-]/gu, "")
      .replace(/\s/g, "-");
    const times = seen.get(slug) ?? 0;
    seen.set(slug, times + 1);
    anchors.add(times === 0 ? slug : `${slug}-${times}`);
  }
  return anchors;
}
