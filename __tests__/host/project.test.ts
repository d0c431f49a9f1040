import { describe, expect, test } from "@jest/globals";
import { git, look, projectFacts } from "../support/audited.ts";
import { temporaryFolder } from "../support/folder.ts";

const KEY = "acme.cachix.org-1:O5CeX0hk1tR7Wn9R4dB5eT8H0o1dO1K9mZyP0gq3c2U=";

describe("where a project configures caches", () => {
  test("is Nix's configuration and the flake's nixConfig; a module's settings are another machine's", async () => {
    const { configurations } = await projectFacts(
      {
        "flake.nix": `{ nixConfig = {\n  # extra-substituters = [ "https://old.example.org" ];\n  extra-substituters = [ "https://a.cachix.org" "https://b.cachix.org" ];\n  extra-trusted-substituters = [ "https://c.cachix.org" ];\n  extra-trusted-public-keys = "${KEY}"; }; outputs = _: { x.nix.settings.substituters = [ "https://d.cachix.org" ]; }; }`,
      },
      { nix: { substituters: ["https://cache.nixos.org"], publicKeys: [] } },
    );
    expect(configurations).toEqual([
      { where: "Nix's configuration", substituters: ["https://cache.nixos.org"], publicKeys: [] },
      {
        where: "flake.nix",
        substituters: ["https://a.cachix.org", "https://b.cachix.org"],
        publicKeys: [KEY],
      },
    ]);
  });

  test("is looked for from a folder of the repository upwards, as far as the workflows go", async () => {
    await using folder = await temporaryFolder();
    await folder.write(".github/workflows/ci.yml", "on: push\njobs: {}");
    await folder.write("nix/flake.nix", "{ }");
    await git(folder, "init", "--quiet");
    const { workflows } = await look(folder.at("nix"), []);
    expect(workflows).toMatchObject([{ kind: "workflow" }]);
  });
});

describe("a flake without a lock", () => {
  const ONE = "outputs = _: { };";
  test.each([
    ["has no inputs", `{ ${ONE} }`, []],
    ["takes itself alone", "{ outputs = { self, ... }: { }; }", []],
    ["has a set without any", `{ inputs = { }; ${ONE} }`, []],
    ["has one", `{ inputs.x.url = "x"; ${ONE} }`, ["missing"]],
    ["takes one of the registry", "{ outputs = { self, nixpkgs }: { }; }", ["missing"]],
    ["is not written out", "import ./flake-file.nix", ["unknown"]],
    ["has its inputs in a comment", `{ # inputs.x.url = "x";\n ${ONE} }`, []],
  ])("that %s", async (_, text, states) => {
    const { locks } = await projectFacts({ "flake.nix": text });
    expect(locks.map(({ state }) => state)).toEqual(states);
  });
});

describe("lock files", () => {
  test("are committed, forgotten, missing, or nobody can say", async () => {
    await using folder = await temporaryFolder();
    for (const name of ["flake.nix", "flake.lock", "Cargo.toml", "other.lock", "ignored.lock"]) {
      await folder.write(name, "");
    }
    await folder.write(".gitignore", "ignored.lock\n");
    const keyFiles = ["other.lock", "ignored.lock"];
    expect((await look(folder.path, keyFiles)).locks).toContainEqual({
      name: "flake.lock",
      state: "unknown",
    });
    await git(folder, "init", "--quiet");
    await git(folder, "add", "flake.nix", "flake.lock", "Cargo.toml");
    expect((await look(folder.path, keyFiles)).locks).toEqual([
      { name: "Cargo.lock", state: "missing" },
      { name: "other.lock", state: "not committed" },
      { name: "ignored.lock", state: "not committed" },
      { name: "flake.lock", state: "committed" },
    ]);
  });
});
