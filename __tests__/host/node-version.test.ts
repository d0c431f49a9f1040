import { readFile } from "node:fs/promises";
import { expect, test } from "@jest/globals";
import { nodeTooOld } from "../../src/host/node-version.ts";

test.each(["22.15.0", "22.23.3", "23.8.0", "24.0.0", "25.1.0", "100.0.0"])(
  "Node %s will do",
  (version) => {
    expect(nodeTooOld(version)).toBeUndefined();
  },
);

test.each(["0.10.48", "16.20.2", "20.20.2", "21.7.3", "22.14.0", "23.7.0"])(
  "Node %s is too old",
  (version) => {
    expect(nodeTooOld(version)).toContain(`was started with Node ${version}`);
  },
);

test("package.json says the same", async () => {
  const { engines } = JSON.parse(await readFile("package.json", "utf8")) as {
    engines: { node: string };
  };
  expect(engines.node).toBe("^22.15 || ^23.8 || >=24");
});
