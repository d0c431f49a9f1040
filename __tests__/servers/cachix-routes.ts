/** Owns the Cachix stand-in's URLs: which endpoint a request is for, and which requests can write. */

export type Endpoint =
  | "cache"
  | "bulk"
  | "narinfo"
  | "nar"
  | "nix-cache-info"
  | "create-upload"
  | "sign-part"
  | "put-part"
  | "complete"
  | "abort"
  | "pin"
  | "pin-list"
  | "pin-delete"
  | "unknown";

export interface Route {
  readonly endpoint: Endpoint;
  /** The cache that is named; undefined on the storage side, which knows objects only. */
  readonly cache: string | undefined;
  /** Hash part, NAR file, upload or pin: what the path names. */
  readonly subject: string;
  readonly partNumber: number | undefined;
  readonly query: URLSearchParams;
}

type Row = readonly [methods: string, pattern: RegExp, endpoint: Endpoint];

const READ_SIDE: readonly Row[] = [
  ["GET HEAD", /^nix-cache-info$/, "nix-cache-info"],
  ["GET HEAD", /^([0-9a-z]{32})\.narinfo$/, "narinfo"],
  ["GET HEAD", /^nar\/([^/]+\.nar\.[a-z0-9]+)$/, "nar"],
];

const API: readonly Row[] = [
  ...READ_SIDE,
  ["GET", /^$/, "cache"],
  ["POST", /^narinfo$/, "bulk"],
  ["POST", /^multipart-nar$/, "create-upload"],
  ["POST", /^multipart-nar\/([^/]+)$/, "sign-part"],
  ["POST", /^multipart-nar\/([^/]+)\/complete$/, "complete"],
  ["POST", /^multipart-nar\/([^/]+)\/abort$/, "abort"],
  ["POST", /^pin$/, "pin"],
  ["GET", /^pin$/, "pin-list"],
  ["DELETE", /^pin\/([^/]+)$/, "pin-delete"],
];

const STORAGE: readonly Row[] = [
  ["PUT", /^parts\/([^/]+)$/, "put-part"],
  ["GET HEAD", /^nar\/([^/]+\.nar\.[a-z0-9]+)$/, "nar"],
];

/** What `method url` asks for on the API and substituter side. */
export function routeApi(method: string, url: URL): Route {
  const [, base, cache = "", rest = ""] =
    /^\/(api\/v1\/cache|serve)\/([^/]+)\/?(.*)$/.exec(url.pathname) ?? [];
  if (base === undefined) return unknown(url);
  const found = match(base === "serve" ? READ_SIDE : API, method, rest, url);
  return { ...found, cache: decode(cache) };
}

/** What `method url` asks for on the storage side: objects behind signed URLs. */
export function routeStorage(method: string, url: URL): Route {
  return match(STORAGE, method, url.pathname.slice(1), url);
}

function match(rows: readonly Row[], method: string, rest: string, url: URL): Route {
  let known = false;
  for (const [methods, pattern, endpoint] of rows) {
    const found = pattern.exec(rest);
    if (!found) continue;
    known = true;
    if (!methods.split(" ").includes(method)) continue;
    const part = url.searchParams.get("partNumber");
    return {
      endpoint,
      cache: undefined,
      subject: decode(found[1] ?? ""),
      partNumber: part !== null && /^\d{1,9}$/.test(part) ? Number(part) : undefined,
      query: url.searchParams,
    };
  }
  return { ...unknown(url), subject: known ? "method" : "" };
}

function unknown(url: URL): Route {
  const nothing = { cache: undefined, subject: "", partNumber: undefined };
  return { endpoint: "unknown", ...nothing, query: url.searchParams };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    // No such thing is stored, so it is looked for as it stands and not found.
    return segment;
  }
}

/** Whether a request can change anything; the bulk question is a POST that cannot. */
export function isWrite(method: string, endpoint: Endpoint): boolean {
  return method !== "GET" && method !== "HEAD" && endpoint !== "bulk";
}
