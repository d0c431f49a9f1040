import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { type Machine, startMachine } from "../../scripts/machine.ts";
import type { StorePath } from "../../src/domain/store-path.ts";
import { type NixCommand, nixCommand } from "../../src/nix/command.ts";
import { addToStore, readClosure } from "../../src/nix/derivation-closure.ts";
import { fitting, pack, unpack } from "../../src/nix/evaluation-file.ts";
import { SIGNAL } from "../support/world.ts";

/** A source tree with a program in it, a text that refers to it, and two derivations on them. */
const EXPRESSION = `let
  text = builtins.toFile "text" "of \${./tree}";
  mk = name: more: derivation ({
    inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ text ];
  } // more);
  low = mk "low" { };
in { top = mk "top" { inherit low; }; other = mk "other" { pad = PAD; }; }`;

interface Made extends AsyncDisposable {
  readonly machine: Machine;
  readonly nix: NixCommand;
  readonly version: string;
  readonly top: StorePath;
  readonly other: StorePath;
}

async function made(): Promise<Made> {
  const machine = await startMachine();
  await mkdir(join(machine.root, "tree"));
  await writeFile(join(machine.root, "tree", "run"), "#!/bin/sh\n", { mode: 0o755 });
  const file = join(machine.root, "default.nix");
  await writeFile(file, EXPRESSION.replace("PAD", `"${"x".repeat(5000)}"`));
  const drv = async (name: string) =>
    (await machine.nix("nix-instantiate", [file, "-A", name])).trim() as StorePath;
  const [top, other] = [await drv("top"), await drv("other")];
  const version = (await machine.nix("nix", ["--version"])).trim().split(" ").at(-1) ?? "";
  const nix = nixCommand(machine.environment, machine.root);
  return {
    ...{ machine, nix, version, top, other },
    [Symbol.asyncDispose]: () => machine[Symbol.asyncDispose](),
  };
}

async function record({ machine, nix, version, top, other }: Made, most = 1e9) {
  const { storeDir } = machine;
  const place = { nix, version, storeDir, realStoreDir: storeDir };
  const nodes = await readClosure(place, [top, other], SIGNAL);
  const fit = fitting([other, top], nodes, most);
  const paths = await Promise.all(
    fit.paths.map(async (storePath) => {
      const node = nodes.get(storePath);
      if (!node) throw new Error(`${storePath} is not there`);
      const { references, contentAddress } = node;
      return { storePath, references, contentAddress, content: await node.content(SIGNAL) };
    }),
  );
  const kept = [...fit.derivations].map((drvPath) => ({ drvPath, install: ["out"] }));
  const named = kept.map((one, place): [string, typeof one] => [String(place), one]);
  return { fit, bytes: pack({ results: [], kept: named, evalCaches: [], paths }) };
}

describe("a closure of derivations", () => {
  test("is the same in another store, and Nix finds nothing wrong with it", async () => {
    await using all = await made();
    const { machine, nix, top, other } = all;
    const { bytes } = await record(all);
    const closure = async () =>
      (await machine.nix("nix-store", ["--query", "--requisites", top, other])).split("\n").sort();
    const before = await closure();
    await machine.forget();
    const { paths } = unpack(bytes, machine.storeDir);
    const folder = join(machine.root, "job");
    await mkdir(folder);
    await addToStore({ nix, folder }, paths, SIGNAL);
    expect(await closure()).toEqual(before);
    expect(before.filter((path) => path !== "")).toHaveLength(5);
    await machine.nix("nix-store", ["--verify", "--check-contents"]);
    // As Nix itself would have written them: later copies need no signature.
    const info = await machine.nix("nix", ["path-info", "--derivation", "--json", top]);
    expect(info).toMatch(/text:sha256|"method":"text"/);
    // What is there already is no trouble.
    await addToStore({ nix, folder }, paths, SIGNAL);
    expect(await readdir(folder)).toEqual([]);
  });

  test("is as much as fits, the smallest first", async () => {
    await using all = await made();
    const { fit } = await record(all, 4000);
    expect([...fit.derivations]).toEqual([all.top]);
    expect(fit.paths.at(-1)).toBe(all.top);
    expect((await record(all, 10)).fit.derivations.size).toBe(0);
  });

  test("holds no path whose content says another", async () => {
    await using all = await made();
    const { machine, nix, top } = all;
    const { bytes } = await record(all);
    const { storeDir } = machine;
    const changed = Buffer.from(bytes);
    changed.write("/bin/ps", changed.lastIndexOf("/bin/sh"));
    expect(unpack(bytes, storeDir).paths.map(({ storePath }) => storePath)).toContain(top);
    expect(() => unpack(changed, storeDir)).toThrow(/it lacks .*\.drv/);
    // Of a tree Nix sees it.
    const tree = Buffer.from(bytes);
    tree.write("#!/bin/ps", tree.indexOf("#!/bin/sh\n"));
    await machine.forget();
    const taking = { nix, folder: machine.root };
    const { paths } = unpack(tree, storeDir);
    await expect(addToStore(taking, paths, SIGNAL)).rejects.toThrow(/mismatch/);
  });

  test("of a size that nobody wrote is not even read", () => {
    const text = '{"version":2,"results":[],"kept":[],"evalCaches":[],"paths":[]}';
    const file = (bytes: number) => {
      const size = Buffer.alloc(4);
      size.writeUInt32BE(bytes);
      return Buffer.concat([size, Buffer.from(text.padEnd(bytes))]);
    };
    expect(() => unpack(file(1_000), "/nix/store")).toThrow("it has no derivation");
    expect(() => unpack(file(33 * 1024 * 1024), "/nix/store")).toThrow(/its header has \d+ bytes/);
  });

  test("leaves out what refers to what is not there", () => {
    const [a, b, c] = ["a.drv", "b.drv", "c.drv"] as StorePath[] as [
      StorePath,
      StorePath,
      StorePath,
    ];
    const nodes = new Map([
      [a, { references: [b], bytes: 1 }],
      [b, { references: ["gone" as StorePath], bytes: 1 }],
      [c, { references: [], bytes: 1 }],
    ]);
    expect(fitting([a, b, c], nodes, 10)).toEqual({ derivations: new Set([c]), paths: [c] });
  });
});
