import { describe, expect, test } from "@jest/globals";
import { hide, redacted, spared } from "../../src/action/console.ts";
import { markdown } from "../../src/report/page.ts";

test("a secret is taken out of a page too, where its signs are written as Markdown needs them", () => {
  const secret = "ghs_made*up_for-this";
  const write = process.stdout.write;
  process.stdout.write = () => true;
  try {
    hide([secret]);
  } finally {
    process.stdout.write = write;
  }
  expect(redacted(`a ${secret} b`)).toBe("a *** b");
  expect(redacted(markdown(`a ${secret} b`))).toBe("a *** b");
});

describe("what only tells of a run", () => {
  const fails = async (): Promise<string> => {
    throw new Error("a part of it is missing");
  };

  test("fails no job, and says why it was not done", async () => {
    const written: string[] = [];
    const write = process.stdout.write;
    process.stdout.write = (text: string | Uint8Array) => written.push(String(text)) > 0;
    try {
      expect(await spared("nothing was made", fails, new AbortController().signal)).toBe(undefined);
    } finally {
      process.stdout.write = write;
    }
    expect(written.join("")).toContain("nothing was made: a part of it is missing");
  });

  test("ends with the run", async () => {
    const reason = new Error("cancelled");
    await expect(spared("", fails, AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});
