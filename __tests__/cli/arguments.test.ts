import { resolve } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { CHOICES } from "../../src/action/inputs.ts";
import { parseCommand } from "../../src/cli/arguments.ts";
import { allOptions, helpText, topicText } from "../../src/cli/help.ts";
import { COMMANDS } from "../../src/cli/options.ts";
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
    [["--help", "--pin"], { kind: "help", topic: "--pin" }],
    [["check", "--help", "pin"], { kind: "help", topic: "pin" }],
    [["check", "--pin", "--help"], { kind: "help", topic: "--pin" }],
    [["help", "warm"], { kind: "help", topic: "warm" }],
    [["check", "--force", ".#a"], { inputs: { force: "true", targets: ".#a" } }],
    [["check", "--quiet"], { log: "quiet" }],
    [["check", "--", "--odd"], { inputs: { targets: "--odd" } }],
    [
      ["check", "--fail-on", "missing", "--fail-on", "disk"],
      { inputs: { "fail-on": "missing\ndisk" } },
    ],
    [
      ["check", "--substituters=https://a.example", "--substituters", "https://b.example"],
      { inputs: { substituters: "https://a.example\nhttps://b.example" } },
    ],
    [["completion", "fish"], { kind: "completion", shell: "fish" }],
    [["setup", "--cache", "cachix:ours"], { kind: "setup", format: "text" }],
  ])("%j", (args, expected) => {
    expect(parseCommand(args, {})).toMatchObject(expected);
  });

  test.each([
    [["chek"], "NCP-640", '"chek" is not a command. Did you mean "check"?'],
    [["check", "--hevy", "x"], "NCP-640", 'there is no option --hevy. Did you mean "heavy"?'],
    [["check", "--heavy"], "NCP-640", "--heavy needs a value"],
    [["check", "--heavy", "--json"], "NCP-640", "--heavy needs a value"],
    [["check", "--json=yes"], "NCP-640", "--json takes no value"],
    [["check", "--force=true"], "NCP-640", "--force takes no value"],
    [["check", "--quiet", "--verbose"], "NCP-640", "contradict each other"],
    [
      ["warm", "--cache", "cachix:a", "--cache", "cachix:b"],
      "NCP-640",
      '--cache is given twice: "cachix:a" and "cachix:b"',
    ],
    [["warm", "--min-free", "1GB", "--min-free", "2GB"], "NCP-640", "--min-free is given twice"],
    [["check", "--token", "x"], "NCP-640", "there is no option --token."],
    [["check", "--cache", "github"], "NCP-103", "GitHub's cache is there for its jobs alone"],
    [["audit", "--files-only", "pins"], "NCP-640", 'and "pins" is one word too many'],
    [["check", "--files-only"], "NCP-640", "check: --files-only belongs to audit"],
    [["setup", "x"], "NCP-640", '"x" is one word too many'],
    [["setup"], "NCP-642", "setup: no cache is named"],
    [["completion"], "NCP-640", "for which shell?"],
    [["completion", "bsh"], "NCP-640", '"bsh" is not a shell it knows. Did you mean "bash"?'],
  ])("%j is refused", (args, code, message) => {
    const error = userError(() => parseCommand(args, {}));
    expect(error).toMatchObject({ code, message: expect.stringContaining(message) });
    expect(error).toHaveProperty("hint", expect.stringMatching(/./));
  });
});

describe("a folder for a cache", () => {
  test.each([
    ["cache", "./dir", `file://${resolve("dir")}`],
    ["cache", "../a b", `file://${resolve("..")}/a%20b`],
    ["cache", "/var/cache", "file:///var/cache"],
    ["cache", "~/cache", "file:///home/me/cache"],
    ["substituters", "./dir", `file://${resolve("dir")}`],
  ])("--%s %s is offered its URL", (name, text, url) => {
    const args = ["check", `--${name}`, text];
    const error = userError(() => parseCommand(args, { HOME: "/home/me" }));
    expect(error).toMatchObject({ code: "NCP-103", hint: `write --${name} ${url}` });
  });
});

describe("the help", () => {
  test.each([
    [80, 30],
    [40, 49],
  ])("in %d columns has at most %d lines", (columns, most) => {
    const lines = helpText(columns).trimEnd().split("\n");
    expect(lines.length).toBeLessThanOrEqual(most);
    expect(lines.filter((line) => [...line].length > columns)).toEqual([]);
  });

  test.each([80, 40])(
    "in %d columns names every command, and every option with its meaning",
    (columns) => {
      const text = helpText(columns);
      const words = new Set(text.split(/[\s()]+/));
      expect(COMMANDS.filter((word) => !words.has(word))).toEqual([]);
      const shown = allOptions().filter(
        ([name]) => columns === 80 || !/files-only|remove/.test(name),
      );
      const lacking = shown.filter(([name, { means }]) =>
        /files-only|remove/.test(name)
          ? !text.includes(`--${name}: `)
          : !new RegExp(
              `--${name}\\b.* ${means.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}( |$)`,
              "m",
            ).test(text),
      );
      expect(lacking).toEqual([]);
    },
  );

  test.each(Object.entries(CHOICES).filter(([name]) => allOptions().some(([one]) => one === name)))(
    "of --%s tells each of its values",
    (name, legal) => {
      const text = topicText(`--${name}`);
      const wanted = name === "force" ? [] : legal;
      expect(wanted.filter((value) => !new RegExp(`\\b${value}\\b`).test(text))).toEqual([]);
    },
  );

  test("of an option tells its default, and whether it adds up", () => {
    expect(topicText("pin-keep")).toMatch(/^Default: revisions:3\nIt is given once\.$/m);
    expect(topicText("--fail-on")).toMatch(
      /^Default: disk, eval\nIt may be given more than once\.$/m,
    );
    expect(topicText("warm")).toContain("Usage: nix-cache-preflight warm [TARGET...]");
    expect(userError(() => topicText("--pni"))).toMatchObject({
      code: "NCP-640",
      message: 'there is no option or command "--pni". Did you mean "pin"?',
    });
  });
});
