/** Owns the blobs behind the cache service: as much of Azure's block blobs as its client asks for. */

import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { HttpError, type Reply, readBody, text } from "./http.ts";

const LIMIT = 256 * 1024 * 1024;

export interface BlobStore {
  /** A URL that lets its holder do this one thing with the blob. */
  url(origin: string, id: number, may: "read" | "write"): string;
  answer(request: IncomingMessage, url: URL): Promise<Reply>;
  /** Undefined until all of it was put. */
  size(id: number): number | undefined | Promise<number | undefined>;
  damage(id: number): void;
}

/** Source: https://learn.microsoft.com/rest/api/storageservices/put-blob, put-block, put-block-list */
export function blobStore(): BlobStore {
  const signatures = new Map<string, string>();
  const blobs = new Map<string, Buffer>();
  const blocks = new Map<string, Map<string, Buffer>>();

  const put = async (request: IncomingMessage, url: URL, id: string): Promise<Reply> => {
    const body = await readBody(request, { limit: LIMIT });
    const comp = url.searchParams.get("comp");
    const staged = blocks.get(id) ?? new Map<string, Buffer>();
    if (comp === "block") {
      blocks.set(id, staged.set(url.searchParams.get("blockid") ?? "", body));
    } else if (comp === "blocklist") {
      const names = [...body.toString("utf8").matchAll(/<Latest>([^<]*)<\/Latest>/g)];
      const parts = names.map(([, name = ""]) => staged.get(name));
      if (parts.some((part) => part === undefined)) throw refuse(400, "InvalidBlockList");
      blobs.set(id, Buffer.concat(parts as Buffer[]));
    } else {
      if (request.headers["x-ms-blob-type"] !== "BlockBlob") throw refuse(400, "MissingHeader");
      blobs.set(id, body);
    }
    return { status: 201, headers: { etag: '"1"', "x-ms-request-id": "1" } };
  };

  return {
    url(origin, id, may) {
      const signature = randomBytes(12).toString("hex");
      signatures.set(signature, `${may} ${id}`);
      return `${origin}/blob/${id}?sig=${signature}`;
    },
    async answer(request, url) {
      const id = url.pathname.slice("/blob/".length);
      const may = signatures.get(url.searchParams.get("sig") ?? "");
      const reads = request.method === "GET" || request.method === "HEAD";
      if (may !== `${reads ? "read" : "write"} ${id}`) throw refuse(403, "AuthenticationFailed");
      if (request.method === "PUT") return put(request, url, id);
      const content = blobs.get(id);
      if (!reads || !content) throw refuse(404, "BlobNotFound");
      return { status: 200, body: content };
    },
    size: (id) => blobs.get(String(id))?.length,
    damage(id) {
      const content = blobs.get(String(id));
      content?.fill(0, Math.floor(content.length / 2));
    },
  };
}

function refuse(status: number, code: string): HttpError {
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code></Error>`;
  const reply = text(status, body, "application/xml");
  return new HttpError({ ...reply, headers: { ...reply.headers, "x-ms-error-code": code } });
}
