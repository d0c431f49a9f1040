import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, test } from "@jest/globals";
import {
  descendantsOf,
  endProcesses,
  identityOf,
  isRunning,
  type ProcessIdentity,
} from "../../src/host/processes.ts";

/** A shell that does this, once something has said that it is ready; and all that it started. */
async function family(script: string): Promise<readonly ProcessIdentity[]> {
  const child = spawn("sh", ["-c", `${script}; wait; wait`]);
  child.on("error", () => undefined);
  await once(child.stdout, "data");
  const own = await identityOf(child.pid ?? 0);
  return own ? [own, ...(await descendantsOf(own.pid))] : [];
}

describe("a process", () => {
  test("is known with all that it started, and ended with it", async () => {
    const all = await family("sleep 1000 & (sleep 1000 & echo ready; wait) & wait");
    expect(all.length).toBeGreaterThanOrEqual(4);
    expect((await descendantsOf(process.pid)).map(({ pid }) => pid)).toEqual(
      expect.arrayContaining(all.map(({ pid }) => pid)),
    );
    await endProcesses(all);
    for (const one of all) expect(await isRunning(one)).toBe(false);
  });

  test("of the same number that began at another moment is another", async () => {
    const [own] = await family("sleep 1000 & echo ready");
    if (!own) throw new Error("it did not start");
    expect(await isRunning({ ...own, began: "0" })).toBe(false);
    await endProcesses([{ ...own, began: "0" }]);
    expect(await isRunning(own)).toBe(true);
    await endProcesses([own, ...(await descendantsOf(own.pid))]);
  });

  test("that is not there is none", async () => {
    expect(await identityOf(2 ** 22 + 1)).toBeUndefined();
    expect(await descendantsOf(2 ** 22 + 1)).toEqual([]);
  });
});
