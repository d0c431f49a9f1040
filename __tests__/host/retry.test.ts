import { describe, expect, test } from "@jest/globals";
import { UserError } from "../../src/domain/errors.ts";
import { HttpClient, type HttpResponse } from "../../src/host/http-client.ts";
import {
  ASK,
  isPassing,
  RETRY,
  type RetryPolicy,
  retry,
  retryAfter,
} from "../../src/host/retry.ts";
import { listen, type Outcome, text } from "../servers/http.ts";

const QUICK: RetryPolicy = { first: 1, longest: 5, total: 300, patience: 50 };
const SIGNAL = new AbortController().signal;

/** Answers with `outcomes` in turn, the last one for ever; gives what came of it and how many tries. */
async function tried(outcomes: readonly [Outcome, ...Outcome[]], policy = QUICK, signal = SIGNAL) {
  let asked = 0;
  await using server = await listen(
    async () => outcomes[Math.min(asked++, outcomes.length - 1)] ?? "drop",
  );
  const http = new HttpClient({});
  try {
    const url = new URL(server.origin);
    const attempt = () => http.request({ method: "GET", url, signal, deadline: 10_000 });
    const came = await retry(attempt, signal, policy).then(
      (answer) => answer.status,
      (error: unknown) => error,
    );
    return { came, asked };
  } finally {
    http.close();
  }
}

describe("trying again", () => {
  test.each([200, 204, 301, 304, 400, 401, 403, 404, 409, 410, 413, 422])(
    "is not worth it after %d",
    async (status) => {
      expect(await tried([{ status }, text(200, "later")])).toEqual({ came: status, asked: 1 });
    },
  );

  test.each<[string, Outcome]>([
    ["408", { status: 408 }],
    ["429", { status: 429 }],
    ["500", { status: 500 }],
    ["502", { status: 502 }],
    ["503", { status: 503 }],
    ["504", { status: 504 }],
    ["a dropped connection", "drop"],
    ["a body that breaks off", { status: 200, body: "xxxxxxxxxx", cutAfter: 5 }],
  ])("is worth it after %s", async (_, outcome) => {
    expect(await tried([outcome, outcome, text(200, "")])).toEqual({ came: 200, asked: 3 });
  });

  test("comes to an end with the last answer", async () => {
    const { came, asked } = await tried([{ status: 503 }]);
    expect(came).toBe(503);
    expect(asked).toBeGreaterThan(3);
  });

  test("comes to an end with the last failure, and says how often and how long", async () => {
    const { came } = await tried(["drop"], { ...QUICK, total: 50 });
    expect(came).toBeInstanceOf(UserError);
    expect((came as UserError).code).toBe("NCP-302");
    expect((came as UserError).message).toMatch(/\(tried \d+ times, for at most 0 s\)$/);
  });

  test("soon gives up on nobody", async () => {
    let asked = 0;
    const attempt = async () => {
      asked++;
      throw new Error("GET x", {
        cause: Object.assign(new Error("refused"), { code: "ECONNREFUSED" }),
      });
    };
    await expect(retry(attempt, SIGNAL, { ...QUICK, total: 60_000 })).rejects.toThrow(
      "GET x: refused (tried 2 times)",
    );
    expect(asked).toBe(2);
  });

  test.each([
    ["a number", { "retry-after": "0.001" }, ""],
    ["JSON", { "content-type": "application/json" }, '{"retry_after": 0.001}'],
  ])("waits as long as the server asks: %s", async (_, headers, body) => {
    const busy = { status: 429, headers, body };
    // Its own pauses would be for ever.
    const policy = { first: 1, longest: 3_600_000, total: 60_000, patience: 50 };
    expect(await tried([busy, text(200, "")], policy)).toEqual({ came: 200, asked: 2 });
  });

  test("does not wait longer than its patience", async () => {
    const busy = { status: 503, headers: { "retry-after": "86400" } };
    expect(await tried([busy, text(200, "")])).toEqual({ came: 200, asked: 2 });
  });

  test("ends with the reason of the run's interruption, in the middle of a pause", async () => {
    const controller = new AbortController();
    const reason = new Error("interrupted by SIGTERM");
    const attempt = async (): Promise<HttpResponse> => {
      setTimeout(() => controller.abort(reason), 10);
      return {
        status: 503,
        headers: { "retry-after": "60" },
        body: Buffer.alloc(0),
        url: new URL("http://x"),
      };
    };
    const policy = { first: 60_000, longest: 60_000, total: 120_000, patience: 60_000 };
    await expect(retry(attempt, controller.signal, policy)).rejects.toBe(reason);
  });
});

test.each([
  [200, false],
  [399, false],
  [404, false],
  [408, true],
  [418, false],
  [429, true],
  [499, false],
  [500, true],
  [599, true],
])("a status of %d passes: %s", (status, passing) => {
  expect(isPassing(status)).toBe(passing);
});

describe("what a server asks us to wait", () => {
  const NOW = Date.parse("2026-01-01T00:00:00Z");
  const answer = (headers: HttpResponse["headers"], body = ""): HttpResponse => ({
    status: 429,
    headers,
    body: Buffer.from(body),
    url: new URL("http://x"),
  });
  const json = { "content-type": "application/json; charset=utf-8" };

  test.each([
    ["nothing", {}, "", undefined],
    ["seconds", { "retry-after": "120" }, "", 120_000],
    ["a part of a second", { "retry-after": "0.5" }, "", 500],
    ["blanks", { "retry-after": " 3 " }, "", 3000],
    ["a date", { "retry-after": "Thu, 01 Jan 2026 00:01:00 GMT" }, "", 60_000],
    ["a date gone by", { "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT" }, "", undefined],
    ["at once", { "retry-after": "0" }, "", undefined],
    ["words", { "retry-after": "soon" }, "", undefined],
    ["an empty header", { "retry-after": "" }, "", undefined],
    ["a number past all bounds", { "retry-after": "9".repeat(400) }, "", undefined],
    ["JSON", json, '{"retry_after": 2}', 2000],
    ["JSON with a text", json, '{"retry_after": "2"}', undefined],
    ["JSON with a negative number", json, '{"retry_after": -2}', undefined],
    ["JSON without it", json, "{}", undefined],
    ["JSON that is none", json, "{", undefined],
    ["JSON that is null", json, "null", undefined],
    ["JSON under another name", { "content-type": "text/html" }, '{"retry_after": 2}', undefined],
    ["a header before a body", { ...json, "retry-after": "1" }, '{"retry_after": 2}', 1000],
  ])("%s", (_, headers, body, expected) => {
    expect(retryAfter(answer(headers, body), NOW)).toBe(expected);
  });
});

test("the policies come to an end, and no pause is longer than the whole", () => {
  for (const policy of [RETRY, ASK]) {
    expect(policy.longest).toBeLessThan(policy.total);
    expect(policy.first).toBeLessThan(policy.longest);
    expect(policy.patience).toBeGreaterThanOrEqual(policy.total);
  }
});
