import { createServer as createPlain, type IncomingMessage } from "node:http";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { describe, expect, test } from "@jest/globals";
import { UserError } from "../../src/domain/errors.ts";
import { HttpClient } from "../../src/host/http-client.ts";
import { proxyFor } from "../../src/host/network-settings.ts";
import { listen, text } from "../servers/http.ts";
import { http2Server, reply } from "../servers/http2.ts";

const { signal } = new AbortController();

async function ask(environment: Readonly<Record<string, string>>, url: URL, certificates?: string) {
  const http = new HttpClient(environment, { certificates: Promise.resolve(certificates) });
  try {
    const { body } = await http.request({ method: "GET", url, signal, deadline: 10_000 });
    return body.toString();
  } finally {
    http.close();
  }
}

describe("the proxy for a URL is curl's", () => {
  const http = new URL("http://cache.example.org/x");
  const https = new URL("https://cache.example.org/x");
  const at = (url: URL, environment: Record<string, string>) => {
    const found = proxyFor(url, environment);
    return found && `${found.scheme}://${found.host}:${found.port}`;
  };

  test.each<[string, URL, Record<string, string>, string | undefined]>([
    ["http_proxy", http, { http_proxy: "http://p:3128" }, "http://p:3128"],
    ["HTTP_PROXY is not read", http, { HTTP_PROXY: "http://p:3128" }, undefined],
    ["HTTPS_PROXY", https, { HTTPS_PROXY: "http://p:3128" }, "http://p:3128"],
    ["https_proxy first", https, { https_proxy: "a:1", HTTPS_PROXY: "b:2" }, "http://a:1"],
    ["http_proxy is not for https", https, { http_proxy: "http://p:3128" }, undefined],
    ["all_proxy", https, { all_proxy: "http://p:3128" }, "http://p:3128"],
    ["ALL_PROXY", http, { ALL_PROXY: "socks5h://p" }, "socks5h://p:1080"],
    ["an empty one is none", http, { http_proxy: "", all_proxy: "p:5" }, "http://p:5"],
    ["without a scheme and a port", http, { http_proxy: "p.example" }, "http://p.example:1080"],
    ["port 80 is said", http, { http_proxy: "http://p:80/" }, "http://p:80"],
    ["an address of IPv6", http, { http_proxy: "http://[::1]:3128" }, "http://::1:3128"],
    ["no_proxy: *", http, { http_proxy: "p:1", no_proxy: "*" }, undefined],
    ["no_proxy: a domain", http, { http_proxy: "p:1", no_proxy: "a.org, example.org" }, undefined],
    ["no_proxy: with a dot", http, { http_proxy: "p:1", NO_PROXY: ".example.org" }, undefined],
    ["no_proxy: half a label", http, { http_proxy: "p:1", no_proxy: "ple.org" }, "http://p:1"],
  ])("%s", (_, url, environment, expected) => {
    expect(at(url, environment)).toBe(expected);
  });

  test.each([
    ["10.1.2.3", "10.0.0.0/8", undefined],
    ["10.1.2.3", "10.1.2.3", undefined],
    ["11.1.2.3", "10.0.0.0/8", "http://p:1"],
    ["10.1.2.3", "10.0.0.0/99", "http://p:1"],
    ["[fe80::1]", "fe80::/10", undefined],
  ])("%s beside no_proxy %s", (host, list, expected) => {
    expect(at(new URL(`http://${host}/`), { http_proxy: "p:1", no_proxy: list })).toBe(expected);
  });

  test("user and password are taken out of percent signs", () => {
    const found = proxyFor(http, { http_proxy: "http://us%40er:p%3Aw@p:1" });
    expect(found).toMatchObject({ user: "us@er", password: "p:w", host: "p", port: 1 });
  });

  test.each(["ftp://p:1", "http://", "http://p:x"])("%s is named, and not shown", (value) => {
    const wrong = () => proxyFor(http, { http_proxy: value.replace("//", "//u:hunter2@") });
    expect(wrong).toThrow("the variable http_proxy");
    expect(wrong).not.toThrow("hunter2");
  });
});

interface Forwarder extends AsyncDisposable {
  readonly port: number;
  readonly asked: string[];
}

async function serving(server: Server, asked: string[]): Promise<Forwarder> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => sockets.add(socket.on("error", () => undefined)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** A proxy of HTTP that wants `user:password`. */
function httpProxy(): Promise<Forwarder> {
  const asked: string[] = [];
  const isLetIn = ({ headers }: IncomingMessage) =>
    headers["proxy-authorization"] === `Basic ${Buffer.from("user:pass").toString("base64")}`;
  const server = createPlain((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.writeHead(isLetIn(request) ? 200 : 407).end("from the proxy");
  });
  server.on("connect", (request: IncomingMessage, near: Socket) => {
    asked.push(`CONNECT ${request.url}`);
    if (!isLetIn(request)) return near.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    const far = connect(Number(request.url?.split(":").at(-1)), "127.0.0.1", () => {
      near.write("HTTP/1.1 200 Connection established\r\n\r\n");
      far.pipe(near).pipe(far);
    });
    near.on("error", () => far.destroy());
    far.on("error", () => near.destroy());
  });
  return serving(server, asked);
}

/** A proxy of SOCKS 5 without a login, which looks names up itself. */
function socksProxy(): Promise<Forwarder> {
  const asked: string[] = [];
  const server = createServer((near) => {
    near.once("data", () => {
      near.write(Buffer.from([5, 0]));
      near.once("data", (wish: Buffer) => {
        const length = wish[4] ?? 0;
        asked.push(`${wish.subarray(5, 5 + length)}:${wish.readUInt16BE(5 + length)}`);
        const far = connect(wish.readUInt16BE(5 + length), "127.0.0.1", () => {
          near.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
          far.pipe(near).pipe(far);
        });
        far.on("error", () => near.destroy());
      });
    });
  });
  return serving(server, asked);
}

describe("through a proxy", () => {
  test("HTTPS goes by CONNECT, and speaks HTTP/2 behind it", async () => {
    await using there = await http2Server((stream) => reply(stream, "answered"));
    await using proxy = await httpProxy();
    const https_proxy = `user:pass@127.0.0.1:${proxy.port}`;
    const environment = { ...there.environment, https_proxy };
    expect(await ask(environment, there.at("/a"))).toBe("answered");
    // Twice: the first handshake finds that the certificate is not of Node's own.
    expect(new Set(proxy.asked)).toEqual(new Set([`CONNECT localhost:${there.port}`]));
    expect(there.requests).toEqual(["GET /a"]);
  });

  test("a proxy that lets nobody through is named, and asked once", async () => {
    await using there = await http2Server((stream) => reply(stream, "x"));
    await using proxy = await httpProxy();
    const environment = { ...there.environment, all_proxy: `http://127.0.0.1:${proxy.port}` };
    const error = await ask(environment, there.at("/a")).catch((thrown: unknown) => thrown);
    if (!(error instanceof UserError)) throw error;
    expect(error.code).toBe("NCP-334");
    expect(error.message).toContain("HTTP 407");
  });

  test("plain HTTP is asked of the proxy, with the whole address", async () => {
    await using proxy = await httpProxy();
    const environment = { http_proxy: `http://user:pass@127.0.0.1:${proxy.port}` };
    const url = new URL("http://cache.invalid/a?b=c");
    expect(await ask(environment, url)).toBe("from the proxy");
    expect(proxy.asked).toEqual(["GET http://cache.invalid/a?b=c"]);
  });

  test("SOCKS carries both", async () => {
    await using plain = await listen(async () => text(200, "plain"));
    await using there = await http2Server((stream) => reply(stream, "answered"));
    await using proxy = await socksProxy();
    const environment = { ...there.environment, all_proxy: `socks5h://127.0.0.1:${proxy.port}` };
    expect(await ask(environment, there.at("/a"))).toBe("answered");
    expect(await ask(environment, new URL(`http://localhost:${plain.port}/a`))).toBe("plain");
    expect(proxy.asked.at(-1)).toBe(`localhost:${plain.port}`);
  });
});

describe("a certificate that a company's own authority signed", () => {
  test.each(["NIX_SSL_CERT_FILE", "SSL_CERT_FILE"])("is accepted by %s", async (name) => {
    await using there = await http2Server((stream) => reply(stream, "answered"));
    const environment = { [name]: there.environment["NIX_SSL_CERT_FILE"] ?? "" };
    expect(await ask(environment, there.at("/a"))).toBe("answered");
  });

  test("is accepted by ssl-cert-file of nix.conf, which counts before the variables", async () => {
    await using there = await http2Server((stream) => reply(stream, "answered"));
    const file = there.environment["NIX_SSL_CERT_FILE"];
    const environment = { NIX_SSL_CERT_FILE: "/nowhere/ca.pem" };
    expect(await ask(environment, there.at("/a"), file)).toBe("answered");
  });

  test("is refused without, once, with the setting to use and the file that is not there", async () => {
    await using there = await http2Server((stream) => reply(stream, "x"));
    const environment = { NIX_SSL_CERT_FILE: "/nowhere/ca.pem" };
    const error = await ask(environment, there.at("/a")).catch((thrown: unknown) => thrown);
    if (!(error instanceof UserError)) throw error;
    expect(error.code).toBe("NCP-333");
    expect(error.message).toContain(`https://localhost:${there.port}`);
    expect(error.hint).toMatch(
      /ssl-cert-file .*NIX_SSL_CERT_FILE.*\/nowhere\/ca\.pem cannot be read/,
    );
    expect(there.requests).toEqual([]);
  });
});
