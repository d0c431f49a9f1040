/**
 * Owns the loopback server of the bench: folders over HTTP/1.1, a delay before each answer, PUT.
 * It speaks to sockets itself: Node's own HTTP server would be slower than the clients it is to
 * measure. Run as a process of its own: `node bench/server.ts '[{"directory":…,"delay":20}]'`;
 * it prints one JSON line with a port for each folder, and ends with its standard input.
 */

import { createWriteStream, type WriteStream } from "node:fs";
import { mkdir, open, readFile, stat, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { dirname, join, normalize } from "node:path";

export interface Site {
  readonly directory: string;
  /** Milliseconds before each answer. */
  readonly delay: number;
}

/** Files up to this size are kept in memory once they were read. */
const SMALL = 256 * 1024;

class Folder {
  private readonly site: Site;
  private readonly known = new Map<string, Buffer | undefined>();

  constructor(site: Site) {
    this.site = site;
  }

  get delay(): number {
    return this.site.delay;
  }

  file(path: string): string {
    return join(this.site.directory, normalize(`/${decodeURIComponent(path)}`));
  }

  /** The content; its size where it is too large to keep; undefined where there is none. */
  async look(path: string): Promise<Buffer | number | undefined> {
    if (this.known.has(path)) return this.known.get(path);
    const file = this.file(path);
    const size = await stat(file).then(
      (found) => (found.isFile() ? found.size : undefined),
      () => undefined,
    );
    if (size !== undefined && size > SMALL) return size;
    const content = size === undefined ? undefined : await readFile(file);
    this.known.set(path, content);
    return content;
  }

  async put(path: string, content: Buffer): Promise<void> {
    this.known.set(path, content);
    const file = this.file(path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, content);
  }

  async putStream(path: string): Promise<WriteStream> {
    this.known.delete(path);
    const file = this.file(path);
    await mkdir(dirname(file), { recursive: true });
    return createWriteStream(file);
  }
}

/** One connection: requests one after another, each answered before the next is read. */
class Connection {
  private readonly socket: Socket;
  private readonly folder: Folder;
  private pending: Buffer[] = [];
  private wake: (() => void) | undefined;
  private ended = false;

  constructor(socket: Socket, folder: Folder) {
    this.socket = socket;
    this.folder = folder;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => {
      this.pending.push(chunk);
      if (this.pending.length > 64) socket.pause();
      this.wake?.();
    });
    const end = () => {
      this.ended = true;
      this.wake?.();
    };
    socket.on("close", end);
    socket.on("end", end);
    socket.on("error", end);
  }

  async serve(): Promise<void> {
    for (;;) {
      const head = await this.head();
      if (head === undefined) break;
      await this.answer(head);
    }
    this.socket.destroy();
  }

  private async chunk(): Promise<Buffer | undefined> {
    while (this.pending.length === 0) {
      if (this.ended) return undefined;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
      this.wake = undefined;
    }
    const chunk = this.pending.shift();
    if (this.pending.length < 16 && this.socket.isPaused()) this.socket.resume();
    return chunk;
  }

  private async head(): Promise<string | undefined> {
    let held: Buffer = Buffer.alloc(0);
    for (;;) {
      const chunk = await this.chunk();
      if (chunk === undefined) return undefined;
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      const end = held.indexOf("\r\n\r\n");
      if (end < 0) continue;
      if (held.length > end + 4) this.pending.unshift(held.subarray(end + 4));
      return held.toString("latin1", 0, end);
    }
  }

  private async answer(head: string): Promise<void> {
    const [line = ""] = head.split("\r\n", 1);
    const [method = "", target = "/"] = line.split(" ");
    const [path = "/"] = target.split("?", 1);
    if (method === "PUT") await this.put(path, head);
    await new Promise((resolve) => setTimeout(resolve, this.folder.delay));
    if (method === "PUT") return this.reply("201 Created", Buffer.alloc(0));
    if (method !== "GET" && method !== "HEAD") return this.reply("405 No", Buffer.alloc(0));
    const found = await this.folder.look(path);
    if (found === undefined) return this.reply("404 Not Found", Buffer.from("no"), method);
    if (typeof found !== "number") return this.reply("200 OK", found, method);
    await this.large(path, found, method, /\r\nrange: *bytes=(\d+)-(\d*)/i.exec(head));
  }

  private reply(status: string, body: Buffer, method = "GET"): void {
    const head = `HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\n\r\n`;
    this.socket.cork();
    this.socket.write(head, "latin1");
    if (method !== "HEAD" && body.length > 0) this.socket.write(body);
    this.socket.uncork();
  }

  private async large(
    path: string,
    size: number,
    method: string,
    range: RegExpExecArray | null,
  ): Promise<void> {
    const from = Number(range?.[1] ?? 0);
    const to = range?.[2] ? Math.min(Number(range[2]), size - 1) : size - 1;
    const status = range ? "206 Partial Content" : "200 OK";
    const where = range ? `Content-Range: bytes ${from}-${to}/${size}\r\n` : "";
    this.socket.write(
      `HTTP/1.1 ${status}\r\nContent-Length: ${to - from + 1}\r\nAccept-Ranges: bytes\r\n${where}\r\n`,
    );
    if (method === "HEAD") return;
    const file = await open(this.folder.file(path));
    try {
      for (let at = from; at <= to && !this.ended; ) {
        const buffer = Buffer.allocUnsafe(Math.min(1024 * 1024, to - at + 1));
        const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
        at += bytesRead;
        await this.written(this.socket, buffer.subarray(0, bytesRead));
      }
    } finally {
      await file.close();
    }
  }

  private async put(path: string, head: string): Promise<void> {
    if (/\r\nexpect: *100-continue/i.test(head)) this.socket.write("HTTP/1.1 100 Continue\r\n\r\n");
    const length = Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? -1);
    if (length >= 0 && length <= SMALL) {
      const chunks: Buffer[] = [];
      for await (const chunk of this.sized(length)) chunks.push(chunk);
      return this.folder.put(path, Buffer.concat(chunks));
    }
    const out = await this.folder.putStream(path);
    const body = length >= 0 ? this.sized(length) : this.chunked();
    for await (const chunk of body) await this.written(out, chunk);
    await new Promise<void>((resolve) => out.end(resolve));
  }

  private async *sized(length: number): AsyncGenerator<Buffer> {
    for (let left = length; left > 0; ) {
      const chunk = await this.chunk();
      if (chunk === undefined) return;
      if (chunk.length > left) this.pending.unshift(chunk.subarray(left));
      yield chunk.subarray(0, left);
      left -= Math.min(left, chunk.length);
    }
  }

  private async *chunked(): AsyncGenerator<Buffer> {
    for (;;) {
      const size = Number.parseInt(await this.textLine(), 16);
      if (Number.isNaN(size)) return;
      yield* this.sized(size);
      await this.textLine();
      if (size === 0) return;
    }
  }

  private async textLine(): Promise<string> {
    let held: Buffer = Buffer.alloc(0);
    for (;;) {
      const chunk = await this.chunk();
      if (chunk === undefined) return "";
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      const end = held.indexOf("\r\n");
      if (end < 0) continue;
      if (held.length > end + 2) this.pending.unshift(held.subarray(end + 2));
      return held.toString("latin1", 0, end);
    }
  }

  private async written(out: WriteStream | Socket, chunk: Buffer): Promise<void> {
    if (out.write(chunk) || out.destroyed) return;
    await new Promise<void>((resolve) => {
      const go = () => {
        out.off("drain", go).off("close", go);
        resolve();
      };
      out.on("drain", go).on("close", go);
    });
  }
}

const sites = JSON.parse(process.argv[2] ?? "[]") as Site[];
const ports: number[] = [];
for (const site of sites) {
  const folder = new Folder(site);
  const server = createServer((socket) => {
    new Connection(socket, folder).serve().catch(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", 1024, resolve));
  ports.push((server.address() as AddressInfo).port);
}
console.log(JSON.stringify(ports));
process.stdin.resume().on("end", () => process.exit(0));
