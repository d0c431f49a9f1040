import { execFile } from "node:child_process";
import type { IncomingMessage } from "node:http";
import { createServer } from "node:net";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { UserError } from "../../src/domain/errors.ts";
import { HttpClient, type HttpRequest } from "../../src/host/http-client.ts";
import { listen, type Outcome, readBody, text } from "../servers/http.ts";

const run = promisify(execFile);

interface Seen {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** A server that answers by path, and tells what it was asked. */
async function server(routes: Readonly<Record<string, Outcome | (() => Outcome)>>) {
  const seen: Seen[] = [];
  const listening = await listen(async (request) => {
    const body = (await readBody(request, { limit: 1e9 })).toString();
    seen.push({ method: request.method, url: request.url, headers: request.headers, body });
    const route = routes[request.url ?? ""] ?? text(404, "not here");
    return typeof route === "function" ? route() : route;
  });
  return {
    seen,
    origin: listening.origin,
    at: (path: string) => new URL(path, listening.origin),
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  };
}

function client(environment: Record<string, string> = {}) {
  const http = new HttpClient(environment);
  return {
    get: (url: URL, change: Partial<HttpRequest> = {}) => http.request(wish(url, change)),
    stream: (url: URL, change: Partial<HttpRequest> = {}) => http.stream(wish(url, change)),
    [Symbol.dispose]: () => http.close(),
  };
}

function wish(url: URL, change: Partial<HttpRequest>): HttpRequest {
  const { signal } = new AbortController();
  return { method: "GET", url, signal, deadline: 30_000, ...change };
}

const redirect = (location: string, status = 302): Outcome => ({ status, headers: { location } });
const SECRET = { authorization: "Bearer hunter2", cookie: "a=b", "x-plain": "kept" };

describe("a request", () => {
  test.each([200, 204, 304, 400, 401, 403, 404, 410, 429, 500, 503])(
    "answered with %d throws nothing",
    async (status) => {
      await using there = await server({ "/a": { status, body: "x" } });
      using http = client();
      expect((await http.get(there.at("/a"))).status).toBe(status);
    },
  );

  test.each([
    ["PUT", "text", "4"],
    ["POST", Buffer.from([1, 2, 3]), "3"],
    ["PUT", "", "0"],
  ] as const)("%s sends its body with its length", async (method, body, length) => {
    await using there = await server({ "/a": text(200, "ok") });
    using http = client();
    await http.get(there.at("/a"), { method, body });
    expect(there.seen[0]).toMatchObject({ method, headers: { "content-length": length } });
  });

  test("keeps its connection for the next one", async () => {
    const ports = new Set<number | undefined>();
    await using there = await listen(async (request) => {
      ports.add(request.socket.remotePort);
      return text(200, "ok");
    });
    using http = client();
    for (let n = 0; n < 5; n++) await http.get(new URL(there.origin));
    expect(ports.size).toBe(1);
  });

  test("is refused when the answer is longer than it may be", async () => {
    await using there = await server({ "/a": text(200, "x".repeat(1000)) });
    using http = client();
    expect((await http.get(there.at("/a"), { maxBytes: 1000 })).body).toHaveLength(1000);
    await expect(http.get(there.at("/a"), { maxBytes: 999 })).rejects.toThrow(
      "answered with more than 999 bytes",
    );
  });

  test.each<[string, Outcome]>([
    ["the connection is dropped", "drop"],
    ["the body breaks off", { status: 200, body: "x".repeat(1000), cutAfter: 500 }],
  ])("fails where %s, and names the URL without its query", async (_, outcome) => {
    await using there = await server({ "/a?secret=hunter2": outcome });
    using http = client();
    const error = await http.get(there.at("/a?secret=hunter2")).catch((thrown) => thrown);
    expect(error.message).toContain(`GET ${there.origin}/a: `);
    expect(error.message).not.toContain("hunter2");
  });

  test("fails where nobody listens", async () => {
    const { origin } = await (async () => {
      await using gone = await server({});
      return gone;
    })();
    using http = client();
    await expect(http.get(new URL(origin))).rejects.toThrow("ECONNREFUSED");
  });
});

describe("a redirect", () => {
  test.each([301, 302, 303, 307, 308])("of status %d is followed", async (status) => {
    await using there = await server({ "/a": redirect("/b", status), "/b": text(200, "b") });
    using http = client();
    const answer = await http.get(there.at("/a"));
    expect([answer.status, answer.body.toString(), answer.url.pathname]).toEqual([200, "b", "/b"]);
  });

  test("within one origin keeps the credentials", async () => {
    await using there = await server({ "/a": redirect("/b"), "/b": text(200, "b") });
    using http = client();
    await http.get(there.at("/a"), { headers: SECRET });
    expect(there.seen[1]?.headers).toMatchObject(SECRET);
  });

  test.each(["authorization", "Authorization", "COOKIE"])(
    "to another origin drops %s, and does not take it up again on the way back",
    async (name) => {
      await using home = await server({
        "/a": () => redirect(`${away.origin}/b`),
        "/c": text(200, ""),
      });
      await using away = await server({ "/b": () => redirect(`${home.origin}/c`) });
      using http = client();
      await http.get(home.at("/a"), { headers: { [name]: "hunter2", "x-plain": "kept" } });
      const names = [home.seen[0], away.seen[0], home.seen[1]].map((one) => [
        one?.headers[name.toLowerCase()],
        one?.headers["x-plain"],
      ]);
      expect(names).toEqual([
        ["hunter2", "kept"],
        [undefined, "kept"],
        [undefined, "kept"],
      ]);
    },
  );

  test("without end comes to one", async () => {
    await using there = await server({ "/a": redirect("/a") });
    using http = client();
    await expect(http.get(there.at("/a"))).rejects.toThrow("redirects without end");
    expect(there.seen.length).toBeLessThan(10);
  });

  test.each(["file:///etc/passwd", "ftp://host/x", "javascript:alert(1)", "gopher://x"])(
    "to %s is refused",
    async (location) => {
      await using there = await server({ "/a": redirect(location) });
      using http = client();
      await expect(http.get(there.at("/a"))).rejects.toThrow("redirects to ");
    },
  );

  test.each(["PUT", "POST", "DELETE"] as const)("of a %s is handed back", async (method) => {
    await using there = await server({ "/a": redirect("/b") });
    using http = client();
    const { status } = await http.get(there.at("/a"), { method });
    expect([status, there.seen.length]).toEqual([302, 1]);
  });

  test("that is no URL fails by itself", async () => {
    await using there = await server({ "/a": redirect("http://[") });
    using http = client();
    await expect(http.get(there.at("/a"))).rejects.toThrow(`GET ${there.origin}/a`);
  });
});

describe("a wait", () => {
  test("ends at the deadline", async () => {
    await using there = await server({ "/a?secret=hunter2": "hang" });
    using http = client();
    const error = await http
      .get(there.at("/a?secret=hunter2"), { deadline: 100 })
      .catch((thrown) => thrown);
    expect(error).toBeInstanceOf(UserError);
    expect(error.message).toBe(`GET ${there.origin}/a: no answer within 0.1 s`);
  });

  test("ends where nobody answers the connection", async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const address = silent.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    using http = client();
    await expect(
      http.get(new URL(`http://127.0.0.1:${address.port}`), { deadline: 100 }),
    ).rejects.toThrow("no answer within 0.1 s");
    silent.close();
  });

  test("ends with the reason of the run's interruption", async () => {
    const controller = new AbortController();
    const reason = new UserError("NCP-501", "interrupted by SIGTERM");
    await using there = await server({
      "/a": () => {
        controller.abort(reason);
        return "hang";
      },
    });
    using http = client();
    const { signal } = controller;
    await expect(http.get(there.at("/a"), { signal })).rejects.toBe(reason);
  });

  test("does not begin after an interruption", async () => {
    await using there = await server({ "/a": text(200, "x") });
    using http = client();
    const signal = AbortSignal.abort(new Error("interrupted"));
    await expect(http.get(there.at("/a"), { signal })).rejects.toThrow("interrupted");
    expect(there.seen).toEqual([]);
  });
});

describe("a stream", () => {
  test("gives the bytes as they come", async () => {
    const content = "0123456789".repeat(100_000);
    await using there = await server({ "/a": text(200, content), "/r": redirect("/a") });
    using http = client();
    const { status, body } = await http.stream(there.at("/r"));
    const chunks: Uint8Array[] = [];
    for await (const chunk of body) chunks.push(chunk);
    expect([status, Buffer.concat(chunks).toString() === content]).toEqual([200, true]);
    expect(chunks.length).toBeGreaterThan(1);
  });

  test("that breaks off is an error, not an end", async () => {
    const content = "x".repeat(100_000);
    await using there = await server({ "/a": { status: 200, body: content, cutAfter: 50_000 } });
    using http = client();
    const { body } = await http.stream(there.at("/a"));
    const read = async () => {
      for await (const chunk of body) expect(chunk.length).toBeGreaterThan(0);
    };
    await expect(read()).rejects.toThrow(`GET ${there.origin}/a`);
  });

  test("whose reader takes its time is not late", async () => {
    await using there = await server({ "/a": text(200, "x".repeat(1_000_000)) });
    using http = client();
    const { body } = await http.stream(there.at("/a"), { deadline: 200 });
    let bytes = 0;
    for await (const chunk of body) {
      // Longer than the deadline, once: it bounds the server's pauses, not ours.
      if (bytes === 0) await new Promise((resolve) => setTimeout(resolve, 400));
      bytes += chunk.length;
    }
    expect(bytes).toBe(1_000_000);
  });

  test("that hangs ends at the deadline", async () => {
    await using there = await server({ "/a": "hang" });
    using http = client();
    await expect(http.stream(there.at("/a"), { deadline: 100 })).rejects.toThrow(
      "no answer within",
    );
  });
});

test("the hosts of a run share the files that may be open", async () => {
  const servers = await Promise.all(
    Array.from({ length: 6 }, () =>
      listen(async () => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        return text(200, "x");
      }),
    ),
  );
  try {
    const client = resolve("src/host/http-client.ts");
    const origins = servers.map(({ origin }) => `${origin}/`);
    const program = `
      import { readdirSync } from "node:fs";
      const { HttpClient } = await import(${JSON.stringify(client)});
      const http = new HttpClient({});
      const { signal } = new AbortController();
      let most = 0;
      const ask = async (url) => {
        const { status } = await http.request({ method: "GET", url: new URL(url), signal, deadline: 30_000 });
        most = Math.max(most, readdirSync("/proc/self/fd").length);
        return status;
      };
      const all = ${JSON.stringify(origins)}.flatMap((url) => Array.from({ length: 60 }, () => ask(url)));
      const statuses = await Promise.all(all);
      console.log(JSON.stringify({ answered: statuses.filter((one) => one === 200).length, most }));
      http.close();`;
    const limited = 'ulimit -n 80 && exec "$0" --input-type=module --eval "$1"';
    const { stdout } = await run("sh", ["-c", limited, process.execPath, program]);
    const { answered, most } = JSON.parse(stdout) as Record<"answered" | "most", number>;
    expect(answered).toBe(360);
    expect(most).toBeLessThan(80);
  } finally {
    await Promise.all(servers.map((one) => one[Symbol.asyncDispose]()));
  }
});
