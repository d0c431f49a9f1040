import { chmod, readFile } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import { nixCommand } from "../../src/nix/command.ts";
import { temporaryFolder } from "../support/folder.ts";
import { laterError } from "../support/thrown.ts";
import { SIGNAL } from "../support/world.ts";

const how = { signal: SIGNAL, deadline: 60_000 };

describe("a command that cannot be started", () => {
  test("without Nix on PATH: the step to add", async () => {
    await using folder = await temporaryFolder();
    const nix = nixCommand({ PATH: folder.path }, folder.path);
    const error = await laterError(() => nix.run("nix", ["--version"], how));
    expect(error.code).toBe("NCP-201");
  });

  test.each(["gone", "a-file/below"])("in %s, which is no folder: that folder", async (name) => {
    await using folder = await temporaryFolder();
    await folder.write("a-file", "");
    // Nix is there or not: it is the folder that is said to be missing.
    const nix = nixCommand({ PATH: "/usr/bin:/bin" }, folder.at(name));
    const error = await laterError(() => nix.run("nix", ["--version"], how));
    expect(error.code).toBe("NCP-350");
    expect(error.message).toBe(`${folder.at(name)}: there is no such folder to work in`);
    expect(error.hint).toContain("working-directory");
  });
});

describe("a database that another Nix is just making", () => {
  /** A `nix-store` that fails so often with these words, and then answers; how often it was asked. */
  async function failing(times: number, words: string) {
    await using folder = await temporaryFolder();
    const script = `#!/bin/sh
echo x >> asked
test "$(wc -l < asked)" -gt ${times} && echo done && exit 0
echo "${words}" >&2
exit 1
`;
    await chmod(await folder.write("nix-store", script), 0o755);
    const nix = nixCommand({ PATH: `${folder.path}:/usr/bin:/bin` }, folder.path);
    const result = await nix.try("nix-store", ["--query"], how);
    return { result, asked: (await readFile(folder.at("asked"), "utf8")).length / 2 };
  }

  test("is waited for", async () => {
    const { result, asked } = await failing(3, "error: SQLite database '/db.sqlite' is busy");
    expect([result.code, result.stdout, asked]).toEqual([0, "done\n", 4]);
  });

  test.each([
    "error: SQLite database '/db.sqlite' is locked",
    "error (ignored): SQLite database '/eval.sqlite' is busy",
  ])("what is not that is told at once: %s", async (words) => {
    const { result, asked } = await failing(1, words);
    expect([result.code, asked]).toEqual([1, 1]);
  });
});

test("a password in an address that Nix names is masked, in its lines and in its message", async () => {
  await using folder = await temporaryFolder();
  const said = "error: unable to download 'http://ci:hunter2@127.0.0.1:9/nix-cache-info'";
  await folder.write("nix-store", `#!/bin/sh\necho "${said}" >&2\nexit 1\n`);
  await chmod(folder.at("nix-store"), 0o755);
  const nix = nixCommand({ PATH: `${folder.path}:/usr/bin:/bin` }, folder.path);
  const lines: string[] = [];
  const heard = await nix.try("nix-store", ["--realise"], {
    ...how,
    onErrorLine: (line) => lines.push(line),
  });
  const error = await laterError(() => nix.run("nix-store", ["--realise"], how));
  for (const text of [heard.stderr, lines.join("\n"), error.message]) {
    expect(text).toContain("http://***@127.0.0.1:9/nix-cache-info");
    expect(text).not.toContain("hunter2");
  }
});
