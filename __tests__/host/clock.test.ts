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
