import { describe, expect, test } from "@jest/globals";
import type { Progress } from "../../src/domain/ports.ts";
import { ActivityReader } from "../../src/nix/activities.ts";

const DRV = "/nix/store/mwgqksmnaaz7p6bhax9z2302gzskhqfl-hello-2.12.drv";
const OUT = "/nix/store/70j4295jnhx77fcsz5n52lci17fqdpbc-hello-2.12";

function read(lines: readonly (object | string)[]) {
  const said: string[] = [];
  const progress: Progress[] = [];
  const reader = new ActivityReader({
    line: (line) => said.push(line),
    progress: (one) => progress.push(one),
  });
  for (const line of lines) {
    reader.read(typeof line === "string" ? line : `@nix ${JSON.stringify(line)}`);
  }
  return { said, progress, reader };
}

const start = (id: number, type: number, fields: unknown[], text: string) => ({
  action: "start",
  id,
  level: 3,
  parent: 0,
  text,
  type,
  fields,
});

describe("what Nix says while it works", () => {
  test("of a build: its lines for people, and when it ended", () => {
    const { said, progress, reader } = read([
      { action: "msg", level: 3, msg: "these 1 derivations will be built:\n  hello" },
      start(1, 105, [DRV, "", 1, 1], `building '${DRV}'`),
      { action: "result", id: 1, type: 101, fields: ["a line of its log"] },
      { action: "result", id: 1, type: 106, fields: [101, 0] },
      { action: "stop", id: 1 },
    ]);
    expect(said).toEqual([
      "these 1 derivations will be built:",
      "  hello",
      `building '${DRV}'`,
      "a line of its log",
    ]);
    expect(progress).toEqual([
      { path: DRV, state: "under way", bytes: 0 },
      { path: DRV, state: "done", bytes: 0 },
    ]);
    expect([...reader.built.keys()]).toEqual([DRV]);
  });

  test("of a path it fetches: how many bytes there are so far", () => {
    const { progress, reader } = read([
      start(7, 100, [OUT, "https://cache", "local"], `copying path '${OUT}' from 'https://cache'`),
      { action: "result", id: 7, type: 105, fields: [500, 1000, 0, 0] },
      { action: "result", id: 99, type: 105, fields: [1, 5, 0, 0] },
      { action: "stop", id: 7 },
      { action: "stop", id: 99 },
    ]);
    expect(progress.map(({ state, bytes }) => [state, bytes])).toEqual([
      ["under way", 0],
      ["under way", 500],
      ["done", 500],
    ]);
    expect(reader.built.size).toBe(0);
  });

  test("of an error: the message, which is kept to explain the failure", () => {
    const { reader } = read([
      { action: "msg", level: 0, msg: "\u001b[31;1merror:\u001b[0m builder failed" },
      { action: "msg", level: 6, msg: "what only somebody who asks for it is told" },
    ]);
    expect(reader.text).toBe("\u001b[31;1merror:\u001b[0m builder failed\n");
  });

  test.each([
    "warning: not from the logger",
    "@nix not JSON",
    '@nix ["an", "array"]',
    '@nix {"action": 7}',
    "@nix ",
  ])("%j is a line like any other", (line) => {
    expect(read([line]).said).toEqual([line]);
  });

  test("without end is not kept whole", () => {
    const { reader } = read(Array.from({ length: 3_000 }, (_, n) => `${n} ${"x".repeat(100)}`));
    expect(reader.text.length).toBe(64 * 1024);
    expect(reader.text).toContain("2999 xxx");
  });
});
