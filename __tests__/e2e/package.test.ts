import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { promisify } from "node:util";
import { expect, test } from "@jest/globals";
import { temporaryFolder } from "../support/folder.ts";

const run = promisify(execFile);

test("the package that npm packs is installed alone, and its command runs", async () => {
  await using folder = await temporaryFolder();
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder.path]);
  const [{ filename, files }] = JSON.parse(stdout) as [
    { filename: string; files: { path: string }[] },
  ];
  const paths = files.map(({ path }) => path);
  expect(paths).toEqual(expect.arrayContaining(["dist/cli.js", "docs/nix-cache-preflight.1"]));
  expect(
    paths.filter(
      (path) =>
        !/^(dist\/|docs\/nix-cache-preflight\.1$|action\.yml|LICENSE|README\.md|package\.json)/.test(
          path,
        ),
    ),
  ).toEqual([]);
  await folder.write("desk/package.json", "{}");
  const cwd = folder.at("desk");
  // Offline: all it needs is in it.
  await run("npm", ["install", "--offline", "--no-audit", "--no-fund", folder.at(filename)], {
    cwd,
  });
  expect(
    (await readdir(folder.at("desk/node_modules"))).filter((name) => !name.startsWith(".")),
  ).toEqual(["nix-cache-preflight"]);
  const help = await run("npx", ["--no-install", "nix-cache-preflight", "--help"], { cwd });
  expect(help.stdout).toContain("nix-cache-preflight COMMAND");
  const wrong = await run("npx", ["--no-install", "nix-cache-preflight", "chek"], { cwd }).catch(
    (error: { code: number; stderr: string }) => error,
  );
  expect(wrong).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('Did you mean "check"?'),
  });
});
