import { describe, expect, test } from "@jest/globals";
import { Meter, PushMeter } from "../../../src/engine/apply/meter.ts";
import { pathInfo } from "../../support/graph.ts";
import { storePath } from "../../support/paths.ts";
import { world } from "../../support/world.ts";

const [a, b] = [storePath("a-1"), storePath("b-1")];

describe("a meter", () => {
  test("counts what is done and what is under way, and names the latter", () => {
    const meter = new Meter("path", 3, 1_000);
    meter.at(a, 100);
    meter.finish(b, 300);
    meter.finish(b, 300);
    expect(meter.state()).toEqual({
      unit: "path",
      done: 1,
      inAll: 3,
      bytes: 400,
      bytesInAll: 1_000,
      now: ["a-1"],
    });
  });

  test("counts what begins again from its beginning, and nothing twice", () => {
    const meter = new Meter("path");
    meter.at(a, 100);
    meter.at(a, 10);
    expect(meter.state().bytes).toBe(10);
    meter.finish(a, 100);
    meter.at(a, 50);
    expect(meter.state()).toMatchObject({ done: 1, bytes: 100, inAll: undefined, now: [] });
  });

  test("never says that more is done than there is", () => {
    const meter = new Meter("path", 1, 50);
    meter.at(a, 100);
    expect(meter.state().bytes).toBe(50);
  });
});

describe("the meter of a push", () => {
  test("tells how long a path took, from its first byte to its being served", async () => {
    const { clock } = world();
    const meter = new PushMeter(clock);
    const info = pathInfo(a, []);
    meter.sending([info]);
    meter.read(a, 0);
    await clock.sleep(2_000, new AbortController().signal);
    meter.read(a, 500);
    expect(meter.state()).toMatchObject({
      done: 0,
      inAll: 1,
      bytes: 500,
      bytesInAll: info.narSize,
    });
    await clock.sleep(1_000, new AbortController().signal);
    expect(meter.finish({ path: a, bytes: 10 })).toEqual({ path: a, bytes: 10, seconds: 3 });
    expect(meter.state()).toMatchObject({ done: 1, bytes: info.narSize });
  });

  test("tells no time of what it never saw read", () => {
    const meter = new PushMeter(world().clock);
    expect(meter.finish({ path: b, bytes: 1 }).seconds).toBeUndefined();
  });
});
