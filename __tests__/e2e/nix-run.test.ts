import { execFile } from "node:child_process";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { type Machine, startMachine } from "../../scripts/machine.ts";
import { HOME, NIX } from "./job.ts";

const run = promisify(execFile);
const NAME = "nix-cache-preflight";

/** What the flake takes of nixpkgs: a Node, here the one that runs this test. */
async function nixpkgs(machine: Machine): Promise<string> {
  const folder = join(machine.root, "nixpkgs");
  await mkdir(folder);
  const node = dirname(dirname(process.execPath));
  const system = (
    await machine.nix("nix", ["eval", "--impure", "--raw", "--expr", "builtins.currentSystem"])
  ).trim();
  await writeFile(
    join(folder, "flake.nix"),
    `{ outputs = _: { legacyPackages.${system}.nodejs.outPath = "${node}"; }; }\n`,
  );
  return folder;
}

/** The files of the repository that a fetch of it would have, as they are now. */
async function source(machine: Machine): Promise<string> {
  const folder = join(machine.root, "source");
  await mkdir(join(folder, "docs"), { recursive: true });
  await mkdir(join(folder, "scripts"));
  const files = ["flake.nix", "package.json", "dist", `docs/${NAME}.1`, "scripts/nix-package.mjs"];
  for (const file of files) await run("cp", ["-r", resolve(file), join(folder, file)]);
  return folder;
}

async function installed(machine: Machine) {
  const flake = await source(machine);
  const how = [
    "--no-write-lock-file",
    "--override-input",
    "nixpkgs",
    `path:${await nixpkgs(machine)}`,
  ];
  return { flake: `path:${flake}`, how };
}

describe(`with ${NIX}, the project's flake`, () => {
  test("runs the command, and builds but one derivation", async () => {
    await using machine = await startMachine();
    const { flake, how } = await installed(machine);
    const dry = await run("nix", ["build", ...how, "--dry-run", flake], {
      env: machine.environment,
    });
    expect(dry.stderr.match(/\.drv$/gm)).toEqual([".drv"]);
    const nixRun = (...args: readonly string[]) =>
      run("nix", ["run", ...how, flake, "--", ...args], { cwd: HOME, env: machine.environment });
    const { version } = JSON.parse(await readFile("package.json", "utf8")) as { version: string };
    expect((await nixRun("--version")).stdout).toBe(`${version}\n`);
    await expect(nixRun("check", "--heavy", ">lots")).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining("(NCP-104)"),
    });
  });

  test("has completions, and the man page, where a profile looks for them", async () => {
    await using machine = await startMachine();
    const { flake, how } = await installed(machine);
    const link = join(machine.root, "result");
    await machine.nix("nix", ["build", ...how, "--out-link", link, flake]);
    const read = (path: string) => readFile(join(link, "share", path), "utf8");
    expect(await read(`bash-completion/completions/${NAME}`)).toContain(`complete -o default -F`);
    expect(await read(`zsh/site-functions/_${NAME}`)).toMatch(/^#compdef nix-cache-preflight\n/);
    expect(await read(`fish/vendor_completions.d/${NAME}.fish`)).toContain(`complete -c ${NAME}`);
    expect(await read(`man/man1/${NAME}.1`)).toBe(await readFile(`docs/${NAME}.1`, "utf8"));
    expect((await stat(join(link, "bin", NAME))).mode & 0o111).toBe(0o111);
  });
});
