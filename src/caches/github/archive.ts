/** Unpacking an entry of GitHub's cache: looked through to its end before the first file is written. */

import { createReadStream } from "node:fs";
import { open, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { makeFolder } from "../../host/atomic.ts";

export type ArchiveForm = "zstd" | "gzip";

/**
 * Unpacks `archive` into `directory`. What we save is plain files and folders below one folder with a
 * relative name; the client's tar would follow an archive wherever it leads (`--posix -P`). Another
 * member refuses the whole: then nothing was written. Throws.
 */
export async function unpack(
  archive: string,
  form: ArchiveForm,
  directory: string,
  folder: string,
): Promise<void> {
  await refuseAnswer(archive);
  for await (const member of members(archive, form)) check(member, folder);
  await rm(join(directory, folder), { recursive: true, force: true });
  for await (const member of members(archive, form)) {
    check(member, folder);
    await write(member, directory);
  }
}

/** The client writes whatever the storage sends into the archive's place, its refusals as well. */
async function refuseAnswer(archive: string): Promise<void> {
  const file = await open(archive);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(BLOCK), 0, BLOCK, 0);
    const code = /<Error>.*<Code>(\w{1,80})<\/Code>/s.exec(buffer.toString("latin1", 0, bytesRead));
    if (code) throw new Error(`the storage answered ${code[1]} in place of the archive`);
  } finally {
    await file.close();
  }
}

/** How a refusal begins; it is told apart from an archive that arrived damaged. */
export const FOREIGN = "the archive holds what no run of ours saves";

interface Member {
  readonly name: string;
  readonly type: string;
  /** Its bytes; what is not read of them is passed over. */
  content(): AsyncIterable<Buffer>;
}

const FILE = "0";
const FOLDER = "5";

function check({ name, type }: Member, folder: string): void {
  const parts = plainName(name).split("/");
  const leads = name.startsWith("/") || parts[0] !== folder || parts.some((part) => part === "..");
  if (leads || parts.some((part) => part === "" || part === ".") || /\p{Cc}|\\/u.test(name)) {
    throw new Error(`${FOREIGN}: ${JSON.stringify(name.slice(0, 200))} is not below ${folder}`);
  }
  if (type !== FILE && type !== FOLDER) {
    throw new Error(`${FOREIGN}: ${JSON.stringify(name.slice(0, 200))} is no plain file`);
  }
}

function plainName(name: string): string {
  return name.replace(/^\.\//, "").replace(/\/$/, "");
}

async function write({ name, type, content }: Member, directory: string): Promise<void> {
  const path = join(directory, plainName(name));
  if (type === FOLDER) {
    await makeFolder(path);
    return;
  }
  await makeFolder(dirname(path));
  // Never through something that is there: the folder was empty.
  const file = await open(path, "wx", 0o644);
  try {
    for await (const chunk of content()) await file.writeFile(chunk);
  } finally {
    await file.close();
  }
}

const BLOCK = 512;
/** Of a name or of attributes, in bytes: no path is longer. */
const LONGEST = 64 * 1024;

/** Source: POSIX pax (ustar and its `x` and `g` headers), and GNU tar's `L` for long names. */
async function* members(archive: string, form: ArchiveForm): AsyncGenerator<Member> {
  const source = createReadStream(archive);
  const plain = source.pipe(form === "zstd" ? createZstdDecompress() : createGunzip());
  // Without this a file that cannot be read would be waited for.
  source.on("error", (error) => plain.destroy(error));
  const reader = new Reader(plain[Symbol.asyncIterator]() as AsyncIterator<Buffer>);
  try {
    let longName: string | undefined;
    let attributes = new Map<string, string>();
    for (;;) {
      const header = await reader.take(BLOCK);
      if (header.every((byte) => byte === 0)) return;
      if (checksum(header) !== octal(header, 148, 8)) throw new Error("the archive is damaged");
      const type = String.fromCharCode(header[156] || 48);
      const size = Number(attributes.get("size") ?? octal(header, 124, 12));
      if (!Number.isSafeInteger(size) || size < 0) throw new Error("the archive is damaged");
      const padding = (BLOCK - (size % BLOCK)) % BLOCK;
      if (type === "x" || type === "g" || type === "L") {
        if (size > LONGEST) throw new Error(`${FOREIGN}: a name of ${size} bytes`);
        const text = (await reader.take(size + padding)).subarray(0, size).toString("utf8");
        if (type === "L") longName = text.replace(/\0+$/, "");
        else if (type === "x") attributes = paxAttributes(text);
        continue;
      }
      const name = attributes.get("path") ?? longName ?? ustarName(header);
      const end = reader.at + size;
      yield { name, type, content: () => reader.upTo(end) };
      await reader.skipTo(end + padding);
      longName = undefined;
      attributes = new Map();
    }
  } finally {
    source.destroy();
    plain.destroy();
  }
}

function octal(header: Buffer, at: number, length: number): number {
  const text = header
    .toString("latin1", at, at + length)
    .replace(/\0.*$/s, "")
    .trim();
  return /^[0-7]*$/.test(text) ? Number.parseInt(text || "0", 8) : Number.NaN;
}

function checksum(header: Buffer): number {
  return header.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 32 : byte), 0);
}

function ustarName(header: Buffer): string {
  const text = (at: number, length: number) =>
    header.toString("utf8", at, at + length).replace(/\0.*$/s, "");
  const prefix = text(257, 5) === "ustar" ? text(345, 155) : "";
  return prefix === "" ? text(0, 100) : `${prefix}/${text(0, 100)}`;
}

/** `LENGTH NAME=VALUE\n`, one after another; the length is in bytes, and counts itself. */
function paxAttributes(text: string): Map<string, string> {
  const found = new Map<string, string>();
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    const length = Number(/^(\d{1,6}) /.exec(rest.toString("latin1", 0, 8))?.[1]);
    const record = rest.toString("utf8", 0, length);
    const [, name, value] = /^\d+ ([^=]+)=(.*)\n$/s.exec(record) ?? [];
    if (!(length > 0) || length > rest.length || name === undefined || value === undefined) {
      throw new Error("the archive is damaged");
    }
    found.set(name, value);
    rest = rest.subarray(length);
  }
  return found;
}

/** Bytes of a stream, by their place in it. */
class Reader {
  at = 0;
  private readonly source: AsyncIterator<Buffer>;
  private chunk: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterator<Buffer>) {
    this.source = source;
  }

  async take(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for await (const part of this.upTo(this.at + length)) parts.push(part);
    return Buffer.concat(parts);
  }

  async skipTo(end: number): Promise<void> {
    for await (const _ of this.upTo(end));
  }

  async *upTo(end: number): AsyncGenerator<Buffer> {
    while (this.at < end) {
      if (this.chunk.length === 0) {
        const { done, value } = await this.source.next();
        if (done) throw new Error("the archive ends too early");
        this.chunk = value;
        continue;
      }
      const part = this.chunk.subarray(0, end - this.at);
      this.chunk = this.chunk.subarray(part.length);
      this.at += part.length;
      yield part;
    }
  }
}
