import { expect, test } from "@jest/globals";
import { answerTroubleWords } from "../../src/domain/cache.ts";
import { UserError } from "../../src/domain/errors.ts";
import type { HttpRequest, HttpResponse } from "../../src/host/http-client.ts";
import { HttpClient } from "../../src/host/http-client.ts";
import { PoliteHttp } from "../../src/host/retry.ts";
import { listen } from "../servers/http.ts";

const signal = new AbortController().signal;
const url = new URL("http://host/x");
const wish: HttpRequest = { method: "GET", url, signal, deadline: 30_000 };

/** A client whose answers are given by hand. */
function byHand() {
  const open: { answer(status: number): void; fail(error: Error): void }[] = [];
  const request = () =>
    new Promise<HttpResponse>((resolve, reject) => {
      open.push({
        answer: (status) => resolve({ status, headers: {}, body: Buffer.alloc(0), url }),
        fail: reject,
      });
    });
  const polite = new PoliteHttp({
    request,
    stream: async () => {
      throw new Error("no streams here");
    },
  });
  return { open, polite };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test.each([429, 503])(
  "%d halves what is under way at once, and answers widen it",
  async (status) => {
    const { open, polite } = byHand();
    const all = Array.from({ length: 600 }, () => polite.request(wish));
    expect(open.length).toBe(256);
    open[0]?.answer(status);
    for (let n = 1; n < 256; n++) open[n]?.answer(200);
    await turn();
    // 128, and one more for every 128 answers.
    expect(open.length - 256).toBeGreaterThanOrEqual(128);
    expect(open.length - 256).toBeLessThan(135);
    for (let at = 256; at < 600; await turn()) while (at < open.length) open[at++]?.answer(200);
    expect((await Promise.all(all)).length).toBe(600);
  },
);

test.each([200, 404, 500])("%d does not", async (status) => {
  const { open, polite } = byHand();
  for (let n = 0; n < 600; n++) void polite.request(wish);
  for (let n = 0; n < 256; n++) open[n]?.answer(status);
  await turn();
  expect(open.length).toBe(512);
});

test("a request that fails lets the next one in, and is counted by what was wrong", async () => {
  const { open, polite } = byHand();
  const all = Array.from({ length: 260 }, () => polite.request(wish));
  const settled = Promise.allSettled(all);
  open[0]?.fail(
    new Error("GET x: x", { cause: Object.assign(new Error("x"), { code: "ECONNRESET" }) }),
  );
  open[1]?.fail(new Error("GET x: x", { cause: new Error("the connection was closed") }));
  open[2]?.fail(
    new Error("GET x: x", { cause: Object.assign(new Error("x"), { code: "ENOTFOUND" }) }),
  );
  open[3]?.fail(new UserError("NCP-501", "no answer within 15 s"));
  await turn();
  expect(open.length).toBe(260);
  for (const one of open) one.answer(200);
  await settled;
  expect([...polite.answerTrouble.troubles]).toEqual([
    ["connection closed", 2],
    ["connection failed", 1],
    ["no answer in time", 1],
  ]);
});

test("what the caller interrupted is no trouble of the server's", async () => {
  await using server = await listen(async () => "hang");
  const http = new HttpClient({});
  const polite = new PoliteHttp(http);
  const controller = new AbortController();
  const asked = polite.request({ ...wish, url: new URL(server.origin), signal: controller.signal });
  controller.abort(new Error("interrupted"));
  await expect(asked).rejects.toThrow("interrupted");
  expect(polite.answerTrouble.troubles.size).toBe(0);
  http.close();
});

test("slow or failing answers is told in words, and nothing where there is none", () => {
  expect(answerTroubleWords({ troubles: new Map(), slow: 0, slowest: 0 })).toBeUndefined();
  const troubles = new Map([
    ["HTTP 503", 1],
    ["HTTP 429", 12],
  ]);
  expect(answerTroubleWords({ troubles, slow: 1, slowest: 4_200 })).toBe(
    "13 requests had to be tried again (12 × HTTP 429, 1 × HTTP 503); 1 answer took longer than 3.0s, the slowest 4.2s",
  );
});
