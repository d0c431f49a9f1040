/** The calls of an Attic server, or a Celler one: the token stays with its host, and refusals are put into words. */

import * as z from "zod/mini";
import { UserError } from "../../domain/errors.ts";
import { type PublicKey, parsePublicKey } from "../../domain/signature.ts";
import { serverWords } from "../../host/http-body.ts";
import type { Http, HttpRequest, HttpResponse } from "../../host/http-client.ts";
import { ASK, isSuccess, RETRY, type RetryPolicy, retry } from "../../host/retry.ts";
import { PushBreaker } from "../nar-file.ts";

export interface AtticApiOptions {
  /** As the user wrote it; begins every error. */
  readonly label: string;
  readonly server: URL;
  readonly cache: string;
  readonly token: string | undefined;
  readonly http: Http;
  readonly ask?: RetryPolicy;
  readonly write?: RetryPolicy;
}

/** Source: attic's attic/src/api/v1/cache_config.rs. */
const Config = z.object({
  substituter_endpoint: z.optional(z.nullable(z.string())),
  public_key: z.optional(z.nullable(z.string())),
  is_public: z.optional(z.nullable(z.boolean())),
  store_dir: z.optional(z.nullable(z.string())),
  priority: z.optional(z.nullable(z.number())),
});

export interface AtticConfig {
  /** Where Nix reads it. */
  readonly endpoint: URL;
  readonly keys: readonly PublicKey[];
  readonly access: "public" | "private";
  readonly storeDir: string | undefined;
  readonly priority: number | undefined;
  /** The token, where it was refused and the cache can be read without. */
  readonly refused: UserError | undefined;
}

const Missing = z.object({ missing_paths: z.array(z.string()) });

/** A path that nobody has. */
const NO_HASH = "0".repeat(32);

/** Milliseconds for one try of a question. */
const ASK_DEADLINE = 15_000;
/** For an upload: the server cuts, compresses and stores before it answers. */
const WRITE_DEADLINE = 300_000;

export class AtticApi {
  readonly breaker = new PushBreaker();
  readonly label: string;
  readonly cache: string;
  readonly token: string | undefined;
  readonly askPolicy: RetryPolicy;
  private readonly options: AtticApiOptions;

  constructor(options: AtticApiOptions) {
    this.options = options;
    this.label = options.label;
    this.cache = options.cache;
    this.token = options.token;
    this.askPolicy = options.ask ?? ASK;
  }

  /** Asked once, before anything is built. Throws a UserError where the cache cannot even be read. */
  async config(signal: AbortSignal): Promise<AtticConfig> {
    const path = `cache-config/${encodeURIComponent(this.cache)}`;
    const ask = (as: "bearer" | "nobody") =>
      retry(() => this.once({ method: "GET", path, as, signal }), signal, this.askPolicy);
    const first = await ask("bearer");
    const isRefused = (first.status === 401 || first.status === 403) && this.token !== undefined;
    // Without a token, a public cache answers: then it is the token that is wrong.
    const answer = isRefused ? await ask("nobody") : first;
    if (answer.status !== 200) throw this.failure("GET cache-config", first);
    const said = this.read(answer, Config, "GET cache-config");
    const root = this.options.server.href.replace(/\/+$/, "");
    const endpoint = said.substituter_endpoint || `${root}/${encodeURIComponent(this.cache)}`;
    if (!/^https?:/.test(endpoint) || !URL.canParse(endpoint)) {
      throw new UserError("NCP-302", `${this.label}: it names no address to read it at`);
    }
    const key = said.public_key ? parsePublicKey(said.public_key) : undefined;
    return {
      endpoint: new URL(endpoint),
      keys: key ? [key] : [],
      access: said.is_public === false ? "private" : "public",
      storeDir: said.store_dir ?? undefined,
      priority: said.priority ?? undefined,
      refused: isRefused ? this.failure("GET cache-config", first) : undefined,
    };
  }

  /** Those of `hashes` that the cache lacks; undefined where it does not say. */
  async missing(
    hashes: readonly string[],
    signal: AbortSignal,
  ): Promise<ReadonlySet<string> | undefined> {
    const body = JSON.stringify({ cache: this.cache, store_path_hashes: hashes });
    const call = { method: "POST", path: "get-missing-paths", body, signal } as const;
    const answer = await retry(() => this.once(call), signal, this.askPolicy);
    if (answer.status !== 200) return undefined;
    return new Set(this.read(answer, Missing, "POST get-missing-paths").missing_paths);
  }

  /**
   * Why it takes nothing with this token; undefined where nothing speaks against it. Who may not push is
   * not told what is missing, and that question writes nothing. The answer to `config` shows nothing: to
   * a public cache any token is as good as none.
   */
  async refusesPush(signal: AbortSignal): Promise<UserError | undefined> {
    const body = JSON.stringify({ cache: this.cache, store_path_hashes: [NO_HASH] });
    const call = { method: "POST", path: "get-missing-paths", body, signal } as const;
    const answer = await retry(() => this.once(call), signal, this.askPolicy);
    const { status } = answer;
    if (status === 404 && this.pulls()) return this.mayOnlyPull(answer);
    if (status === 403) return this.mayOnlyPull(answer);
    return status === 401 || status === 404
      ? this.failure("POST get-missing-paths", answer)
      : undefined;
  }

  private pulls(): boolean {
    return (
      this.token !== undefined && readAtticToken(this.token, this.cache)?.permission === "read"
    );
  }

  private mayOnlyPull(answer: HttpResponse): UserError {
    const said = `HTTP ${answer.status}: ${this.words(answer)}`;
    return new UserError("NCP-303", `${this.label}: this token may not push there (${said})`, {
      hint: `make one that may: atticadm (Celler: celler admin) make-token --pull ${this.cache} --push ${this.cache}`,
    });
  }

  /** One path with its NAR, as it is; `content` is called for each try. */
  async upload(
    narInfo: string,
    content: () => AsyncIterable<Uint8Array> | readonly Uint8Array[],
    size: number,
    signal: AbortSignal,
  ): Promise<void> {
    const bytes = Buffer.from(narInfo);
    const isLong = bytes.length >= PREAMBLE_FROM;
    const headers = isLong
      ? inBothNames("nar-info-preamble-size", String(bytes.length))
      : inBothNames("nar-info", narInfo);
    const call = () => {
      const body = isLong ? behind(bytes, content()) : content();
      const bodyBytes = size + (isLong ? bytes.length : 0);
      return this.once({ method: "PUT", path: "upload-path", headers, body, bodyBytes, signal });
    };
    const answer = await retry(call, signal, this.breaker.policy(this.options.write ?? RETRY));
    if (!isSuccess(answer.status)) throw this.failure("PUT upload-path", answer);
  }

  private read<T>(answer: HttpResponse, schema: z.ZodMiniType<T>, what: string): T {
    try {
      return schema.parse(JSON.parse(answer.body.toString("utf8")));
    } catch {
      throw new UserError(
        "NCP-302",
        `${this.label}: ${what} answers ${answer.status} with something else than Attic does: ${this.words(answer)}`,
        { hint: "something else answers there: a login page, a proxy, another server" },
      );
    }
  }

  private failure(what: string, answer: HttpResponse): UserError {
    const { status } = answer;
    const said = `HTTP ${status}: ${this.words(answer)}`;
    if (status === 401 || status === 403) {
      const token = this.token && readAtticToken(this.token, this.cache);
      const expires = token ? token.expires : undefined;
      const was = expires && expires.getTime() <= Date.now() ? "it was good" : "it is good";
      const over = was === "it was good" ? ", which is over" : "";
      const when = expires
        ? `; by this machine's clock ${was} until ${expires.toISOString()}${over}`
        : "";
      return new UserError("NCP-303", `${this.label} refuses our token (${said}${when})`, {
        hint: "make one that may pull and push this cache: atticadm make-token (Celler: celler admin make-token)",
      });
    }
    if (status === 404) {
      return new UserError("NCP-304", `${this.label}: there is no such cache (${said})`, {
        hint: "make it with: attic cache create NAME; or the token may not see it",
      });
    }
    const code = what.startsWith("PUT") ? "NCP-305" : "NCP-302";
    return new UserError(code, `${this.label}: ${what} answers ${said}`, {
      ...(status >= 500 ? { fault: "the server's" as const } : {}),
      hint: "see the server's own log; running it again uploads only what is missing",
    });
  }

  private words(answer: HttpResponse): string {
    return serverWords(answer, this.token);
  }

  private once(call: Call): Promise<HttpResponse> {
    const { method, path, body, signal, as = "bearer" } = call;
    const root = this.options.server.href.replace(/\/+$/, "");
    return this.options.http.request({
      method,
      url: new URL(`${root}/_api/v1/${path}`),
      headers: {
        accept: "application/json",
        ...(typeof body === "string" ? { "content-type": "application/json" } : {}),
        ...call.headers,
        ...(as === "bearer" && this.token !== undefined
          ? { authorization: `Bearer ${this.token}` }
          : {}),
      },
      ...(body === undefined ? {} : { body }),
      ...(call.bodyBytes === undefined ? {} : { bodyBytes: call.bodyBytes }),
      signal,
      deadline: method === "PUT" ? WRITE_DEADLINE : ASK_DEADLINE,
    });
  }
}

interface Call {
  readonly method: HttpRequest["method"];
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: HttpRequest["body"];
  readonly bodyBytes?: number;
  readonly as?: "bearer" | "nobody";
  readonly signal: AbortSignal;
}

/**
 * From so many bytes on, what a header would say stands before the NAR. Attic's client has 4 KiB there; the
 * same header goes under two names, and both together are not longer than that.
 */
const PREAMBLE_FROM = 2 * 1024;

/**
 * Celler, the fork of Attic that is kept, has the same API but for the names of these headers, and says
 * nowhere which of the two it is. Each passes over the other's.
 */
function inBothNames(name: string, value: string): Record<string, string> {
  return { [`x-attic-${name}`]: value, [`x-celler-${name}`]: value };
}

async function* behind(
  preamble: Uint8Array,
  content: AsyncIterable<Uint8Array> | readonly Uint8Array[],
): AsyncGenerator<Uint8Array> {
  yield preamble;
  yield* content;
}

const NAMESPACE = "https://jwt.attic.rs/v1";

const Claims = z.object({
  exp: z.optional(z.number()),
  [NAMESPACE]: z.object({ caches: z.record(z.string(), z.record(z.string(), z.unknown())) }),
});

export interface AtticToken {
  readonly permission: "read" | "write";
  readonly expires: Date | undefined;
}

/** Undefined for what is no such token: then only the server knows. */
export function readAtticToken(token: string, cache: string): AtticToken | undefined {
  try {
    const payload = Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8");
    const { exp, [NAMESPACE]: claims } = Claims.parse(JSON.parse(payload));
    const rights = Object.entries(claims.caches).filter(([pattern]) => matches(pattern, cache));
    const writes = rights.some(([, { w }]) => w === 1 || w === true);
    return {
      permission: writes ? "write" : "read",
      expires: exp === undefined ? undefined : new Date(exp * 1000),
    };
  } catch {
    return undefined;
  }
}

/** `team-*`, as Attic has it. */
function matches(pattern: string, cache: string): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`).test(cache);
}
