import { constants } from "node:http2";
import { expect, test } from "@jest/globals";
import { HttpClient, type HttpRequest } from "../../src/host/http-client.ts";
import { showTrace } from "../../src/host/trace.ts";
import { http2Server, nat, reply } from "../servers/http2.ts";

const { signal } = new AbortController();

function client(environment: Readonly<Record<string, string>>) {
  const trace: string[] = [];
  const shown = showTrace((line) => trace.push(line), []);
  const http = new HttpClient(environment);
  const ask = (url: URL, change: Partial<HttpRequest> = {}) =>
    http.request({ method: "GET", url, signal, deadline: 20_000, ...change });
  return {
    trace,
    ask,
    text: async (url: URL, change: Partial<HttpRequest> = {}) =>
      (await ask(url, change)).body.toString(),
    stream: (url: URL, change: Partial<HttpRequest> = {}) =>
      http.stream({ method: "GET", url, signal, deadline: 20_000, ...change }),
    [Symbol.dispose]() {
      shown[Symbol.dispose]();
      http.close();
    },
  };
}

test("500 requests go over one or two sessions, and each is traced", async () => {
  await using there = await http2Server((stream, { ":path": path }) => reply(stream, `${path}`));
  using http = client(there.environment);
  const paths = Array.from({ length: 500 }, (_, n) => `/${n}?q=${n}`);
  const answers = await Promise.all(paths.map((path) => http.text(there.at(path))));
  expect(answers).toEqual(paths);
  expect(there.sessions.length).toBeLessThanOrEqual(2);
  expect(http.trace).toHaveLength(500);
  expect(http.trace.every((line) => line.includes(": 200, HTTP/2, "))).toBe(true);
  const made = http.trace.filter((line) => line.includes("new connection"));
  expect(made).toHaveLength(there.sessions.length);
});

test("a body goes up with its length, and a stream as it comes", async () => {
  await using there = await http2Server((stream, headers) => {
    let bytes = 0;
    stream.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    stream.on("end", () => reply(stream, `${headers["content-length"]} ${bytes}`));
  });
  using http = client(there.environment);
  const big = Buffer.alloc(3_000_000, "x");
  expect(await http.text(there.at("/a"), { method: "PUT", body: [big, big] })).toBe(
    "6000000 6000000",
  );
  const body = async function* () {
    for (let n = 0; n < 40; n++) yield big.subarray(0, 100_000);
  };
  expect(await http.text(there.at("/a"), { method: "PUT", body: body() })).toBe(
    "undefined 4000000",
  );
});

test("a server that allows ten streams has no more at once, and answers all", async () => {
  let open = 0;
  let most = 0;
  await using there = await http2Server(
    (stream) => {
      most = Math.max(most, ++open);
      setTimeout(() => {
        open--;
        reply(stream, "x");
      }, 5);
    },
    { maxConcurrentStreams: 10 },
  );
  using http = client(there.environment);
  await http.ask(there.at("/first"));
  await Promise.all(Array.from({ length: 100 }, (_, n) => http.ask(there.at(`/${n}`))));
  expect(most).toBeLessThanOrEqual(20);
});

test("limits lowered to one in mid-run are kept, and nothing is lost", async () => {
  await using there = await http2Server((stream, { ":path": path }, session) => {
    if (path === "/lower") session.settings({ maxConcurrentStreams: 1 });
    setTimeout(() => reply(stream, `${path}`), 2);
  });
  using http = client(there.environment);
  const paths = ["/lower", ...Array.from({ length: 300 }, (_, n) => `/${n}`)];
  expect(await Promise.all(paths.map((path) => http.text(there.at(path))))).toEqual(paths);
});

test.each(["GET", "PUT", "POST"] as const)(
  "a %s that the server refused to begin is asked again",
  async (method) => {
    let refused = 0;
    await using there = await http2Server((stream) => {
      if (refused++ < 2) stream.close(constants.NGHTTP2_REFUSED_STREAM);
      else reply(stream, "at last");
    });
    using http = client(there.environment);
    const change = method === "GET" ? { method } : { method, body: "body" };
    expect(await http.text(there.at("/a"), change)).toBe("at last");
    expect(there.requests).toHaveLength(3);
  },
);

test.each([
  [constants.NGHTTP2_NO_ERROR, "PUT"],
  [constants.NGHTTP2_INTERNAL_ERROR, "GET"],
] as const)("GOAWAY with code %d in mid-run: every %s has its answer", async (code, method) => {
  let said = false;
  await using there = await http2Server((stream, { ":path": path }, session) => {
    stream.resume();
    if (path === "/20" && !said) {
      said = true;
      // What came before is answered; what comes behind it was not begun.
      session.goaway(code, (stream.id ?? 0) - 2);
    }
    setTimeout(() => reply(stream, `${path}`), 5);
  });
  using http = client(there.environment);
  await http.ask(there.at("/first"));
  const paths = Array.from({ length: 80 }, (_, n) => `/${n}`);
  const change = method === "GET" ? { method } : { method, body: "x" };
  const answers = await Promise.all(paths.map((path) => http.text(there.at(path), change)));
  expect(answers).toEqual(paths);
  expect(there.sessions.length).toBeGreaterThan(1);
});

test("a session that dies: questions are asked again, a PUT is not", async () => {
  let killed = 0;
  await using there = await http2Server((stream, headers, session) => {
    if (String(headers[":path"]).startsWith("/dies") && killed++ === 0) session.socket.destroy();
    else reply(stream, "answered");
  });
  using http = client(there.environment);
  await http.ask(there.at("/first"));
  expect(await http.text(there.at("/dies"))).toBe("answered");
  killed = 0;
  await expect(http.ask(there.at("/dies"), { method: "PUT", body: "x" })).rejects.toThrow(
    `PUT ${there.at("/dies").href}: `,
  );
  expect(there.requests.filter((line) => line.startsWith("PUT"))).toHaveLength(1);
});

test("a stream that breaks off is an error, not an end", async () => {
  await using there = await http2Server((stream, { ":path": path }, session) => {
    // Only with the length it is to be seen that a stream which was ended is not whole.
    const length = path === "/session" ? {} : { "content-length": 200_000 };
    stream.respond({ ":status": 200, ...length });
    stream.write(Buffer.alloc(100_000));
    setTimeout(() => {
      if (path === "/session") session.socket.destroy();
      else stream.close(constants.NGHTTP2_NO_ERROR);
    }, 20);
  });
  using http = client(there.environment);
  const read = async (path: string) => {
    const { body } = await http.stream(there.at(path));
    for await (const chunk of body) expect(chunk.length).toBeGreaterThan(0);
  };
  await expect(read("/session")).rejects.toThrow(there.at("/session").href);
  await expect(read("/reset")).rejects.toThrow(there.at("/reset").href);
  await expect(http.ask(there.at("/reset"))).rejects.toThrow(there.at("/reset").href);
});

test("a deadline ends one stream, and the others go on over the same session", async () => {
  await using there = await http2Server((stream, { ":path": path }) => {
    if (path !== "/hang") reply(stream, "x");
  });
  using http = client(there.environment);
  await http.ask(there.at("/first"));
  const late = http.ask(there.at("/hang"), { deadline: 200 });
  await expect(late).rejects.toThrow("no answer within 0.2 s");
  await http.ask(there.at("/after"));
  expect(there.sessions).toHaveLength(1);
});

test("a NAT that forgot the connection costs a ping, not a deadline", async () => {
  await using there = await http2Server((stream) => reply(stream, "x"));
  await using box = await nat(there.port);
  using http = client(there.environment);
  const url = new URL(`https://localhost:${box.port}/a`);
  await http.ask(url);
  const before = box.flows();
  box.forget();
  // Longer than a connection is taken for fresh.
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  const answers = await Promise.all([http.text(url), http.text(url, { method: "PUT", body: "y" })]);
  expect(answers).toEqual(["x", "x"]);
  expect(box.flows()).toBe(before + 1);
});

test("what a session may send unread fits a NAR of gigabytes over a long way", async () => {
  const windows: number[] = [];
  await using there = await http2Server((stream, _, session) => {
    windows.push(session.remoteSettings.initialWindowSize ?? 0);
    reply(stream, "x");
  });
  using http = client(there.environment);
  await http.ask(there.at("/a"));
  // 50 ms at 80 MB/s.
  expect(windows).toEqual([4 * 1024 * 1024]);
});

test("a server without HTTP/2 has 32 connections at most", async () => {
  const { createServer } = await import("node:https");
  const { certificateFor } = await import("../support/certificate.ts");
  const { temporaryFolder } = await import("../support/folder.ts");
  const { writeFile } = await import("node:fs/promises");
  await using folder = await temporaryFolder();
  const { key, cert } = certificateFor("localhost");
  await writeFile(folder.at("ca.pem"), cert);
  let connections = 0;
  const server = createServer({ key, cert }, (_, response) => {
    setTimeout(() => response.end("x"), 5);
  });
  server.on("secureConnection", () => {
    connections++;
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const at = (path: string) => new URL(path, `https://localhost:${address.port}`);
  using http = client({ NIX_SSL_CERT_FILE: folder.at("ca.pem") });
  const paths = Array.from({ length: 200 }, (_, n) => `/${n}`);
  await Promise.all(paths.map((path) => http.ask(at(path))));
  expect(connections).toBeLessThanOrEqual(32);
  expect(http.trace.every((line) => line.includes(": 200, HTTP/1.1, "))).toBe(true);
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test("a connection that was made before there was anything to send carries the first request", async () => {
  await using there = await http2Server((stream) => reply(stream, "answered"));
  const certificates = Promise.withResolvers<string | undefined>();
  const http = new HttpClient({}, { certificates: certificates.promise });
  try {
    http.connect(there.at("/"));
    // Whose certificates Nix accepts is not known yet: it is waited for, and not taken for "nobody's".
    const answer = http.request({ method: "GET", url: there.at("/a"), signal, deadline: 20_000 });
    certificates.resolve(there.environment["NIX_SSL_CERT_FILE"]);
    expect((await answer).body.toString()).toBe("answered");
    expect(there.sessions).toHaveLength(1);
  } finally {
    http.close();
  }
});

test("one that could not be made is made for the request, and one that nobody used ends with the client", async () => {
  const nobody = await http2Server(() => undefined);
  const gone = nobody.at("/a");
  await nobody[Symbol.asyncDispose]();
  await using there = await http2Server((stream) => reply(stream, "answered"));
  const http = new HttpClient(there.environment);
  http.connect(gone);
  await expect(
    http.request({ method: "GET", url: gone, signal, deadline: 20_000 }),
  ).rejects.toThrow("ECONNREFUSED");
  http.connect(there.at("/"));
  while (there.sessions.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const [session] = there.sessions;
  const ended = new Promise((resolve) => session?.once("close", resolve));
  http.close();
  await ended;
  expect(there.requests).toEqual([]);
});
