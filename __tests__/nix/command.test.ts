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
  });
});
