import { writeFile } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import { UserError } from "../../src/domain/errors.ts";
import { childEnvironment, processEnvironment } from "../../src/host/environment.ts";
import { type ExecOptions, exec } from "../../src/host/exec.ts";
import { temporaryFolder } from "../support/folder.ts";

const OPTIONS: ExecOptions = {
  env: { PATH: "/usr/bin:/bin" },
  signal: new AbortController().signal,
  deadline: 60_000,
};
const sh = (script: string, change: Partial<ExecOptions> = {}) =>
  exec("/bin/sh", ["-c", script], { ...OPTIONS, ...change });

describe("a child process", () => {
  test("gives what it printed, and its exit code", async () => {
    expect(await sh("echo out; echo err >&2; exit 3")).toEqual({
      code: 3,
      stdout: "out\n",
      stderr: "err\n",
    });
  });

  test("ended by a signal has no exit code", async () => {
    expect((await sh("kill -9 $$")).code).toBeUndefined();
  });

  test("reads its input, or need not", async () => {
    expect((await sh("cat", { input: "ünï" })).stdout).toBe("ünï");
    expect((await sh("exit 0", { input: "x".repeat(10_000_000) })).code).toBe(0);
  });

  test("reads a file, or need not; one that is not there is named", async () => {
    await using folder = await temporaryFolder();
    const file = folder.at("input");
    await writeFile(file, "ünï".repeat(1_000_000));
    expect((await sh("tail -c 5", { input: { file } })).stdout).toBe("ünï");
    expect((await sh("exit 0", { input: { file } })).code).toBe(0);
    await expect(sh("cat", { input: { file: folder.at("none") } })).rejects.toThrow(/none/);
  });

  test("starts where it is told", async () => {
    await using folder = await temporaryFolder();
    expect((await sh("pwd", { cwd: folder.path })).stdout).toBe(`${folder.path}\n`);
  });

  test("tells each line of its errors, the last without a newline too, and keeps the end", async () => {
    const lines: string[] = [];
    const { stderr } = await sh(
      'i=0; while [ $i -lt 20000 ]; do echo "line $i" >&2; i=$((i+1)); done; printf "the end" >&2',
      { onErrorLine: (line) => lines.push(line) },
    );
    expect([lines.length, lines[0], lines[20_000]]).toEqual([20_001, "line 0", "the end"]);
    expect(stderr.length).toBeLessThanOrEqual(64 * 1024);
    expect(stderr.endsWith("the end")).toBe(true);
  });

  test("takes its arguments as they are: there is no shell", async () => {
    const words = ["$(id)", "`id`", "; id", "a b", "*", "'", '"', "\n", "&& id", "-n"];
    const { stdout } = await exec("/usr/bin/printf", ["%s\\0", ...words], OPTIONS);
    expect(stdout.split("\0").slice(0, -1)).toEqual(words);
  });

  test("sees the environment it is given and nothing else", async () => {
    const { stdout } = await exec("/usr/bin/env", [], { ...OPTIONS, env: { ONE: "1" } });
    expect(stdout).toBe("ONE=1\n");
  });

  test("that does not exist is an error with a code", async () => {
    await expect(exec("/no/such/program", [], OPTIONS)).rejects.toMatchObject({ code: "ENOENT" });
  });
});

describe("a child process that takes too long", () => {
  test("is ended at its deadline, and that is said", async () => {
    const error = await sh("sleep 60", { deadline: 100 }).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(UserError);
    expect(error).toMatchObject({
      code: "NCP-501",
      message: "/bin/sh -c took longer than 0.1 s",
    });
  });

  test("is given up though it left something behind that holds its output", async () => {
    const left = sh("sleep 5 & echo $!", { deadline: 500 });
    await expect(left).rejects.toThrow("took longer than 0.5 s");
    await expect(sh("exec sleep 60", { deadline: 100 })).rejects.toThrow("took longer");
  });

  test("is ended when the run is interrupted, with the run's own reason", async () => {
    const controller = new AbortController();
    const reason = new UserError("NCP-501", "interrupted by SIGTERM");
    const running = sh("echo started >&2; sleep 60", {
      signal: controller.signal,
      onErrorLine: () => controller.abort(reason),
    });
    await expect(running).rejects.toBe(reason);
  });

  test("is not started after an interruption", async () => {
    await using folder = await temporaryFolder();
    const signal = AbortSignal.abort(new Error("interrupted"));
    await expect(sh("echo > started", { signal, cwd: folder.path })).rejects.toThrow("interrupted");
    expect((await sh("ls", { cwd: folder.path })).stdout).toBe("");
  });
});

describe("the environment of a child", () => {
  test("is a list of names that are harmless", () => {
    const from = {
      PATH: "/bin",
      HOME: "/root",
      NIX_REMOTE: "daemon",
      NIX_CONFIG: "x = y",
      LC_ALL: "C",
      XDG_CONFIG_HOME: "/x",
      https_proxy: "http://proxy",
      SSH_AUTH_SOCK: "/s",
      INPUT_TOKEN: "hunter2",
      "INPUT_SIGNING-KEY": "hunter2",
      GITHUB_TOKEN: "hunter2",
      ACTIONS_RUNTIME_TOKEN: "hunter2",
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: "hunter2",
      CACHIX_AUTH_TOKEN: "hunter2",
      AWS_SECRET_ACCESS_KEY: "hunter2",
      MY_SECRET: "hunter2",
      STATE_preflight: "hunter2",
      LD_PRELOAD: "/evil.so",
      NODE_OPTIONS: "--require /evil.js",
      BASH_ENV: "/evil.sh",
    };
    const passed = childEnvironment(from);
    expect(Object.keys(passed).sort()).toEqual(
      [
        "PATH",
        "HOME",
        "NIX_REMOTE",
        "NIX_CONFIG",
        "LC_ALL",
        "XDG_CONFIG_HOME",
        "https_proxy",
        "SSH_AUTH_SOCK",
      ].sort(),
    );
    expect(JSON.stringify(passed)).not.toContain("hunter2");
  });

  test("may be given more by whoever starts it", () => {
    expect(childEnvironment({ PATH: "/bin" }, { MORE: "1" })).toEqual({ PATH: "/bin", MORE: "1" });
  });

  test("is taken from the process's own", () => {
    expect(processEnvironment()["PATH"]).toContain("/");
  });
});
