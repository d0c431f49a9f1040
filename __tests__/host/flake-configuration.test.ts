import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { startMachine } from "../../scripts/machine.ts";
import { nixConfigOf } from "../../src/host/project.ts";

const OUTPUTS = "outputs = _: { };";

describe("nixConfig", () => {
  test.each([
    `nixConfig.extra-substituters = [ "https://a.org" "https://b.org" ]; ${OUTPUTS}`,
    `nixConfig = { substituters = https://a.org/x?y=1; trusted-public-keys = [ https://b.org ]; }; ${OUTPUTS}`,
    `nixConfig = ({ "extra-substituters" = ("https://a.org"); }); ${OUTPUTS}`,
    `"nixConfig"."extra-substituters" = [ "https://a.org" ]; nixConfig.substitute = false; ${OUTPUTS}`,
    `nixConfig = { a = "x\\ty\\n\\"q\\"\\\\ \\\u0024{z} \u0024\u0024{z} \u0024"; b = ''two words \u0024 ' ''' ''\u0024{z} ''\\t''; }; ${OUTPUTS}`,
    `nixConfig = { # x = "no";\n x = /* "no" */ [ "a#b" "/*c*/" ]; }; ${OUTPUTS}`,
    `outputs = _: { a = "\u0024{"}; nixConfig.no = \\"x\\""}"; b = ''\u0024{''}''} ''\u0024{ '''{ ''; foldl' = 1; }; nixConfig.x = "y";`,
    `description = "nixConfig = { }; {"; ${OUTPUTS} nixConfig = { x = "y"; };`,
  ])("%s", async (body) => {
    await using machine = await startMachine();
    const file = join(machine.root, "flake.nix");
    await writeFile(file, `{ ${body} }`);
    const ofNix = await machine.nix("nix-instantiate", [
      ...["--eval", "--json", "--strict", "--expr"],
      `builtins.mapAttrs (_: v: if builtins.isList v then builtins.concatStringsSep " " v else if builtins.isBool v then builtins.toJSON v else v) (import ${file}).nixConfig`,
    ]);
    expect(Object.fromEntries(nixConfigOf(`{ ${body} }`))).toEqual(JSON.parse(ofNix));
  });

  test("takes names that are no longer used for those that are", () => {
    const source =
      '{ nixConfig = { extra-binary-caches = "a"; binary-cache-public-keys = "b"; build-use-substitutes = false; }; }';
    expect([...nixConfigOf(source)]).toEqual([
      ["extra-substituters", "a"],
      ["trusted-public-keys", "b"],
      ["substitute", "false"],
    ]);
  });

  test("leaves out what is computed", () => {
    const source =
      '{ nixConfig.extra-substituters = [ "https://a.org" "https://\u0024{"b" + (x "}")}.org" ]; }';
    expect(nixConfigOf(source).get("extra-substituters")).toBe("https://a.org");
  });

  test("is read to the end of a file that has none, however deep it goes", () => {
    for (const text of ['"\u0024{', "''\u0024{", "''", '"', "{ (", "'''"]) {
      expect([...nixConfigOf(`{ a = ${text.repeat(200_000)}`)]).toEqual([]);
    }
  });
});
