/** The network as this machine is set up: proxies as curl, and so Nix, reads them, and whose certificates are accepted. */

import { readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { SecureContext } from "node:tls";
import { describeError, UserError } from "../domain/errors.ts";
import type { Environment } from "./environment.ts";

export interface ProxyServer {
  readonly scheme: "http" | "https" | "socks5" | "socks5h";
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
}

/** What curl takes where a proxy names no port. */
const PORT = 1080;
/** Milliseconds to reach a proxy and be let through. */
const DEADLINE = 30_000;

/**
 * The proxy for this URL. Source: libcurl's url.c (detect_proxy, parse_proxy) and noproxy.c. `http_proxy`
 * counts in lower case only: HTTP_PROXY is what a web server makes of a request's field `Proxy`.
 */
export function proxyFor(url: URL, environment: Environment): ProxyServer | undefined {
  const names = url.protocol === "https:" ? ["https_proxy", "HTTPS_PROXY"] : ["http_proxy"];
  const name = [...names, "all_proxy", "ALL_PROXY"].find((one) => environment[one]);
  if (name === undefined) return undefined;
  const without = environment["no_proxy"] || environment["NO_PROXY"] || "";
  return isExcepted(bare(url.hostname), without) ? undefined : parse(environment[name] ?? "", name);
}

/** Errors name the variable, and hold nothing of its value: there may be a password in it. */
function parse(text: string, variable: string): ProxyServer {
  const [, scheme = "http", rest = ""] = /^(?:([A-Za-z0-9]+):\/\/)?(.*)$/s.exec(text.trim()) ?? [];
  const at = rest.lastIndexOf("@", rest.search(/[/?#]|$/));
  const credentials = at < 0 ? "" : rest.slice(0, at);
  const [, host = "", port] =
    /^(\[[0-9A-Fa-f:.]+\]|[^:/?#\s]+)(?::(\d{1,5}))?(?:[/?#].*)?$/s.exec(rest.slice(at + 1)) ?? [];
  const kind = scheme.toLowerCase();
  const isKnown = kind === "http" || kind === "https" || kind === "socks5" || kind === "socks5h";
  if (!isKnown || host === "") {
    const why = isKnown ? "is no address of a proxy" : `has the scheme "${kind.slice(0, 20)}"`;
    throw new UserError("NCP-334", `the variable ${variable} ${why}`, {
      hint: "write http://HOST:PORT; https, socks5 and socks5h are known as well",
    });
  }
  const colon = credentials.indexOf(":");
  const decode = (part: string) => decodeURIComponent(part.replace(/%(?![0-9A-Fa-f]{2})/g, "%25"));
  return {
    scheme: kind,
    host: bare(host),
    port: port === undefined ? (kind === "https" ? 443 : PORT) : Number(port),
    user: decode(colon < 0 ? credentials : credentials.slice(0, colon)),
    password: colon < 0 ? "" : decode(credentials.slice(colon + 1)),
  };
}

function bare(host: string): string {
  return host.replace(/^\[|\]$/g, "").replace(/\.$/, "");
}

/** `*` alone is everybody; a name is the host and all below it; an address may have a prefix length. */
function isExcepted(host: string, list: string): boolean {
  if (list.trim() === "*") return true;
  const net = process.getBuiltinModule("node:net");
  const family = net.isIP(host);
  const name = host.toLowerCase();
  return list.split(/[\s,]+/).some((raw) => {
    const entry = bare(raw.toLowerCase());
    if (entry === "") return false;
    if (family === 0) {
      const domain = entry.replace(/^\./, "");
      return name === domain || name.endsWith(`.${domain}`);
    }
    const [address = "", bits] = bare(entry).split("/");
    const same = net.isIP(address);
    if (same !== family) return false;
    const most = family === 4 ? 32 : 128;
    const length = bits === undefined ? most : Number(bits);
    if (!Number.isInteger(length) || length < 0 || length > most) return false;
    const block = new net.BlockList();
    const type = family === 4 ? "ipv4" : "ipv6";
    block.addSubnet(address, length, type);
    return block.check(host, type);
  });
}

/** What an HTTP proxy is shown; empty where it asks for nothing. */
export function proxyAuthorization({
  user,
  password,
}: ProxyServer): Readonly<Record<string, string>> {
  if (user === "" && password === "") return {};
  const pair = Buffer.from(`${user}:${password}`).toString("base64");
  return { "proxy-authorization": `Basic ${pair}` };
}

/** A connection to `host` and `port` that goes through the proxy. */
export function tunnel(proxy: ProxyServer, host: string, port: number): Promise<Socket> {
  return proxy.scheme === "http" || proxy.scheme === "https"
    ? connectThrough(proxy, host, port)
    : socksThrough(proxy, host, port);
}

function connectThrough(proxy: ProxyServer, host: string, port: number): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const to = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const module = process.getBuiltinModule(proxy.scheme === "https" ? "node:https" : "node:http");
  const asked = module.request({
    method: "CONNECT",
    host: proxy.host,
    port: proxy.port,
    path: to,
    headers: { host: to, ...proxyAuthorization(proxy) },
    agent: false,
    timeout: DEADLINE,
  });
  const refused = ({ statusCode }: IncomingMessage) => {
    asked.destroy();
    reject(refusedBy(proxy, to, `HTTP ${statusCode}`));
  };
  asked.on("connect", (answer: IncomingMessage, socket: Socket, head: Buffer) => {
    if (answer.statusCode !== 200 || head.length > 0) {
      socket.destroy();
      refused(answer);
    } else resolve(socket);
  });
  asked.on("response", refused);
  asked.on("timeout", () => asked.destroy(refusedBy(proxy, to, "no answer")));
  asked.on("error", reject);
  asked.end();
  return promise;
}

function refusedBy({ host, port }: ProxyServer, to: string, how: string): UserError {
  return new UserError("NCP-334", `the proxy ${host}:${port} gives no way to ${to} (${how})`, {
    hint: "see https_proxy, all_proxy and no_proxy; a user and password stand before the host",
  });
}

/** Source: RFC 1928 (SOCKS 5) and RFC 1929 (user and password). */
async function socksThrough(proxy: ProxyServer, host: string, port: number): Promise<Socket> {
  const net = process.getBuiltinModule("node:net");
  const to = `${host}:${port}`;
  // `socks5`: the name is looked up here; `socks5h`: there.
  const address =
    proxy.scheme === "socks5" && net.isIP(host) === 0
      ? (await process.getBuiltinModule("node:dns").promises.lookup(host)).address
      : host;
  const socket = net.connect({ host: proxy.host, port: proxy.port });
  const timer = setTimeout(() => socket.destroy(refusedBy(proxy, to, "no answer")), DEADLINE);
  const words = wordsOf(socket);
  try {
    const user = Buffer.from(proxy.user);
    const password = Buffer.from(proxy.password);
    const isNamed = user.length + password.length > 0;
    socket.write(isNamed ? Buffer.from([5, 2, 0, 2]) : Buffer.from([5, 1, 0]));
    const [, method] = await words(2);
    if (method === 2 && isNamed) {
      socket.write(Buffer.concat([bytes(1, user.length), user, bytes(password.length), password]));
      const [, state] = await words(2);
      if (state !== 0) throw refusedBy(proxy, to, "user and password are refused");
    } else if (method !== 0) throw refusedBy(proxy, to, "it wants another login");
    socket.write(
      Buffer.concat([bytes(5, 1, 0), socksAddress(address), bytes(port >> 8, port & 255)]),
    );
    const [, reply, , kind] = await words(4);
    if (reply !== 0) throw refusedBy(proxy, to, `SOCKS error ${reply}`);
    const length = kind === 1 ? 4 : kind === 4 ? 16 : ((await words(1))[0] ?? 0);
    await words(length + 2);
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function bytes(...values: readonly number[]): Buffer {
  return Buffer.from(values);
}

function socksAddress(host: string): Buffer {
  const net = process.getBuiltinModule("node:net");
  if (net.isIPv4(host)) return bytes(1, ...host.split(".").map(Number));
  const name = Buffer.from(host);
  return Buffer.concat([bytes(3, name.length), name]);
}

/** Reads so many bytes of what a proxy says, and not one more. */
function wordsOf(socket: Socket): (length: number) => Promise<Buffer> {
  return async (length) => {
    for (;;) {
      const found = socket.read(length) as Buffer | null;
      if (found) return found;
      if (socket.readableEnded || socket.destroyed) throw new Error("the proxy hung up");
      await new Promise<void>((resolve, reject) => {
        const settle = (error?: Error) => {
          for (const event of ["readable", "end", "error", "close"]) socket.off(event, settle);
          if (error instanceof Error) reject(error);
          else resolve();
        };
        for (const event of ["readable", "end", "error", "close"]) socket.on(event, settle);
      });
    }
  };
}

/** Where Nix looks where nothing names a file. Source: getDefaultSSLCertFile in its libstore. */
const BUNDLES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/nix/var/nix/profiles/default/etc/ssl/certs/ca-bundle.crt",
];

/** A server that is not who it says, in OpenSSL's and Node's words. */
const REJECTED = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|HOSTNAME_MISMATCH/;
/** Of these, what another authority would mend. */
const UNKNOWN = /UNABLE_TO|SELF_SIGNED/;

const ONE = /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[^-]+-----END (?:TRUSTED )?CERTIFICATE-----/g;

export class Certificates {
  private readonly environment: Environment;
  private readonly setting: Promise<string | undefined>;
  private everyone: Promise<SecureContext> | undefined;
  private unreadable = "";

  /** `setting`: `ssl-cert-file` of Nix's configuration. */
  constructor(environment: Environment, setting?: Promise<string | undefined>) {
    this.environment = environment;
    // Nix that does not tell has an error of its own.
    this.setting = (setting ?? Promise.resolve(undefined)).catch(() => undefined);
  }

  /**
   * All authorities: Node's (NODE_EXTRA_CA_CERTS among them), the system's, and those of the file that
   * Nix goes by. Read only for a server that is not of Node's own: to read 150 of them takes 50 ms.
   */
  all(): Promise<SecureContext> {
    this.everyone ??= this.read();
    return this.everyone;
  }

  private async read(): Promise<SecureContext> {
    const setting = await this.setting;
    const tls = process.getBuiltinModule("node:tls");
    const { NIX_SSL_CERT_FILE, SSL_CERT_FILE } = this.environment;
    const named = setting || NIX_SSL_CERT_FILE || SSL_CERT_FILE;
    const files = (named ? [named] : BUNDLES).flatMap((file) => {
      try {
        return [readFileSync(file, "utf8")];
      } catch (error) {
        if (named) this.unreadable = ` (${file} cannot be read: ${describeError(error)})`;
        return [];
      }
    });
    const all = [
      ...tls.getCACertificates("default"),
      ...files.flatMap((text) => text.match(ONE) ?? []),
    ];
    if (files.length === 0) all.push(...tls.getCACertificates("system"));
    // Most stand in both, and each one that is read takes its time.
    return tls.createSecureContext({ ca: [...new Set(all.map((one) => one.trim()))] });
  }

  /** Whether a server that was rejected may be one that only the files vouch for. */
  mayKnow(error: unknown): boolean {
    return UNKNOWN.test(codeOf(error));
  }

  /** The user's error for a certificate that is not accepted; undefined where it was something else. */
  explain(error: unknown, { origin }: URL): UserError | undefined {
    const code = codeOf(error);
    if (!REJECTED.test(code)) return undefined;
    return new UserError(
      "NCP-333",
      `the certificate of ${origin} is not accepted: ${describeError(error)} (${code})`,
      {
        hint: UNKNOWN.test(code)
          ? `where a company's own authority signed it, name its file as ssl-cert-file in nix.conf, or in NIX_SSL_CERT_FILE: Nix needs it as well${this.unreadable}`
          : "it is the server's to renew, or its name is another; no setting here makes it good",
      },
    );
  }
}

function codeOf(error: unknown): string {
  return String((error as NodeJS.ErrnoException | undefined)?.code ?? "");
}
