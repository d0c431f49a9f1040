import { createServer, type Server, type Socket } from "node:net";
import { describe, expect, test } from "@jest/globals";
import { AnswerReader, wireRequest } from "../../src/host/wire-answer.ts";
import { WirePool } from "../../src/host/wire-pool.ts";

const MOST = 1_000_000;

/** Whatever the sizes in which the bytes come, what is read is the same. */
const CUTS = [1, 7, 64, 100_000] as const;

function read(text: string, cut: number, method = "GET", most = MOST) {
  const reader = new AnswerReader(method, most);
  const bytes = Buffer.from(text, "latin1");
  for (let at = 0; at < bytes.length; at += cut) {
    const answer = reader.take(bytes.subarray(at, at + cut));
    if (answer) return { ...answer, body: answer.body.toString("latin1"), used: at + cut };
  }
  const answer = reader.end();
  return { ...answer, body: answer.body.toString("latin1"), used: bytes.length };
}

const OK = "HTTP/1.1 200 OK\r\n";

describe.each(CUTS)("an answer that comes in pieces of %d bytes", (cut) => {
  test.each([
    ["a length", `${OK}Content-Length: 5\r\n\r\nhello`, 200, "hello", "keep"],
    ["no body", `${OK}Content-Length: 0\r\n\r\n`, 200, "", "keep"],
    ["the same length twice", `${OK}Content-Length: 2, 2\r\n\r\nok`, 200, "ok", "keep"],
    ["no length", `${OK}\r\nto the end`, 200, "to the end", "keep"],
    [
      "chunks",
      `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x="y"\r\n world\r\n0\r\n\r\n`,
      200,
      "hello world",
      "keep",
    ],
    [
      "chunks and a trailer",
      `${OK}transfer-encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n`,
      200,
      "ok",
      "keep",
    ],
    [
      "both a length and chunks",
      `${OK}Content-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
      200,
      "ok",
      "close",
    ],
    [
      "a wish to close",
      `${OK}Connection: Close\r\nContent-Length: 2\r\n\r\nok`,
      200,
      "ok",
      "close",
    ],
    ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", "close"],
    [
      "HTTP/1.0 that is kept",
      "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
      200,
      "ok",
      "keep",
    ],
    [
      "answers before the answer",
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`,
      200,
      "ok",
      "keep",
    ],
    ["no reason", "HTTP/1.1 404\r\nContent-Length: 2\r\n\r\nno", 404, "no", "keep"],
    ["204 with a length", "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", 204, "", "keep"],
    ["304 with a length", "HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", 304, "", "keep"],
  ])("with %s", (_, text, status, body, connection) => {
    const answer = read(text, cut);
    expect([answer.status, answer.body, answer.connection]).toEqual([status, body, connection]);
  });

  test("to a HEAD has no body, whatever length it names", () => {
    const answer = read(`${OK}Content-Length: 1000\r\n\r\n`, cut, "HEAD");
    expect([answer.body, answer.headers["content-length"]]).toEqual(["", "1000"]);
  });

  test("has its fields in lower case, and those that came twice joined", () => {
    const { headers } = read(`${OK}X-A: 1\r\nx-a:2  \r\nContent-Length: 0\r\n\r\n`, cut);
    expect(headers).toEqual({ "x-a": "1, 2", "content-length": "0" });
  });

  test.each([
    ["nothing", "", "closed without an answer"],
    ["half a head", "HTTP/1.1 200 OK\r\nConte", "closed in the middle"],
    ["half a body", `${OK}Content-Length: 5\r\n\r\nhel`, "closed in the middle"],
    ["half a chunk", `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhel`, "closed in the middle"],
    ["no last chunk", `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n`, "closed in the middle"],
    ["something else", "SSH-2.0-OpenSSH_9.9\r\n\r\n", "is no HTTP/1.1 answer"],
    ["HTTP/2", "HTTP/2 200\r\n\r\n", "is no HTTP/1.1 answer"],
    ["a folded field", `${OK}X-A: 1\r\n  2\r\n\r\n`, "is no field of a head"],
    ["a field without a name", `${OK}: 1\r\n\r\n`, "is no field of a head"],
    [
      "two lengths",
      `${OK}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`,
      "no Content-Length",
    ],
    ["a length in words", `${OK}Content-Length: five\r\n\r\nhello`, "no Content-Length"],
    ["a length below zero", `${OK}Content-Length: -5\r\n\r\nhello`, "no Content-Length"],
    ["a chunk in words", `${OK}Transfer-Encoding: chunked\r\n\r\nxyz\r\n`, "no size of a chunk"],
    [
      "a chunk that is too long",
      `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n`,
      "a chunk without its end",
    ],
    ["another encoding", `${OK}Transfer-Encoding: gzip\r\n\r\nx`, 'encoding "gzip" is not known'],
    ["another protocol", "HTTP/1.1 101 Switching\r\n\r\n", "changes the protocol"],
    ["a head without end", `${OK}${"X-A: 1\r\n".repeat(20_000)}`, "head is too long"],
    [
      "a body past all bounds",
      `${OK}Content-Length: 2000000\r\n\r\n${"x".repeat(1_100_000)}`,
      "more than 1000000",
    ],
  ])("that is %s is none", (_, text, why) => {
    // The long ones byte by byte would only take their time.
    if (text.length > 10_000 && cut < 64) cut = 64;
    expect(() => read(text, cut)).toThrow(why);
  });
});

test("a value that would end its line is not sent, and not told", () => {
  const url = new URL("http://host/x");
  const send = () => wireRequest("GET", url, { authorization: "a\r\nx: secret" }, [], MOST);
  expect(send).toThrow("the value of the field authorization cannot be sent");
  expect(send).not.toThrow("secret");
});

/** A server of bare sockets: `act` is called with the number of the connection and of its request. */
async function bare(act: (socket: Socket, connection: number, request: number) => void) {
  let connections = 0;
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    const mine = connections++;
    let requests = 0;
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    socket.on("data", (bytes) => {
      for (const _ of bytes.toString("latin1").matchAll(/\r\n\r\n/g)) act(socket, mine, requests++);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    url: new URL(`http://127.0.0.1:${address.port}/x`),
    count: () => connections,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const reply = (body: string) => `${OK}Content-Length: ${body.length}\r\n\r\n${body}`;

function get(pool: WirePool, url: URL, method = "GET") {
  return pool.send(url, wireRequest(method, url, {}, [], MOST)).answer;
}

describe("a pool of connections", () => {
  test("opens no more than it may, and every request has its answer", async () => {
    await using there = await bare((socket, connection, request) => {
      setTimeout(() => socket.write(reply(`${connection}/${request}`)), 5);
    });
    const pool = new WirePool(3);
    const answers = await Promise.all(Array.from({ length: 30 }, () => get(pool, there.url)));
    expect(there.count()).toBe(3);
    expect(new Set(answers.map(({ body }) => body.toString())).size).toBe(30);
    pool.close();
  });

  test("asks again where a kept connection is closed instead of answering", async () => {
    await using there = await bare((socket, connection, request) => {
      if (connection === 0 && request === 1) socket.destroy();
      else socket.write(reply(`${connection}`));
    });
    const pool = new WirePool(1);
    expect((await get(pool, there.url)).body.toString()).toBe("0");
    expect((await get(pool, there.url)).body.toString()).toBe("1");
    pool.close();
  });

  test("does not send a PUT twice, nor a question that was answered in part", async () => {
    await using there = await bare((socket, _, request) => {
      if (request === 0) socket.write(reply("ok"));
      else socket.end("HTTP/1.1 200 OK\r\n");
    });
    const pool = new WirePool(1);
    await get(pool, there.url);
    await expect(get(pool, there.url, "PUT")).rejects.toThrow("closed");
    await get(pool, there.url);
    await expect(get(pool, there.url)).rejects.toThrow("closed in the middle");
    expect(there.count()).toBe(2);
    pool.close();
  });

  test("does not use a connection again that said more than it was asked", async () => {
    await using there = await bare((socket, connection) => {
      socket.write(`${reply(`${connection}`)}${reply("unasked")}`);
    });
    const pool = new WirePool(1);
    for (const expected of ["0", "1", "2"]) {
      expect((await get(pool, there.url)).body.toString()).toBe(expected);
    }
    pool.close();
  });

  test("gives up a request that waits for its turn, and the next one has it", async () => {
    const answers: (() => void)[] = [];
    await using there = await bare((socket, _, request) => {
      answers.push(() => socket.write(reply(`${request}`)));
      if (request > 0) answers.at(-1)?.();
    });
    const pool = new WirePool(1);
    const first = get(pool, there.url);
    const second = pool.send(there.url, wireRequest("GET", there.url, {}, [], MOST));
    const third = get(pool, there.url);
    second.destroy(new Error("interrupted"));
    await expect(second.answer).rejects.toThrow("interrupted");
    while (answers.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    answers[0]?.();
    expect((await first).body.toString()).toBe("0");
    expect((await third).body.toString()).toBe("1");
    pool.close();
  });
});
