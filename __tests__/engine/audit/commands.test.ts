import { describe, expect, test } from "@jest/globals";
import { commandsOf, installsNix, nixUse, pushOf } from "../../../src/engine/audit/commands.ts";

const words = (script: string) => commandsOf(script).map((command) => command.words.join(" "));

describe("a script", () => {
  test.each([
    ["a b; c && d || e | f\ng", ["a b", "c", "d", "e", "f", "g"]],
    ["# nix build\na # nix build", ["a"]],
    [`a "b c" 'd;e' f\\ g \\\n h`, ["a b c d;e f g h"]],
    ["if a; then b; else c; fi", ["a", "b", "c", "fi"]],
    ["x=$(nix build) y", ["nix build", "y"]],
    ["echo `nix eval x`", ["nix eval x", "echo $(…)"]],
    [`sudo -E env A=1 nix build`, ["nix build"]],
    ["timeout 5m nix build", ["nix build"]],
    ["a | xargs -n1 attic push x", ["a", "attic push x"]],
    ["nix develop .#ci -c cargo build", ["nix develop .#ci -c cargo build", "cargo build"]],
    [`nix-shell --run "a && b"`, ["nix-shell --run a && b", "a", "b"]],
    [`bash -euc "nix build"`, ["bash -euc nix build", "nix build"]],
    [
      "nix run nixpkgs#cachix -- push acme x",
      ["nix run nixpkgs#cachix -- push acme x", "cachix push acme x"],
    ],
    [
      "nix run -I a=b nixpkgs#attic-client login x",
      ["nix run -I a=b nixpkgs#attic-client login x", "attic login x"],
    ],
    [
      "nix run github:o/nix-fast-build -- --x",
      ["nix run github:o/nix-fast-build -- --x", "nix-fast-build --x"],
    ],
    ["cat <<EOF\nnix build\nEOF\nb", ["cat", "b"]],
    [`echo \${{ a && b }} c`, [`echo \${{ a && b }} c`]],
    ['unclosed "quote nix build', ["unclosed quote nix build"]],
    ["", []],
  ])("%j", (script, expected) => {
    expect(words(script)).toEqual(expected);
  });

  test("knows where its words go, and whether a failure is seen", () => {
    const [a, b, c, d] = commandsOf(
      "echo x | sudo tee -a /etc/nix/nix.conf\ncachix push a || true\n{ echo y; echo z; } >> f 2>&1\n",
    );
    expect(a?.pipedInto).toEqual(["sudo", "tee", "-a", "/etc/nix/nix.conf"]);
    expect([b?.words[0], c?.failure]).toEqual(["tee", "swallowed"]);
    expect(d?.words).toEqual(["true"]);
    const group = commandsOf("{ echo y; echo z; } >> f");
    expect(group.map(({ writesTo }) => writesTo)).toEqual([["f"], ["f"]]);
  });

  test.each([
    ["nix build", "builds"],
    ["nix --option a b develop -c true", "builds"],
    ["nix run .#x", "builds"],
    ["nix run nixpkgs#x -- --flag", "fetches"],
    ["nix run github:a/b", "builds"],
    ["nix flake check", "builds"],
    ["nix flake update", "other"],
    ["nix flake show", "evaluates"],
    ["nix eval .#x", "evaluates"],
    ["nix-shell -p jq", "fetches"],
    ["nix-store --gc", "other"],
    ["nixfmt .", undefined],
    ["nix-build", "builds"],
  ])("%s: %s", (script, use) => {
    expect(nixUse(commandsOf(script)[0] ?? fail())).toBe(use);
  });

  test.each([
    ["cachix push a b", "cachix push"],
    ["cachix use a", undefined],
    ["attic watch-store a", "attic watch-store"],
    ["nix copy --to s3://b ./result", "nix copy --to"],
    ["nix copy --to ssh://host ./result", undefined],
    ["nix copy --from s3://b x", undefined],
    ["nix-fast-build --attic-cache a", "nix-fast-build"],
    ["nix-fast-build --skip-cached", undefined],
  ])("%s pushes: %s", (script, tool) => {
    expect(pushOf(commandsOf(script)[0] ?? fail())).toBe(tool);
  });

  test.each([
    ["curl -L https://nixos.org/nix/install | sh", "https://nixos.org/nix/install"],
    ["curl -L https://releases.nixos.org/nix/nix-2.31.4/install | sh", undefined],
    ["curl https://install.determinate.systems/nix/tag/v3.8.0 | sh -s -- install", undefined],
    ["apt-get install -y nix-bin", undefined],
  ])("%s installs Nix, from %s", (script, url) => {
    expect(installsNix(commandsOf(script)[0] ?? fail())).toEqual({ url });
  });
});

function fail(): never {
  throw new Error("there is no command");
}

test("costs no more than its size", () => {
  const many = 100_000;
  for (const bad of [
    "$(",
    "`",
    '"',
    "'",
    ["$", "{{"].join(""),
    "<<E\n",
    "{ ",
    "a|",
    "a||",
    ">",
    "\\",
    "nix copy ",
    "$A",
  ]) {
    expect(commandsOf(bad.repeat(many / bad.length)).length).toBeLessThanOrEqual(many);
  }
});
