import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "@jest/globals";
import { StallWatch } from "../../src/caches/github/client.ts";
import { readLogLine } from "../../src/caches/github/trouble.ts";

function watch(lines: readonly string[], after = 20) {
  let stalls = 0;
  const watched = new StallWatch(after, () => stalls++);
  for (const line of lines) {
    const { transfer, event } = readLogLine(line);
    if (transfer) watched.read(transfer);
    if (event) watched.sent();
  }
  return { watched, stalls: () => stalls };
}

describe("a transfer of GitHub's client", () => {
  test.each([
    ["that never moves", ["Sent 0 of 10 (0.0%), 0.0 MBs/sec"]],
    ["that stops in the middle", ["Received 0 of 10 (0%), 0 MBs/sec", "Received 4 of 10 (40%), 0"]],
    ["that is told and told again", Array(5).fill("Sent 4 of 10 (40.0%), 0.0 MBs/sec")],
    ["that is sent, and not taken", ["Sent 10 of 10 (100.0%), 1.0 MBs/sec"]],
    ["beside one that came", ["Received 9 of 9 (100%), 1 MBs/sec", "Received 1 of 10 (10%), 1"]],
  ])("%s stands still", async (_, lines) => {
    const { stalls } = watch(lines);
    await sleep(200);
    expect(stalls()).toBe(1);
  });

  test.each([
    ["of which nothing is said", ["Cache Size: ~0 MB"]],
    ["that came, and is unpacked", ["Received 4 of 10 (40%), 1", "Received 10 of 10 (100%), 1"]],
    ["that was taken", ["Sent 10 of 10 (100.0%), 1.0 MBs/sec", "[Request] Finalize https://x"]],
  ])("%s does not", async (_, lines) => {
    const { stalls } = watch(lines);
    await sleep(200);
    expect(stalls()).toBe(0);
  });

  test("is not waited for any more once the call has ended", async () => {
    const { watched, stalls } = watch(["Sent 0 of 10 (0.0%), 0.0 MBs/sec"]);
    watched.end();
    await sleep(200);
    expect(stalls()).toBe(0);
  });
});
