/** Owns the proof that credentials in addresses are shown nowhere: of targets, of configured substituters, of a flake's inputs. */

import { execFileSync } from "node:child_process";
import { cp, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { flake, NIX, type Step, startJob } from "./job.ts";

const SECRET = "ghs_SECRETSECRET01234";
const PASSWORD = "hunter2-hunter2";

async function shown(step: Step): Promise<string> {
  const { log, outputs, state, summary, annotations } = step;
  const report = await readFile(outputs["report"] ?? "", "utf8");
  const raw = step.raw.split("\n").filter((line) => !line.startsWith("::add-mask::"));
  return JSON.stringify([log, raw, outputs, state, summary, annotations, report]);
}

describe(`an address with credentials, on ${NIX}`, () => {
  test("of a target and of a substituter that Nix is configured with", async () => {
    await using job = await startJob(flake("members"), {
      configuration: `extra-substituters = http://me:${PASSWORD}@127.0.0.1:9/cache`,
      defaults: { "fail-on": "none" },
    });
    const { machine } = job;
    const source = join(machine.root, "src");
    await mkdir(source);
    await cp(job.workspace, source, { recursive: true });
    const git = (...args: string[]) =>
      execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@localhost", ...args], {
        cwd: source,
      });
    git("init", "-q", "-b", "main");
    git("add", ".");
    git("commit", "-qm", "x");
    const url = `https://x-access-token:${SECRET}@127.0.0.1/`;
    const environment = {
      ...machine.environment,
      GIT_CONFIG_COUNT: "1",
      GIT_CONFIG_KEY_0: `url.file://${machine.root}/.insteadOf`,
      GIT_CONFIG_VALUE_0: url,
    };
    const good = `git+${url}src?ref=main#good`;
    const steps = [
      await job.main({ mode: "warm", targets: good }, { environment }),
      // What Nix says of it is told, without.
      await job.main(
        { mode: "check", targets: `git+${url}nowhere?ref=main#good` },
        { environment },
      ),
      await job.main({ mode: "check", targets: `${good} pin=a/b` }, { environment }),
    ];
    expect(steps[0]?.exitCode).toBe(0);
    expect(Object.keys(JSON.parse(steps[0]?.outputs["store-paths"] ?? "{}"))).toEqual([
      "git+https://***@127.0.0.1/src?ref=main#good",
    ]);
    for (const step of steps) {
      const text = step.outputs["report"] ? await shown(step) : step.raw;
      const lines = text.split("\n").filter((line) => !line.startsWith("::add-mask::"));
      expect(lines.join("\n")).not.toContain(SECRET);
      expect(lines.join("\n")).not.toContain(PASSWORD);
    }
    const [first] = steps;
    const post = await job.post(
      { mode: "warm", targets: good },
      { environment, state: first?.state ?? {} },
    );
    expect(`${post.log}${post.summary}`).not.toContain(SECRET);
    expect(steps[0]?.raw).toContain(`::add-mask::${SECRET}`);
  });
});
