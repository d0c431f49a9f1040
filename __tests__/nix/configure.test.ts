import { readFile, stat, symlink } from "node:fs/promises";
import { describe, expect, test } from "@jest/globals";
import {
  type LaterSteps,
  type NixConfiguration,
  takeBack,
  userConfigurationFile,
  userConfigurationFiles,
  withoutOurs,
  writeConfiguration,
} from "../../src/nix/configure.ts";
import { temporaryFolder } from "../support/folder.ts";
import { laterError } from "../support/thrown.ts";

const OURS: NixConfiguration = { substituters: ["file:///c?trusted=1"], publicKeys: ["a:1"] };
const NOTHING: NixConfiguration = { substituters: [], publicKeys: [] };

function later(file: string): LaterSteps & { readonly told: Record<string, string> } {
  const told: Record<string, string> = {};
  return { file, told, setVariable: (name, value) => Object.assign(told, { [name]: value }) };
}

describe("the job's own configuration", () => {
  test("adds to other files, and is named in front of them", async () => {
    await using folder = await temporaryFolder();
    const steps = later(folder.at("use", "nix.conf"));
    const before = ["/home/a/.config/nix/nix.conf", "/etc/xdg/nix/nix.conf"];
    expect(await writeConfiguration(steps, before, OURS, NOTHING)).toBe(true);
    expect((await readFile(steps.file, "utf8")).split("\n").slice(1)).toEqual([
      "extra-substituters = file:///c?trusted=1",
      "extra-trusted-public-keys = a:1",
      "",
    ]);
    expect(steps.told).toEqual({ NIX_USER_CONF_FILES: [steps.file, ...before].join(":") });
  });

  test("holds what Nix does not know from elsewhere, each once", async () => {
    await using folder = await temporaryFolder();
    const steps = later(folder.at("nix.conf"));
    const wanted = {
      substituters: ["https://known/", "https://new", "https://new"],
      publicKeys: ["known:1", "new:2"],
      netrcFile: "/here/netrc",
      buildDir: "/mnt/here",
    };
    const known = { substituters: ["https://known"], publicKeys: ["known:1"] };
    await writeConfiguration(steps, [], wanted, known);
    expect((await readFile(steps.file, "utf8")).split("\n").slice(1, -1)).toEqual([
      "extra-substituters = https://new",
      "extra-trusted-public-keys = new:2",
      "netrc-file = /here/netrc",
      "build-dir = /mnt/here",
    ]);
  });

  test("is no file, and no variable, where there is nothing to add", async () => {
    await using folder = await temporaryFolder();
    const steps = later(folder.at("nix.conf"));
    expect(await writeConfiguration(steps, [], OURS, OURS)).toBe(false);
    expect(steps.told).toEqual({});
    await expect(stat(steps.file)).rejects.toThrow("ENOENT");
  });
});

describe("the user's files", () => {
  const XDG = "/etc/xdg/nix/nix.conf";
  test.each([
    [{ HOME: "/home/a" }, ["/home/a/.config/nix/nix.conf", XDG]],
    [{ HOME: "/home/a", XDG_CONFIG_HOME: "/x" }, ["/x/nix/nix.conf", XDG]],
    [{ HOME: "/home/a", XDG_CONFIG_HOME: "" }, ["/home/a/.config/nix/nix.conf", XDG]],
    [
      { HOME: "/home/a", XDG_CONFIG_DIRS: "/1:/2" },
      ["/home/a/.config/nix/nix.conf", "/1/nix/nix.conf", "/2/nix/nix.conf"],
    ],
    [{ HOME: "/home/a", NIX_CONFIG_HOME: "/n" }, ["/n/nix.conf", XDG]],
    [{ HOME: "/home/a", NIX_USER_CONF_FILES: "/1:/2" }, ["/1", "/2"]],
    [{ HOME: "/home/a", NIX_USER_CONF_FILES: "" }, []],
  ])("of %j are %j", (environment, files) => {
    expect(userConfigurationFiles(environment, "2.26.3")).toEqual(files);
  });

  test("NIX_CONFIG_HOME is nothing to an older Nix", () => {
    const environment = { HOME: "/home/a", NIX_CONFIG_HOME: "/n" };
    expect(userConfigurationFile(environment, "2.8.0")).toBe("/home/a/.config/nix/nix.conf");
  });
});

const OLD = `# >>> nix-cache-preflight: written by the action, replaced as a whole on each run
# it holds the entries of /root/.netrc
extra-substituters = file:///old?trusted=1
netrc-file = /tmp/netrc
# <<< nix-cache-preflight
`;
const SETUP = `# added by nix-cache-preflight setup
extra-substituters = https://a
extra-trusted-public-keys = a:1
`;

describe("taking back", () => {
  test.each([
    ["nothing of ours", "cores = 2\n", "cores = 2\n", 0],
    ["setup's lines alone", SETUP, "", 2],
    ["setup's lines among others", `a = 1\n${SETUP}b = 2\n`, "a = 1\nb = 2\n", 2],
    ["two setups", `${SETUP}a = 1\n${SETUP}`, "a = 1\n", 4],
    ["an old block between other lines", `a = 1\n${OLD}b = 2\n`, "a = 1\nb = 2\n", 2],
    [
      "an old block without its end",
      `${OLD.slice(0, -25)}x = 1\n`,
      `${OLD.slice(0, -25)}x = 1\n`,
      0,
    ],
    [
      "one without its end, and a whole one behind it",
      `${OLD.split("\n")[0]}\nx = 1\n${OLD}`,
      `${OLD.split("\n")[0]}\nx = 1\n`,
      2,
    ],
    [
      "lines like ours that are the user's",
      `extra-substituters = https://b\n${SETUP}`,
      "extra-substituters = https://b\n",
      2,
    ],
  ])("%s", (_, text, kept, removed) => {
    const taken = withoutOurs(text);
    expect(taken.kept).toBe(kept);
    expect(taken.removed).toHaveLength(removed);
  });

  test("a file that only we wrote into goes; a link stays one", async () => {
    await using folder = await temporaryFolder();
    const file = await folder.write("nix.conf", SETUP);
    const link = folder.at("link.conf");
    const linked = await folder.write("linked.conf", SETUP);
    await symlink(linked, link);
    expect((await takeBack(file, "/nix/store")).removed).toHaveLength(2);
    await expect(stat(file)).rejects.toThrow("ENOENT");
    expect((await takeBack(link, "/nix/store")).removed).toHaveLength(2);
    expect(await readFile(link, "utf8")).toBe("");
    expect(await takeBack(file, "/nix/store")).toEqual({ file, removed: [] });
  });

  test("a file that is made elsewhere is left, and the lines are named", async () => {
    await using folder = await temporaryFolder();
    const link = folder.at("nix.conf");
    await symlink(await folder.write("store/x", SETUP), link);
    const error = await laterError(() => takeBack(link, folder.at("store")));
    expect(error).toMatchObject({ code: "NCP-641", hint: expect.stringContaining("https://a") });
    expect(await readFile(link, "utf8")).toBe(SETUP);
  });
});
