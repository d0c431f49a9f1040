import { describe, expect, test } from "@jest/globals";
import { hide, redacted, spared } from "../../src/action/console.ts";
import { code, fold, linked, markdown } from "../../src/report/page.ts";

function hideQuietly(values: readonly string[]): void {
  const write = process.stdout.write;
  process.stdout.write = () => true;
  try {
    hide(values);
  } finally {
    process.stdout.write = write;
  }
}

describe("a secret is taken out of a page too, where", () => {
  const secrets = {
    "its signs are written as Markdown needs them": "ghs_made*up_for-this",
    "it is longer than a name that is not broken": `eyJ${"a1B2c3".repeat(20)}`,
    "it may be broken behind its dots": `eyJhbGciOi.${"x9".repeat(40)}.made_up/for#this`,
    "it is what an address or a file may not hold": `se"cr\\et: <b>&it's $1.*+?^ é💥 www.`,
    "it has more than a line": "-----BEGIN-----\nmade up\n-----END-----",
  };
  test.each(Object.entries(secrets))("%s", (_, secret) => {
    hideQuietly([secret]);
    for (const written of [
      secret,
      markdown(secret),
      code(secret),
      code(`before ${secret} behind`),
      linked(secret, `https://github.com/${secret}`),
      linked(secret, `https://github.com/${encodeURIComponent(secret)}`),
      fold(secret, ""),
      JSON.stringify({ secret }),
    ]) {
      const shown = redacted(`a ${written} b`);
      expect(shown).toContain("***");
      expect(shown.replaceAll("<wbr>", "")).not.toMatch(/made.{0,8}up|a1B2c3|x9x9|cr.{1,8}et/);
    }
  });

  test("nothing is taken out for a secret that is empty", () => {
    hideQuietly([""]);
    expect(redacted("a b")).toBe("a b");
  });
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
