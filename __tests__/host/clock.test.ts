import { execFile, spawn, spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { build } from "esbuild";
import { awaitFile, clock } from "../../src/host/clock.ts";
import { temporaryFolder } from "../support/folder.ts";

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

describe("a file that is waited for", () => {
  test.each([
    ["a file that is there already", "before"] as const,
    ["one that comes", "after"] as const,
  ])("%s is heard", async (_, when) => {
    await using folder = await temporaryFolder();
    const stop = folder.at("stop");
    if (when === "before") await writeFile(stop, "");
    using heard = awaitFile(stop, 5);
    if (when === "after") await writeFile(stop, "");
    await heard.there;
  });

  // A user namespace has a limit of its own: 0 folders may be watched in it.
  const NONE = [
    "-Ur",
    "sh",
    "-c",
    'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"',
    "-",
  ];
  const canLimit = spawnSync("unshare", [...NONE, "true"]).status === 0;
  (canLimit ? test : test.skip)(
    "where no folder can be watched any more it is heard, too",
    async () => {
      await using folder = await temporaryFolder();
      const stop = folder.at("stop");
      await build({
        stdin: {
          contents: `
          import { watch } from "node:fs";
          import { awaitFile } from ${JSON.stringify(resolve("src/host/clock.ts"))};
          const folder = ${JSON.stringify(folder.path)};
          try { watch(folder); process.stdout.write("it can be watched"); process.exit(3); } catch {}
          using heard = awaitFile(folder + "/stop", 5);
          process.stdout.write("waiting");
          await heard.there;
          process.stdout.write(" heard");`,
          resolveDir: process.cwd(),
        },
        bundle: true,
        platform: "node",
        format: "esm",
        target: "node24",
        banner: {
          js: 'import { createRequire as made } from "node:module"; const require = made(import.meta.url);',
        },
        outfile: folder.at("program.mjs"),
      });
      const child = spawn("unshare", [...NONE, process.execPath, folder.at("program.mjs")], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      let said = "";
      for await (const chunk of child.stdout) {
        said += chunk;
        if (said === "waiting") await writeFile(stop, "");
      }
      expect(said).toBe("waiting heard");
    },
  );
});
