/** Owns the proof that jest.config.js gives the tests their time: a testTimeout there has no effect. */

import { existsSync, readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "@jest/globals";

interface Project {
  readonly displayName: string;
  readonly globals: { readonly TEST_TIMEOUT: number };
  readonly setupFilesAfterEnv: readonly string[];
}

const { default: config } = (await import(pathToFileURL("jest.config.js").href)) as {
  default: { readonly projects: readonly Project[] };
};

/** Where Jest itself looks for it as a file begins; nothing else tells without waiting. */
const IN_EFFECT = Symbol.for("TEST_TIMEOUT_SYMBOL");

describe("the time for a test", () => {
  test("of this suite is what the configuration says", () => {
    const unit = config.projects.find(({ displayName }) => displayName === "unit");
    expect(unit?.globals.TEST_TIMEOUT).toBeGreaterThan(5_000);
    expect(Reflect.get(globalThis, IN_EFFECT)).toBe(unit?.globals.TEST_TIMEOUT);
  });

  test.each(config.projects)(
    "of $displayName is set, and by no option without effect",
    (project) => {
      expect(project.globals.TEST_TIMEOUT).toBeGreaterThan(5_000);
      expect(project.setupFilesAfterEnv).toEqual(["<rootDir>/scripts/jest-timeout.js"]);
      expect(project).not.toHaveProperty("testTimeout");
    },
  );
});

test("each file that begins first is there", () => {
  const text = readFileSync("scripts/jest-sequencer.js", "utf8");
  const names = [...text.matchAll(/^ {2}"([a-z0-9/-]+)",$/gm)].map(([, name]) => name);
  expect(names.length).toBeGreaterThan(10);
  for (const name of names) {
    expect([name, existsSync(`__tests__/${name}.test.ts`)]).toEqual([name, true]);
  }
});
