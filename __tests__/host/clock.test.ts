import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "@jest/globals";
import { clock } from "../../src/host/clock.ts";

test.each(["before", "in the middle"])(
  "an interruption %s ends it, for its own reason",
  async (when) => {
    const controller = new AbortController();
    const reason = new Error("interrupted by SIGTERM");
    if (when === "before") controller.abort(reason);
    const sleeping = clock.sleep(60_000, controller.signal);
    controller.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
  },
);

test("does not go back with the machine's clock: a deadline stays one", async () => {
  const source = join(import.meta.dirname, "..", "..", "src", "host", "clock.ts");
  // A process of its own: there, the machine's clock is ours to set.
  const program = `
    import { clock } from ${JSON.stringify(source)};
    const before = clock.now();
    const wall = Date.now();
    Date.now = () => wall - 86_400_000;
    const after = clock.now();
    console.log(JSON.stringify([after - before >= 0, Math.abs(before - wall) < 60_000]));`;
  const args = ["--input-type=module-typescript", "-e", program];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: {} });
  expect(JSON.parse(stdout)).toEqual([true, true]);
});
