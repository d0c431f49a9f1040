import { describe, expect, test } from "@jest/globals";
import { exec, execStream } from "../../src/host/exec.ts";
import { HttpClient } from "../../src/host/http-client.ts";
import { beginTrace, commandName, showTrace } from "../../src/host/trace.ts";
import { listen, text } from "../servers/http.ts";

const signal = new AbortController().signal;
const COMMAND = { env: { PATH: "/usr/bin:/bin" }, signal, deadline: 60_000 };

/** The lines of what `work` does, each without its milliseconds. */
async function linesOf(work: () => Promise<unknown>, secrets: readonly string[] = []) {
  const lines: string[] = [];
  using _trace = showTrace((line) => lines.push(line), secrets);
  await work();
  return lines.map((line) => {
    expect(line).toMatch(/, \d+ ms$/);
    return line.replace(/, \d+ ms$/, "");
  });
}

describe("a request is one line", () => {
  test("with method, host, path, status, protocol and whose connection it was", async () => {
    await using server = await listen(async () => text(200, "ours"));
    const http = new HttpClient({});
    const ask = (path: string) =>
      http.request({ method: "GET", url: new URL(path, server.origin), signal, deadline: 60_000 });
    const lines = await linesOf(async () => {
      await ask("/a.narinfo");
      await ask("/b.narinfo?token=hidden");
    });
    http.close();
    expect(lines).toEqual([
      `GET ${server.origin}/a.narinfo: 200, HTTP/1.1, new connection`,
      `GET ${server.origin}/b.narinfo: 200, HTTP/1.1, kept connection`,
    ]);
  });

  test("a stream's too, and each of a redirect's", async () => {
    await using server = await listen(async ({ url = "" }) =>
      url.startsWith("/first")
        ? { status: 302, headers: { location: "/second?signature=hidden" }, body: "" }
        : text(200, "ours"),
    );
    const http = new HttpClient({});
    const url = new URL(server.origin);
    url.username = "hidden-token";
    url.pathname = "/first";
    const lines = await linesOf(async () => {
      const { discard } = await http.stream({ method: "GET", url, signal, deadline: 60_000 });
      discard();
    });
    http.close();
    expect(lines.map((line) => line.replace(/(new|kept) connection/, "connection"))).toEqual([
      `GET ${server.origin}/first: 302, HTTP/1.1, connection`,
      `GET ${server.origin}/second: 200, HTTP/1.1, connection`,
    ]);
  });

  test("that fails is one, too", async () => {
    const http = new HttpClient({});
    const url = new URL("http://127.0.0.1:1/a?token=hidden");
    const lines = await linesOf(() =>
      http.request({ method: "HEAD", url, signal, deadline: 60_000 }).catch(() => undefined),
    );
    http.close();
    expect(lines).toEqual([expect.stringMatching(/^HEAD http:\/\/127\.0\.0\.1:1\/a: failed \(/)]);
    expect(lines.join("\n")).not.toContain("hidden");
  });
});

describe("a command is one line", () => {
  test("with its arguments and its status", async () => {
    expect(await linesOf(() => exec("test", ["a b", "=", "c"], COMMAND))).toEqual([
      'test "a b" = c: status 1',
    ]);
  });

  test("that cannot be started says so", async () => {
    const lines = await linesOf(() => exec("no-such-program", [], COMMAND).catch(() => undefined));
    expect(lines).toEqual([expect.stringMatching(/^no-such-program: failed \(.*ENOENT/)]);
  });

  test("whose output is streamed says how it ended", async () => {
    const read = async () => {
      for await (const _ of execStream("echo", ["a"], COMMAND, Error));
    };
    expect(await linesOf(read)).toEqual(["echo a: status 0"]);
  });

  test("is cut where it names ten thousand paths", async () => {
    const paths = Array.from({ length: 10_000 }, (_, n) => `/nix/store/path-${n}`);
    const [line = ""] = await linesOf(() => exec("true", paths, COMMAND));
    expect(line.length).toBeLessThan(4_100);
    expect(line).toMatch(/ … and \d{4} more: status 0$/);
  });
});

describe("nothing secret is shown", () => {
  test.each([
    ["a secret of the run", "x-t0ken/with+signs-x", "x-***-x"],
    ["the same, as an address has it", "u=t0ken%2Fwith%2Bsigns", "u=***"],
    ["an address's credentials", "https://user:word@h/p", "https://***@h/p"],
    ["a store's", "ssh-ng://me:word@h", "ssh-ng://***@h"],
    ["a query", "https://h/p?X-Amz-Signature=abc&b=c", "https://h/p?***"],
  ])("%s", async (_, given, shown) => {
    const lines = await linesOf(() => exec("true", [given], COMMAND), ["t0ken/with+signs"]);
    expect(lines).toEqual([`true ${shown}: status 0`]);
  });
});

test("where nobody looks, not even the line is made", () => {
  const end = beginTrace(() => {
    throw new Error("made");
  });
  end("status 0");
});

test("a command is shown as it could be typed", () => {
  expect(commandName("nix", ["eval", ".#a", "--apply", "x: x", ""])).toBe(
    'nix eval .#a --apply "x: x" ""',
  );
});
