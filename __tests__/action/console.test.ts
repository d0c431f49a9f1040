import { expect, test } from "@jest/globals";
import { hide, redacted } from "../../src/action/console.ts";
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
