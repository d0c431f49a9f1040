import { describe, expect, test } from "@jest/globals";
import { OPTIONS, parseCommand } from "../../src/cli/arguments.ts";
import { helpText } from "../../src/cli/command-line.ts";
import { MODES } from "../../src/domain/job.ts";
import { userError } from "../support/thrown.ts";

describe("the command line", () => {
  test("names a mode, targets and inputs; secrets come from the environment", () => {
    const command = parseCommand(
      ["check", ".#a", "nixpkgs#bws pin=bws", "--heavy", "bws-*", "--json"],
      { NIX_CACHE_PREFLIGHT_TOKEN: "t" },
    );
    expect(command).toMatchObject({
      kind: "run",
      format: "json",
      inputs: {
        mode: "check",
        targets: ".#a\nnixpkgs#bws pin=bws",
        cache: "none",
        heavy: "bws-*",
        token: "t",
        "signing-key": "",
      },
    });
  });

  test.each([
    [[], { kind: "help", asked: "no" }],
    [["--help"], { kind: "help", asked: "yes" }],
    [["-h"], { kind: "help", asked: "yes" }],
    [["help"], { kind: "help", asked: "yes" }],
    [["check", "--help"], { kind: "help", asked: "yes" }],
    [["--version"], { kind: "version" }],
    [["completion", "fish"], { kind: "completion", shell: "fish" }],
    [["setup", "--cache", "cachix:ours"], { kind: "setup", format: "text" }],
  ])("%j", (args, expected) => {
    expect(parseCommand(args, {})).toMatchObject(expected);
  });

  test.each([
    [["chek"], "NCP-640", '"chek" is not a command. Did you mean "check"?'],
    [["check", "--hevy", "x"], "NCP-640", 'there is no option --hevy. Did you mean "heavy"?'],
    [["check", "--heavy"], "NCP-640", "argument missing"],
    [["check", "--token", "x"], "NCP-640", "there is no option --token."],
    [["check", "--cache", "github"], "NCP-103", "GitHub's cache is there for its jobs alone"],
    [["setup", "x"], "NCP-640", '"x" is one word too many'],
    [["completion"], "NCP-640", "for which shell?"],
    [["completion", "bsh"], "NCP-640", '"bsh" is not a shell it knows. Did you mean "bash"?'],
  ])("%j is refused", (args, code, message) => {
    const error = userError(() => parseCommand(args, {}));
    expect(error).toMatchObject({ code, message: expect.stringContaining(message) });
    expect(error).toHaveProperty("hint", expect.stringMatching(/./));
  });
});

describe("the help", () => {
  const lines = helpText().trimEnd().split("\n");

  test("fits a screen of 80 by 24, prompt included", () => {
    expect(lines.length).toBeLessThanOrEqual(23);
    expect(lines.filter((line) => [...line].length > 80)).toEqual([]);
  });

  test("names every command and every option", () => {
    const words = new Set(helpText().split(/[\s()]+/));
    const wanted = [...MODES, "setup", "completion", ...OPTIONS.map((name) => `--${name}`)];
    expect(wanted.filter((word) => !words.has(word))).toEqual([]);
  });
});
