import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { files } from "../../src/action/background-push.ts";
import { ourFolder } from "../../src/action/context.ts";
import { beginUse, endUse } from "../../src/action/job-folder.ts";
import { identityOf } from "../../src/host/processes.ts";
import { type Folder, temporaryFolder } from "../support/folder.ts";

const jobIn = (folder: Folder, name: string) => ({
  RUNNER_TEMP: folder.path,
  RUNNER_TRACKING_ID: `github_${name}`,
  GITHUB_RUN_ID: "1",
});
const OURS = "nix-cache-preflight";

describe("our folder in a runner's temporary folder", () => {
  test("each use of a job has its own", async () => {
    await using folder = await temporaryFolder();
    const job = jobIn(folder, "a");
    expect([(await beginUse(job)).use, (await beginUse(job)).use]).toEqual(["1", "2"]);
  });

  test("what another job left is none of this one's, and goes", async () => {
    await using folder = await temporaryFolder();
    await using outside = await temporaryFolder();
    const file = await outside.write("kept", "");
    await beginUse(jobIn(folder, "a"));
    await beginUse(jobIn(folder, "a"));
    await writeFile(folder.at(OURS, "2", "netrc"), "machine x password y");
    // Of a version that kept no word of whose it is; and a link, which leads out.
    await mkdir(folder.at(OURS, "3"));
    await symlink(outside.path, folder.at(OURS, "4"));
    expect((await beginUse(jobIn(folder, "b"))).use).toBe("1");
    expect(await readdir(folder.at(OURS))).toEqual(["1"]);
    await stat(file);
  });

  test("the process that pushes for another job is ended", async () => {
    await using folder = await temporaryFolder();
    await beginUse(jobIn(folder, "a"));
    const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], {
      stdio: "ignore",
    });
    const ended = once(child, "exit");
    const identity = await identityOf(child.pid ?? 0);
    await writeFile(files(folder.at(OURS, "1")).identity, JSON.stringify(identity));
    await beginUse(jobIn(folder, "b"));
    await ended;
    expect(child.signalCode).toBe("SIGTERM");
  });

  test("of a number that another process was given since, nobody is ended", async () => {
    await using folder = await temporaryFolder();
    await beginUse(jobIn(folder, "a"));
    const me = { pid: process.pid, began: "1" };
    await writeFile(files(folder.at(OURS, "1")).identity, JSON.stringify(me));
    expect((await beginUse(jobIn(folder, "b"))).use).toBe("1");
  });

  test("ends with its use, and the last one takes all with it", async () => {
    await using folder = await temporaryFolder();
    const job = jobIn(folder, "a");
    const [one, two] = [await beginUse(job), await beginUse(job)];
    await endUse(two, job);
    expect(await readdir(folder.at(OURS))).toEqual(["1"]);
    await endUse(one, job);
    expect(await readdir(folder.path)).toEqual([]);
  });

  test("where nobody says which use it is, no credentials stay", async () => {
    await using folder = await temporaryFolder();
    const job = jobIn(folder, "a");
    const use = folder.at(OURS, (await beginUse(job)).use);
    for (const name of ["netrc", "netrc.tmp-0123456789ab", "nix.conf"])
      await writeFile(join(use, name), "");
    await endUse(undefined, job);
    expect(await readdir(use)).toEqual(["job.json", "nix.conf"]);
  });
});

test("a RUNNER_TEMP in which the kernel lets nobody make a folder, and calls it absent, is named", async () => {
  await expect(ourFolder({ RUNNER_TEMP: "/proc/runner" })).rejects.toMatchObject({
    code: "NCP-359",
    message: expect.stringMatching(/^\/proc\/runner\/nix-cache-preflight cannot be used: .*ENOENT/),
  });
});
