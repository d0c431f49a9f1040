/** Owns uploads in parts: opening one, signing its part URLs, taking the parts in, listing them at the end. */

import { createHash, randomBytes, randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { NarExtension } from "./cachix-nar.ts";
import { type AssembledFile, discardParts, keepParts, type UploadedFile } from "./cachix-parts.ts";
import { exactFields, refuse } from "./cachix-refuse.ts";
import { HttpError, json, type Outcome, text } from "./http.ts";

interface ReceivedPart {
  readonly eTag: string;
  readonly md5: string;
  readonly size: number;
  readonly isETagWithheld: boolean;
}

export interface Upload {
  readonly narId: string;
  readonly uploadId: string;
  readonly extension: NarExtension;
  status: "open" | "completed" | "aborted";
  /** By signature, the part and the MD5 it is good for. */
  readonly signed: Map<string, { readonly partNumber: number; readonly md5: string }>;
  readonly parts: Map<number, ReceivedPart>;
  readonly file: UploadedFile;
  /** The request body that completed it, and its answer: the same one again is no error. */
  completion: { readonly body: string; readonly done: Promise<void> } | undefined;
}

export interface UploadSettings {
  /** Every part but the last has at least so many bytes. */
  readonly minPartBytes: number;
  readonly discardBytes: boolean;
}

const MAX_PARTS = 10_000;
const MD5_BASE64 = /^[0-9A-Za-z+/]{22}==$/;

export class Uploads {
  readonly byNarId = new Map<string, Upload>();

  create(compression: string | null, settings: UploadSettings): Upload {
    if (compression !== "xz" && compression !== "zst") {
      refuse(`compression ${compression} is neither xz nor zst`);
    }
    const upload: Upload = {
      narId: randomUUID(),
      uploadId: randomBytes(16).toString("hex"),
      extension: compression,
      status: "open",
      signed: new Map(),
      parts: new Map(),
      file: settings.discardBytes ? discardParts() : keepParts(),
      completion: undefined,
    };
    this.byNarId.set(upload.narId, upload);
    return upload;
  }

  find(narId: string, uploadId: string | null): Upload {
    const upload = this.byNarId.get(narId);
    if (!upload || upload.uploadId !== uploadId) {
      throw new HttpError(json(404, { error: `no upload ${narId}` }));
    }
    return upload;
  }

  /** A URL good for one part with one MD5. */
  sign(upload: Upload, partNumber: number | undefined, body: unknown, origin: string): string {
    requireOpen(upload);
    if (partNumber === undefined || partNumber < 1 || partNumber > MAX_PARTS) {
      refuse(`partNumber is not from 1 to ${MAX_PARTS}`);
    }
    const { contentMD5 } = exactFields(body, ["contentMD5"], "part");
    if (typeof contentMD5 !== "string" || !MD5_BASE64.test(contentMD5)) {
      refuse("part: contentMD5 is not the base64 of an MD5 sum");
    }
    const signature = randomBytes(16).toString("hex");
    upload.signed.set(signature, { partNumber, md5: contentMD5 });
    const query = new URLSearchParams({
      uploadId: upload.uploadId,
      partNumber: String(partNumber),
      signature,
    });
    return `${origin}/parts/${upload.narId}?${query}`;
  }

  abort(upload: Upload): void {
    if (upload.status !== "open") {
      throw new HttpError(json(404, { error: `upload is ${upload.status}` }));
    }
    upload.status = "aborted";
    upload.file.release();
  }
}

export interface PutFaults {
  readonly isExpired: boolean;
  readonly isDropped: boolean;
  readonly isETagWithheld: boolean;
}

/** Takes one part as S3 does: signature, declared length, MD5; then stores it under its ETag. */
export async function receivePart(
  upload: Upload,
  query: URLSearchParams,
  request: IncomingMessage,
  faults: PutFaults,
): Promise<Outcome> {
  requireOpen(upload);
  const signature = query.get("signature") ?? "";
  if (faults.isExpired) upload.signed.delete(signature);
  const signed = upload.signed.get(signature);
  if (!signed || String(signed.partNumber) !== query.get("partNumber")) {
    return s3Error(403, "AccessDenied", "Request has expired");
  }
  const { headers } = request;
  if (headers.authorization !== undefined) {
    return s3Error(400, "InvalidArgument", "Only one auth mechanism allowed");
  }
  if (headers["content-length"] === undefined) {
    return s3Error(411, "MissingContentLength", "You must provide the Content-Length HTTP header.");
  }
  const type = headers["content-type"];
  if (headers["content-md5"] !== signed.md5 || type !== "application/octet-stream") {
    return s3Error(403, "SignatureDoesNotMatch", "Content-MD5 or Content-Type is not as signed");
  }

  const promised = Number(headers["content-length"]);
  const sink = upload.file.open(signed.partNumber);
  const md5 = createHash("md5");
  let size = 0;
  if (faults.isDropped && promised < 2) return "drop";
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (faults.isDropped && size >= promised / 2) return "drop";
    md5.update(chunk);
    sink.write(chunk);
  }
  const sum = md5.digest();
  if (sum.toString("base64") !== signed.md5) {
    return s3Error(
      400,
      "BadDigest",
      "The Content-MD5 you specified did not match what we received",
    );
  }
  requireOpen(upload);
  sink.commit(signed.md5);
  const eTag = `"${sum.toString("hex")}"`;
  const { isETagWithheld } = faults;
  upload.parts.set(signed.partNumber, { eTag, md5: signed.md5, size, isETagWithheld });
  return { status: 200, headers: isETagWithheld ? {} : { etag: eTag } };
}

/** The file that `parts`, as the completing client lists them, makes; 400 where the list is wrong. */
export function assembleParts(
  upload: Upload,
  parts: unknown,
  settings: UploadSettings,
): AssembledFile {
  const received = [...upload.parts].sort(([a], [b]) => a - b);
  if (parts === null) {
    if (!received.some(([, part]) => part.isETagWithheld)) {
      refuse("parts is null, though every part got its ETag");
    }
  } else {
    checkList(parts, upload);
  }
  if (received.length === 0) refuse("no part was uploaded");
  for (const [partNumber, part] of received.slice(0, -1)) {
    if (part.size < settings.minPartBytes) {
      refuse(`EntityTooSmall: part ${partNumber} has ${part.size} bytes and is not the last`);
    }
  }
  return upload.file.assemble(received.map(([partNumber]) => partNumber));
}

function checkList(parts: unknown, upload: Upload): void {
  if (!Array.isArray(parts) || parts.length === 0) refuse("parts is not a list");
  let previous = 0;
  for (const item of parts as unknown[]) {
    const { partNumber, eTag } = exactFields(item, ["partNumber", "eTag"], "parts");
    if (typeof partNumber !== "number" || partNumber <= previous) {
      refuse(`InvalidPartOrder: part ${String(partNumber)} behind part ${previous}`);
    }
    previous = partNumber;
    if (upload.parts.get(partNumber)?.eTag !== eTag) {
      refuse(`InvalidPart: part ${partNumber} has another ETag, or was not uploaded`);
    }
  }
  if (parts.length !== upload.parts.size) {
    refuse(`${upload.parts.size} parts were uploaded, ${parts.length} are listed`);
  }
}

function requireOpen(upload: Upload): void {
  if (upload.status !== "open") {
    throw new HttpError(json(404, { error: `upload ${upload.narId} is ${upload.status}` }));
  }
}

function s3Error(status: number, code: string, message: string): Outcome {
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message></Error>`;
  return text(status, body, "application/xml");
}
