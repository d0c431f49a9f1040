import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { completionScript } from "../../src/cli/completion.ts";
import { temporaryFolder } from "../support/folder.ts";

const run = promisify(execFile);

/** A nix that answers as Nix does when it is asked to complete. */
const NIX = `#!/bin/sh
[ -n "$NIX_GET_COMPLETIONS" ] || exit 1
printf 'attrs\\n.#alice\\t\\n.#bob\\tsomeone\\n'
`;

type Typed = readonly string[];

/** What each shell offers for the last word typed. */
const ASK: Readonly<Record<"bash" | "fish", (file: string, typed: Typed) => [string, string[]]>> = {
  bash: (file, typed) => [
    "bash",
    [
      "--norc",
      "-c",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is bash's
      'source "$0"; COMP_WORDS=(nix-cache-preflight "$@"); COMP_CWORD=$#; _nix_cache_preflight; printf "%s\\n" "${COMPREPLY[@]}"',
      file,
      ...typed,
    ],
  ],
  fish: (file, typed) => [
    "fish",
    ["--no-config", "-c", `source ${file}; complete -C "nix-cache-preflight ${typed.join(" ")}"`],
  ],
};

async function offered(shell: "bash" | "fish", typed: Typed): Promise<string[]> {
  await using folder = await temporaryFolder();
  await folder.write("bin/nix", NIX);
  await run("chmod", ["+x", folder.at("bin/nix")]);
  const file = await folder.write(`completion.${shell}`, completionScript(shell));
  const [program, args] = ASK[shell](file, typed);
  // biome-ignore lint/style/noProcessEnv: the shells are found by this machine's PATH
  const path = `${folder.at("bin")}:${process.env["PATH"]}`;
  const { stdout } = await run(program, args, {
    env: { PATH: path, HOME: folder.path, TERM: "dumb", LANG: "C.UTF-8" },
    timeout: 30_000,
  });
  // Behind a tab fish tells what it means.
  const words = stdout.split("\n").map((line) => line.split("\t")[0]?.trim() ?? "");
  return [...new Set(words)].filter((word) => word !== "").sort();
}

describe.each(["bash", "fish"] as const)("%s offers", (shell) => {
  test.each<[Typed, string[]]>([
    [["ch"], ["check"]],
    [
      ["check", "."],
      [".#alice", ".#bob"],
    ],
    [
      ["check", "--ver"],
      ["--verbose", "--verify", "--version"],
    ],
    [
      ["check", "--verify", "n"],
      ["nar", "narinfo"],
    ],
    [["completion", "f"], ["fish"]],
  ])("for %j: %j", async (typed, expected) => {
    const words = await offered(shell, typed);
    expect(words).toEqual(expected);
  });
});

describe("zsh", () => {
  test("takes the script and knows the command by it", async () => {
    await using folder = await temporaryFolder();
    const file = await folder.write("completion.zsh", completionScript("zsh"));
    const { stdout } = await run("zsh", [
      "-f",
      "-c",
      `autoload -Uz compinit; compinit -u -d "$0.dump"; source "$0"; print $_comps[nix-cache-preflight]; _nix_cache_preflight 2>&1`,
      file,
    ]).catch((error: { stdout: string }) => error);
    expect(stdout.split("\n")[0]).toBe("_nix_cache_preflight");
    // It runs as far as _arguments, which speaks only inside a completion.
    expect(stdout).toContain("can only be called from completion function");
  });
});
