import { expect, test } from "@jest/globals";
import { measurePins } from "../../../src/engine/audit/pin-sizes.ts";
import { Lookup } from "../../../src/engine/survey/lookup.ts";
import { narInfo } from "../../support/graph.ts";
import { storePath } from "../../support/paths.ts";
import { memoryCache, SIGNAL } from "../../support/world.ts";

test("the pins' bytes, the largest paths, who holds them, by which way, and what could go", async () => {
  const [app, tool, lib, data, other] = ["app", "tool", "lib", "data", "other"].map((name) =>
    storePath(name),
  );
  if (!app || !tool || !lib || !data || !other) throw new Error("there are five");
  const own = memoryCache("own");
  const put = (path: typeof app, references: readonly (typeof app)[], fileSize: number) =>
    own.content.set(path, {
      kind: "hit",
      origin: "own",
      narInfo: { ...narInfo(path, [...references]), fileSize },
    });
  put(app, [lib, app], 10);
  put(tool, [lib], 20);
  put(lib, [data], 30);
  put(data, [], 1000);
  put(other, [], 5);
  const lookup = new Lookup([{ cache: own, role: "own" }], SIGNAL);
  const sizes = await measurePins(lookup, [
    { name: "app", storePath: app },
    { name: "tool", storePath: tool },
    { name: "other", storePath: other },
  ]);
  expect(sizes.bytes).toBe(1065);
  expect(sizes.pins).toEqual([
    { name: "tool", bytes: 1050, paths: 3, alone: 20 },
    { name: "app", bytes: 1040, paths: 3, alone: 10 },
    { name: "other", bytes: 5, paths: 1, alone: 5 },
  ]);
  expect(sizes.largest.map(({ path, bytes, pins }) => [path, bytes, pins])).toEqual([
    [data, 1000, ["app", "tool"]],
    [lib, 30, ["app", "tool"]],
    [tool, 20, ["tool"]],
    [app, 10, ["app"]],
    [other, 5, ["other"]],
  ]);
  expect(sizes.largest[0]?.way).toEqual([app, lib, data]);
  expect(sizes.largest[2]?.way).toEqual([tool]);
});
