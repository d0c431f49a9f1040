/** Uploads a large NAR into a bucket: in parts, and completed only when it is known good. */

import type { NarSource } from "../../domain/cache.ts";
import { formatSha256 } from "../../domain/hash.ts";
import type { PathInfo } from "../../domain/narinfo.ts";
import { hashPart } from "../../domain/store-path.ts";
import { EXTENSIONS } from "../../host/compress.ts";
import type { HttpRequest, HttpResponse } from "../../host/http-client.ts";
import { retry } from "../../host/retry.ts";
import { accepted, type HttpPushOptions, uploaded } from "../http/push.ts";
import { narFile, narInfoFor, type Uploaded } from "../nar-file.ts";
import { memoryFor, type PartBuffer, type PartMemory, sendParts } from "../parts.ts";

/** Milliseconds for one try: 32 MiB at 1 Mbit/s take 270 s. */
const DEADLINE = 300_000;
/** The storage puts the parts together; that of gigabytes takes its time. */
const COMPLETE_DEADLINE = 600_000;
const ABORT_DEADLINE = 10_000;

/** Bytes of unknown length are nothing S3 takes: what is over a part goes up in parts of 32 MiB. */
export async function putParts(
  options: HttpPushOptions,
  memory: PartMemory,
  info: PathInfo,
  nar: NarSource,
  signal: AbortSignal,
): Promise<Uploaded> {
  const { compression, signingKey } = options;
  const { bytes, expected } = memoryFor(info);
  await memory.budget.take(bytes);
  try {
    signal.throwIfAborted();
    const hash = formatSha256(info.narHash).slice("sha256:".length);
    const url = `nar/${hashPart(info.storePath)}-${hash}${EXTENSIONS[compression]}`;
    const file = narFile(info, nar, options, signal);
    let sealed: ReturnType<typeof file.seal> | undefined;
    const seal = () => {
      sealed = file.seal();
      return sealed;
    };
    const upload = new Upload(options, url);
    try {
      const parts = { content: file.content, seal, memory, expected };
      if (expected === "less") await sendParts({ ...parts, send: upload.whole }, signal);
      else await upload.complete(await sendParts({ ...parts, send: upload.part }, signal), signal);
    } catch (error) {
      await upload.abort().catch(() => undefined);
      throw error;
    }
    const narInfo = narInfoFor(info, sealed ?? seal(), compression, signingKey);
    return uploaded(options, info, { ...narInfo, url }, signal);
  } finally {
    memory.budget.give(bytes);
  }
}

interface SentPart {
  readonly partNumber: number;
  readonly eTag: string;
}

/** Source: the S3 API reference, CreateMultipartUpload to AbortMultipartUpload. */
class Upload {
  private readonly options: HttpPushOptions;
  private readonly key: string;
  private opened: Promise<string> | undefined;

  constructor(options: HttpPushOptions, key: string) {
    this.options = options;
    this.key = key;
  }

  readonly whole = async (part: PartBuffer, signal: AbortSignal): Promise<void> => {
    await this.ask("PUT", {}, part.end().content, signal);
  };

  readonly part = async (part: PartBuffer, signal: AbortSignal): Promise<SentPart> => {
    const { partNumber } = part;
    const { content, md5 } = part.end();
    const uploadId = await this.open(signal);
    const query = { partNumber: String(partNumber), uploadId };
    const { headers } = await this.ask("PUT", query, content, signal, {
      headers: { "content-md5": md5 },
    });
    if (!headers.etag) throw new Error(`part ${partNumber} has no ETag`);
    return { partNumber, eTag: headers.etag };
  };

  async complete(parts: readonly SentPart[], signal: AbortSignal): Promise<void> {
    const list = parts.map(
      ({ partNumber, eTag }) =>
        `<Part><PartNumber>${partNumber}</PartNumber><ETag>${eTag}</ETag></Part>`,
    );
    const body = `<CompleteMultipartUpload>${list.join("")}</CompleteMultipartUpload>`;
    const query = { uploadId: await this.open(signal) };
    const asked = { deadline: COMPLETE_DEADLINE };
    const answer = await this.ask("POST", query, body, signal, asked).catch(async (error) => {
      // An answer may get lost behind a completion that was done.
      signal.throwIfAborted();
      const first = { headers: { range: "bytes=0-0" } };
      const found = await this.ask("GET", {}, "", signal, first).catch(() => undefined);
      if (!found) throw error;
    });
    if (!answer) return;
    // It says 200 before it is done, and what went wrong behind that.
    const error = /<Error>.*?<Code>(\w+)<\/Code>/s.exec(answer.body.toString("utf8"))?.[1];
    if (error) throw new Error(`the upload of ${this.key} could not be completed: ${error}`);
  }

  /** Its own deadline: it also runs when all else is stopped. */
  async abort(): Promise<void> {
    const uploadId = await this.opened?.catch(() => undefined);
    if (uploadId === undefined) return;
    await this.ask("DELETE", { uploadId }, "", AbortSignal.timeout(ABORT_DEADLINE));
  }

  private open(signal: AbortSignal): Promise<string> {
    this.opened ??= this.ask("POST", { uploads: "" }, "", signal).then(({ body }) => {
      const id = /<UploadId>([^<]+)<\/UploadId>/.exec(body.toString("utf8"))?.[1];
      if (!id) throw new Error("the storage names no upload");
      return id;
    });
    return this.opened;
  }

  private async ask(
    method: HttpRequest["method"],
    query: Readonly<Record<string, string>>,
    body: string | readonly Uint8Array[],
    signal: AbortSignal,
    {
      headers: more = {},
      deadline = DEADLINE,
    }: Partial<Pick<HttpRequest, "headers" | "deadline">> = {},
  ): Promise<HttpResponse> {
    const url = this.options.at(this.key);
    url.search = new URLSearchParams(query).toString();
    // The class is the object's, said when it is begun; a part has none.
    const isPart = "partNumber" in query;
    const isBegun = method === "PUT" ? !isPart : "uploads" in query;
    const headers = { ...(isBegun ? this.options.headers : {}), ...more };
    const given = method === "GET" ? {} : { body };
    const request: HttpRequest = { method, url, headers, ...given, signal, deadline };
    const attempt = () => this.options.http.request(request);
    const answer = await retry(attempt, signal, this.options.policy);
    accepted(this.options, request, answer);
    return answer;
  }
}
