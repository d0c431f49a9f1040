import { readFile } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import {
  type NixConfiguration,
  userConfigurationFile,
  withBlock,
  writeConfiguration,
} from "../../src/nix/configure.ts";
import { temporaryFolder } from "../support/folder.ts";

const OURS: NixConfiguration = { substituters: ["file:///c?trusted=1"], publicKeys: ["a:1"] };
const NOTHING: NixConfiguration = { substituters: [], publicKeys: [] };
const BEGIN = "# >>> nix-cache-preflight: written by the action, replaced as a whole on each run";
const END = "# <<< nix-cache-preflight";
const BLOCK = `${BEGIN}
extra-substituters = file:///c?trusted=1
extra-trusted-public-keys = a:1
${END}
`;

describe("the block in nix.conf", () => {
  test.each([
    ["an empty file", "", BLOCK],
    ["other settings", "cores = 2\n", `cores = 2\n${BLOCK}`],
    ["no newline at the end", "cores = 2", `cores = 2\n${BLOCK}`],
    [
      "substituters of the user's own",
      "substituters = https://a\n",
      `substituters = https://a\n${BLOCK}`,
    ],
    ["an old block", BLOCK.replace("file:///c", "file:///old"), BLOCK],
    ["an old block between other lines", `a = 1\n${BLOCK}b = 2\n`, `a = 1\nb = 2\n${BLOCK}`],
    ["an old block without a newline behind it", BLOCK.trimEnd(), BLOCK],
    ["an end without a beginning", `${END}\na = 1\n`, `${END}\na = 1\n${BLOCK}`],
  ])("in %s", (_, before, after) => {
    expect(withBlock(before, OURS)).toBe(after);
    expect(withBlock(after, OURS)).toBe(after);
  });

  test("keeps where builds were moved to, until another place is said", async () => {
    await using folder = await temporaryFolder();
    const file = folder.at("nix.conf");
    await writeConfiguration(file, { ...OURS, buildDir: "/mnt/here" }, NOTHING);
    expect(await readFile(file, "utf8")).toContain("build-dir = /mnt/here\n");
    expect(await writeConfiguration(file, OURS, NOTHING)).toBe("unchanged");
    await writeConfiguration(file, { ...OURS, buildDir: "/mnt/there" }, NOTHING);
    const text = await readFile(file, "utf8");
    expect(text.match(/^build-dir = .*$/gm)).toEqual(["build-dir = /mnt/there"]);
  });

  test("goes when there is nothing to add", () => {
    expect(withBlock(`a = 1\n${BLOCK}b = 2\n`, NOTHING)).toBe("a = 1\nb = 2\n");
    expect(withBlock("a = 1", NOTHING)).toBe("a = 1");
  });

  test("without its end is not cut, nor what stands behind it, on any later run", () => {
    const damaged = `${BEGIN}\nextra-substituters = file:///old\nsandbox = true\n`;
    const once = withBlock(damaged, OURS);
    expect(once).toBe(damaged + BLOCK);
    expect(withBlock(once, OURS)).toBe(once);
    expect(withBlock(withBlock(once, NOTHING), OURS)).toBe(once);
  });

  test("holds each kind of line only where there is something for it", () => {
    const block = withBlock("", { substituters: ["file:///c"], publicKeys: [] });
    expect(block).toBe(`${BEGIN}\nextra-substituters = file:///c\n${END}\n`);
  });
});

describe("the configuration on disk", () => {
  test("is written once, and left alone when it is right", async () => {
    await using folder = await temporaryFolder();
    const file = folder.at("nix", "nix.conf");
    expect(await writeConfiguration(file, OURS, NOTHING)).toBe("written");
    expect(await readFile(file, "utf8")).toBe(BLOCK);
    // The next run finds our own lines in what Nix knows.
    expect(await writeConfiguration(file, OURS, OURS)).toBe("unchanged");
    expect(await readFile(file, "utf8")).toBe(BLOCK);
  });

  test("adds what Nix does not know from elsewhere, each once", async () => {
    await using folder = await temporaryFolder();
    const file = folder.at("nix.conf");
    const wanted = {
      substituters: ["https://known/", "https://new", "https://new"],
      publicKeys: ["known:1", "new:2"],
    };
    await writeConfiguration(file, wanted, {
      substituters: ["https://known"],
      publicKeys: ["known:1"],
    });
    const text = await readFile(file, "utf8");
    expect(text).toContain("extra-substituters = https://new\n");
    expect(text).toContain("extra-trusted-public-keys = new:2\n");
  });

  test("never names the settings that would replace others", async () => {
    await using folder = await temporaryFolder();
    const file = await folder.write("nix.conf", "substituters = https://theirs\n");
    await writeConfiguration(file, OURS, NOTHING);
    const lines = (await readFile(file, "utf8")).split("\n");
    expect(lines.filter((line) => /^(substituters|trusted-public-keys)/.test(line))).toEqual([
      "substituters = https://theirs",
    ]);
  });

  test("takes its lines back when they are no longer wanted", async () => {
    await using folder = await temporaryFolder();
    const file = await folder.write("nix.conf", "cores = 2\n");
    await writeConfiguration(file, OURS, NOTHING);
    await writeConfiguration(file, NOTHING, OURS);
    expect(await readFile(file, "utf8")).toBe("cores = 2\n");
  });

  test.each([
    [{ HOME: "/home/a" }, "/home/a/.config/nix/nix.conf"],
    [{ HOME: "/home/a", XDG_CONFIG_HOME: "/x" }, "/x/nix/nix.conf"],
    [{ HOME: "/home/a", XDG_CONFIG_HOME: "" }, "/home/a/.config/nix/nix.conf"],
    [{}, "/root/.config/nix/nix.conf"],
  ])("of %j is %s", (environment, file) => {
    expect(userConfigurationFile(environment)).toBe(file);
  });
});
