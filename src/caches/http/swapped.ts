/** A membership index in one file behind PUT, changed only by who has read what stands in it (docs/adr/0025). */

import { describeError, UserError } from "../../domain/errors.ts";
import { limiter } from "../../domain/limit.ts";
import type { StorePath } from "../../domain/store-path.ts";
import type { Http, HttpRequest, HttpResponse } from "../../host/http-client.ts";
import { isSuccess } from "../../host/retry.ts";
import {
  formatIndex,
  HEAD_MOST,
  holds,
  INDEX_FOLDER,
  INDEX_MOST,
  type IndexFile,
  IndexReader,
  indexFile,
  type MemberIndex,
  type Named,
  parseIndex,
  union,
  unusable,
} from "../index-file.ts";

export interface SwappedIndexOptions {
  /** The cache's, for errors. */
  readonly name: string;
  readonly at: (path: string) => URL;
  readonly http: Http;
  readonly headers: Readonly<Record<string, string>>;
}

const FILE = `${INDEX_FOLDER}/1`;
/** Where it is tried whether the server heeds `If-Match`: nothing is ever kept there. */
const TRIED = `${INDEX_FOLDER}/tried`;
/** Times that another writer may have been faster. */
const SWAPS = 3;
/** Milliseconds for one request. */
const DEADLINE = 15_000;
const ABSENT = new Set([404, 410]);
const FAILED = new Set([409, 412]);

/** What stands there now. */
type Found =
  | { readonly kind: "absent" }
  /** Damaged, of another version, or of a server that gives no tag by which it could be changed. */
  | { readonly kind: "unusable" }
  | { readonly kind: "index"; readonly file: IndexFile; readonly tag: string };

export class SwappedIndex implements MemberIndex {
  private readonly options: SwappedIndexOptions;
  private readonly reader: IndexReader;
  /** What was read last, for the server to say that it is still so. */
  private last: Extract<Found, { kind: "index" }> | undefined;
  private heeds: Promise<boolean> | undefined;
  /** One after the other. */
  private readonly inTurn = limiter(1);

  constructor(options: SwappedIndexOptions) {
    this.options = options;
    this.reader = new IndexReader(options.name, async (signal) => {
      const found = await this.read(signal);
      if (found.kind === "unusable") throw this.unusable();
      return found.kind === "index" && found.file.state === "whole"
        ? found.file.prefixes
        : undefined;
    });
  }

  has(path: StorePath, signal: AbortSignal): Promise<"perhaps" | "absent" | UserError> {
    return this.reader.has(path, signal);
  }

  /**
   * For a cache that nobody has written to, before it is made: what is in an older one cannot be listed. Between
   * the first look and the file another writer may have made the cache: only after a second one it is whole.
   */
  async begin(isNew: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
    try {
      if (!(await this.isHeeded(signal))) return;
      const first = indexFile("part", new Uint32Array());
      const answer = await this.put(first, { "if-none-match": "*" }, signal);
      if (!isSuccess(answer.status)) return;
      if (!(await isNew())) await this.drop("the cache was made meanwhile", signal);
      // Not one that another writer began after this one was deleted.
      else await this.swap((file) => (file.id === first.id ? whole(file) : undefined), signal);
    } catch {
      signal.throwIfAborted();
      // One that was begun, and is no more than that, is not believed.
    }
  }

  add(paths: readonly Named[], signal: AbortSignal): Promise<void> {
    if (paths.length === 0) return Promise.resolve();
    return this.inTurn(() => this.addNow(paths, signal));
  }

  private async addNow(paths: readonly Named[], signal: AbortSignal): Promise<void> {
    const mine = this.reader.adding(paths);
    let why: string | undefined;
    try {
      why = await this.swap(
        (file) =>
          mine.every((prefix) => holds(file.prefixes, prefix))
            ? undefined
            : { ...file, prefixes: union([file.prefixes, mine]) },
        signal,
      );
    } catch (error) {
      signal.throwIfAborted();
      why = describeError(error);
    }
    if (why !== undefined) await this.drop(why, signal);
  }

  /** Why it could not be changed; undefined where it was, need not be, or is not there. */
  private async swap(
    change: (file: IndexFile) => IndexFile | undefined,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    for (let n = 0; n < SWAPS; n++) {
      const found = await this.read(signal);
      if (found.kind === "absent") return undefined;
      if (found.kind === "unusable") return "it cannot be read, or the server gives no strong ETag";
      const next = change(found.file);
      if (!next) return undefined;
      if (4 * next.prefixes.length > INDEX_MOST) return "it has grown too large";
      if (!(await this.isHeeded(signal))) return "the server does not heed If-Match";
      const { status } = await this.put(next, { "if-match": found.tag }, signal);
      if (isSuccess(status)) return undefined;
      if (!FAILED.has(status) && !ABSENT.has(status)) return `PUT answers ${status}`;
    }
    return `other writers were faster, ${SWAPS} times`;
  }

  /** No index is one that says nothing wrong. Throws where it stays: then nothing may be pushed. */
  private async drop(why: string, signal: AbortSignal): Promise<void> {
    let trouble: string;
    try {
      const { status } = await this.ask("DELETE", FILE, signal);
      if (isSuccess(status) || ABSENT.has(status)) return;
      trouble = `DELETE answers ${status}`;
    } catch (error) {
      signal.throwIfAborted();
      trouble = describeError(error);
    }
    // A server that lets nobody delete may still have none.
    if ((await this.read(signal).catch(() => undefined))?.kind === "absent") return;
    throw new UserError(
      "NCP-316",
      `${this.options.name}: its index can be neither kept nor deleted, so nothing is pushed: ${why}; ${trouble}`,
      {
        hint: `delete ${this.options.at(FILE).pathname} there; for an index the server has to heed If-Match, else leave ?index=yes away`,
      },
    );
  }

  /** Whether a PUT for what is not there is refused, as it asks to be: then a swap is one. Asked once. */
  private isHeeded(signal: AbortSignal): Promise<boolean> {
    this.heeds ??= this.ask("PUT", TRIED, signal, {
      headers: { "if-match": '"nix-cache-preflight"' },
      body: "",
    }).then(
      async ({ status }) => {
        if (isSuccess(status)) await this.ask("DELETE", TRIED, signal).catch(() => undefined);
        return status === 412;
      },
      (error) => {
        this.heeds = undefined;
        throw error;
      },
    );
    return this.heeds;
  }

  private async read(signal: AbortSignal): Promise<Found> {
    const { last } = this;
    const headers = {
      // Not what a cache on the way has kept.
      "cache-control": "no-cache",
      ...(last ? { "if-none-match": last.tag } : {}),
    };
    const answer = await this.ask("GET", FILE, signal, { headers });
    const { status, body, headers: told } = answer;
    // Kept all the same, or said to be as it was by who kept it: another may stand there by now, or one at all.
    if (Number(told.age ?? 0) > 0) throw new Error("a cache on the way answers for the server");
    if (status === 304 && last) return last;
    this.last = undefined;
    if (ABSENT.has(status)) return { kind: "absent" };
    if (!isSuccess(status)) throw new Error(`GET answers ${status}`);
    const file = parseIndex(body);
    const { etag } = told;
    if (!file || etag === undefined || !etag.startsWith('"')) return { kind: "unusable" };
    this.last = { kind: "index", file, tag: etag };
    return this.last;
  }

  private unusable(): UserError {
    const { name, at } = this.options;
    return unusable(
      name,
      `${at(FILE).pathname} is damaged, of another version, or has no strong ETag`,
      "the next push deletes it; over HTTP an index begins with a cache's first push: leave ?index=yes away for this one",
    );
  }

  private put(
    file: IndexFile,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<HttpResponse> {
    return this.ask("PUT", FILE, signal, { headers, body: formatIndex(file) });
  }

  private ask(
    method: HttpRequest["method"],
    path: string,
    signal: AbortSignal,
    more: Pick<HttpRequest, "headers" | "body"> = {},
  ): Promise<HttpResponse> {
    const { at, http, headers } = this.options;
    return http.request({
      ...more,
      method,
      url: at(path),
      headers: { ...headers, ...more.headers },
      signal,
      deadline: DEADLINE,
      maxBytes: HEAD_MOST + INDEX_MOST,
    });
  }
}

function whole(file: IndexFile): IndexFile {
  return { ...file, state: "whole" };
}
