/** Owns the proof that the licence of everything we pass on is passed on with it. */

import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { licences, packageFolders, RULE } from "../scripts/licences.ts";
import { type Folder, temporaryFolder } from "./support/folder.ts";

const LISTED = (await readFile("dist/licenses.txt", "utf8")).split(RULE).map((part) => {
  const [, name = "", license = ""] = /^(\S+) \S+ \((.*)\)\n/.exec(part) ?? [];
  return { name, license, text: part.slice(part.indexOf("\n")).trim() };
});

/** Free to be bundled by anybody: nothing that asks for our sources. */
const LEGAL =
  /^\(?(MIT|ISC|0BSD|BlueOak-1\.0\.0|Apache-2\.0|BSD-[23]-Clause)( (AND|OR) [\w.-]+)*\)?$/;

describe("dist/licenses.txt", () => {
  test.each(LISTED)("$name: $license, with its text", ({ license, text }) => {
    expect(license).toMatch(LEGAL);
    expect(text.length).toBeGreaterThan(500);
    expect(text).toMatch(/copyright|blue oak|apache license/i);
  });

  test("has every package that the bundle holds, and no other", async () => {
    // In a process of its own: the bundler does not run inside the test's context.
    const script = `import { bundledFiles } from "./scripts/build.ts";
      console.log(JSON.stringify(await bundledFiles()));`;
    const args = ["--input-type=module", "--eval", script];
    const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 2 ** 24 });
    const names = packageFolders(JSON.parse(stdout) as string[]).map((folder) =>
      folder.slice(folder.lastIndexOf("node_modules/") + "node_modules/".length),
    );
    expect(names.length).toBeGreaterThan(20);
    expect(new Set(LISTED.map(({ name }) => name))).toEqual(new Set(names));
  });
});

describe("licences", () => {
  test("finds each package once, also one below another's node_modules", () => {
    expect(
      packageFolders([
        "src/main.ts",
        "node_modules/zod/v4/mini/index.js",
        "node_modules/zod/v4/core/core.js",
        "node_modules/@azure/core-http/node_modules/@azure/ms/index.js",
      ]),
    ).toEqual(["node_modules/@azure/core-http/node_modules/@azure/ms", "node_modules/zod"]);
  });

  test.each([
    ["its own, whatever the file is called", "MIT", "license.md", "its terms"],
    ["those of MIT, where it forgot them", "MIT", "readme.md", "Permission is hereby granted"],
  ])("are %s", async (_, license, file, expected) => {
    await using root = await temporaryFolder();
    const content = { name: "one", version: "1.0.0", license, author: "A" };
    const folder = await aPackage(root, content, file);
    expect(await licences([join(folder, "index.js")])).toContain(expected);
  });

  test("without any, a package is not bundled", async () => {
    await using root = await temporaryFolder();
    const folder = await aPackage(root, { name: "one", version: "1.0.0", license: "UNLICENSED" });
    await expect(licences([join(folder, "index.js")])).rejects.toThrow("cannot be bundled");
  });
});

async function aPackage(root: Folder, content: object, file = "index.js"): Promise<string> {
  const folder = root.at("node_modules", "one");
  await root.write("node_modules/one/package.json", JSON.stringify(content));
  await root.write(`node_modules/one/${file}`, "its terms");
  return folder;
}
