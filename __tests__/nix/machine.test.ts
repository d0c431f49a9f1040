import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { startMachine } from "../../scripts/machine.ts";
import { nixCommand, nixMessage, noNix } from "../../src/nix/command.ts";
import { readMachine, realStoreDir } from "../../src/nix/machine.ts";
import { buildDir } from "../../src/nix/variants.ts";
import { temporaryFolder } from "../support/folder.ts";
import { newSecretKey } from "../support/keys.ts";
import { otherNix, withOther } from "../support/other-nix.ts";

const SIGNAL = new AbortController().signal;

describe("where a build writes", () => {
  test.each([
    ["2.8.0", "", {}, "/tmp"],
    ["2.8.0", "", { TMPDIR: "/var/tmp" }, "/var/tmp"],
    ["2.8.0", "", { TMPDIR: "" }, "/tmp"],
    ["2.26.3", "", { TMPDIR: "/var/tmp" }, "/var/tmp"],
    ["2.26.3", "/big", { TMPDIR: "/var/tmp" }, "/big"],
    ["2.29.9", "", {}, "/tmp"],
    ["2.30.0", "", { TMPDIR: "/var/tmp" }, "/nix/var/nix/builds"],
    ["2.34.8", "", {}, "/nix/var/nix/builds"],
    ["2.34.8", "", { NIX_STATE_DIR: "/state" }, "/state/builds"],
    ["2.34.8", "/big", { NIX_STATE_DIR: "/state" }, "/big"],
    ["2.31pre20250712_b1b2", "", {}, "/nix/var/nix/builds"],
    ["3.0.0", "", {}, "/nix/var/nix/builds"],
    ["unknown", "", {}, "/tmp"],
  ])("%s with build-dir %j and %j: %s", (version, setting, environment, directory) => {
    expect(buildDir(version, setting, environment)).toBe(directory);
  });
});

test.each([
  ["", "/nix/store"],
  ["auto", "/nix/store"],
  ["daemon", "/nix/store"],
  ["unix:///run/nix.sock?root=/r", "/r/nix/store"],
  ["/chroot", "/chroot/nix/store"],
  ["/chroot/?require-sigs=false", "/chroot/nix/store"],
  ["local?root=/r", "/r/nix/store"],
  ["local?require-sigs=false&root=/r", "/r/nix/store"],
  ["local?root=/r%20x", "/r x/nix/store"],
  ["local://?root=/r&state=/s", "/r/nix/store"],
  ["local:///r", "/r/nix/store"],
  ["local?real=/elsewhere/store/&root=/r", "/elsewhere/store"],
])("store = %s is really at %s", (store, real) => {
  expect(realStoreDir(store, "/nix/store")).toBe(real);
});

describe("this machine's Nix", () => {
  test("says version, system, store, systems it builds for and what it is configured with", async () => {
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, "key"), newSecretKey("own-1"));
    await writeFile(
      join(folder.path, "machines"),
      "# ours\nssh://risc riscv64-linux - 1 1 kvm big - # behind\n\n",
    );
    await using machine = await startMachine({
      configuration: [
        "extra-platforms = i686-linux",
        `builders = ssh://mac aarch64-darwin,x86_64-darwin ; @${folder.path}/machines ; @/nowhere`,
        "build-hook = /a/hook",
        "system-features = kvm-of-ours",
        "max-jobs = 0",
        "substitute = false",
        `secret-key-files = ${folder.path}/key ${folder.path}/none`,
        "extra-substituters = https://cache.example/",
        "extra-trusted-public-keys = test-1:lsbNfweSTD355LPCB4HStuWUrYtGu/wW8TV39WbYnK4= broken",
        "require-sigs = false",
      ].join("\n"),
    });
    const nix = nixCommand(machine.environment, machine.root);
    const { setup, settings } = await readMachine(nix, machine.environment, SIGNAL);
    expect(setup.version).toMatch(/^2\.\d+/);
    expect(setup.storeDir).toBe(machine.storeDir);
    expect(setup.realStoreDir).toBe(machine.storeDir);
    expect(setup.builders).toEqual({
      systems: expect.arrayContaining([setup.system, "i686-linux"]),
      features: ["kvm-of-ours"],
      jobs: "none",
      remote: [
        { systems: ["aarch64-darwin", "x86_64-darwin"], features: [], mandatory: [] },
        { systems: ["riscv64-linux"], features: ["kvm"], mandatory: ["big"] },
      ],
    });
    expect(setup.substitution).toBe("never");
    expect(settings.substituters).toContain("https://cache.example/");
    expect(settings.trustedPublicKeys.map(({ name }) => name)).toContain("test-1");
    expect(settings.trustedPublicKeys.map(({ name }) => name)).not.toContain("broken");
    expect(settings.trustedPublicKeys.at(-1)?.name).toBe("own-1");
    expect(settings.badKey).toBe('"broken" in trusted-public-keys');
    expect(settings.requireSignatures).toBe("accept any");
  });

  test("that is not there is one sentence and the step to add", async () => {
    await using folder = await temporaryFolder();
    const nix = nixCommand({ PATH: folder.path }, folder.path);
    const asked = readMachine(nix, {}, SIGNAL);
    await expect(asked).rejects.toMatchObject({
      code: "NCP-201",
      message: "there is no Nix on this machine",
      hint: expect.stringContaining("install-nix: true"),
    });
    expect(noNix().hint).toContain("uses: cachix/install-nix-action");
  });

  test.each([
    ["lix", "2.18.3-lix", "made by Nix", "/b"],
    ["determinate", "2.35.2", "made by Nix", "/builds"],
  ] as const)("%s is known by its settings", async (kind, version, absent, buildDirEnd) => {
    await using machine = await startMachine();
    await using folder = await temporaryFolder();
    const bin = await otherNix(kind, folder, machine.environment["PATH"] ?? "");
    const environment = withOther(machine.environment, bin);
    const nix = nixCommand(environment, machine.root);
    const { setup, settings, absentBuildDir } = await readMachine(nix, environment, SIGNAL);
    expect([setup.version, absentBuildDir]).toEqual([version, absent]);
    expect(setup.buildDir).toBe(`${environment["NIX_STATE_DIR"]}${buildDirEnd}`);
    const theirs = `${environment["NIX_STATE_DIR"]}/../determinate/netrc`;
    expect(settings.netrcFile).toEqual(kind === "determinate" ? theirs : expect.any(String));
  });

  test("2.3 is too old", async () => {
    await using machine = await startMachine();
    await using folder = await temporaryFolder();
    const bin = await otherNix("nix-2.3", folder, machine.environment["PATH"] ?? "");
    const nix = nixCommand(withOther(machine.environment, bin), machine.root);
    await expect(readMachine(nix, {}, SIGNAL)).rejects.toMatchObject({
      code: "NCP-357",
      message: "Nix 2.3.16 is too old",
      hint: expect.stringContaining("2.8 and newer"),
    });
  });

  test("that fails is quoted", async () => {
    await using machine = await startMachine();
    const nix = nixCommand(machine.environment, machine.root);
    const options = { signal: SIGNAL, deadline: 60_000 };
    const asked = nix.run("nix-store", ["--query", "--hash", "/nowhere"], options);
    await expect(asked).rejects.toMatchObject({
      code: "NCP-202",
      message: expect.stringMatching(/^nix-store .*\/nowhere/),
    });
  });
});

describe("Nix's own message", () => {
  test.each([
    ["error: attribute 'x' missing", "attribute 'x' missing"],
    ["\u001b[31;1merror:\u001b[0m it is \u001b[35;1mred\u001b[0m", "it is red"],
    ["warning: Git tree is dirty\nerror: x\n       at a:1:2\n", "x\n       at a:1:2"],
    ["building '/nix/store/x'...\nerror: x\nerror: y", "x\ny"],
    ["error:\n       … while evaluating\n\n       error: undefined variable", "undefined variable"],
    ["something else went wrong\n", "something else went wrong"],
    [
      "warning: Not a git repository. Use --no-index\nusage: git diff --no-index\nerror: program 'git' failed with exit code 129",
      "program 'git' failed with exit code 129\nwarning: Not a git repository. Use --no-index",
    ],
    ["", "it failed without a message"],
    ["warning: only warned", "it failed without a message"],
    [`error: ${"x".repeat(100_000)}`, "x".repeat(7_993)],
  ])("out of %j", (stderr, message) => {
    expect(nixMessage(stderr).slice(0, 7_993)).toBe(message);
  });
});
