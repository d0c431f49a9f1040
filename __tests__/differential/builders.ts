/** Owns who can build what: derivations that want a system and features, and settings that give them. */

import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { hindrance } from "../../src/domain/builders.ts";
import { parseDerivation } from "../../src/domain/derivation.ts";
import type { StorePath } from "../../src/domain/store-path.ts";
import { nixCommand } from "../../src/nix/command.ts";
import { readMachine } from "../../src/nix/machine.ts";
import { type Chance, chance } from "../support/fuzz.ts";
import type { Comparison } from "./difference.ts";
import { type Court, ended } from "./judges.ts";

export interface BuilderWorld {
  readonly what: string;
  readonly system: string;
  readonly features: readonly string[];
  readonly structured: "structured" | "plain";
  readonly settings: readonly string[];
  /** Text of the file that `@FILE` in the settings means, and of the one it may name. */
  readonly files: readonly [string, string];
  readonly number: number;
}

const FEATURES = ["kvm", "big-parallel", "nixos-test", "odd"];
const SYSTEMS = ["x86_64-linux", "aarch64-linux", "riscv64-linux", "i686-linux"];

/** Each kind of line by chance; hosts that are never spoken to. */
function line(next: Chance): string {
  const some = (from: readonly string[]) => from.filter(() => next(3) === 0).join(",") || "-";
  const url = ["ssh://b1", "b2", "ssh-ng://b3", "ssh://u@b4?compress=true"][next(4)] ?? "b5";
  const fields = [
    url,
    some(SYSTEMS),
    "-",
    "1",
    "1",
    some(FEATURES),
    some(FEATURES.slice(0, 2)),
    "-",
  ];
  return fields.slice(0, 1 + next(fields.length)).join(next(2) ? " " : "\t");
}

function text(next: Chance): string {
  const lines = Array.from({ length: next(4) }, () =>
    next(5) === 0
      ? "# a comment"
      : next(6) === 0
        ? ""
        : `${line(next)}${next(5) === 0 ? " # behind" : ""}`,
  );
  return `${lines.join("\n")}\n`;
}

export function builders(court: Court, systemHere: string): Comparison<BuilderWorld> {
  let number = 0;
  const make = (next: Chance): BuilderWorld => {
    const parts = Array.from({ length: next(4) }, () =>
      next(3) === 0 ? (next(4) === 0 ? "@/nowhere/machines" : "@FILE0") : line(next),
    );
    const first = text(next) + (next(3) === 0 ? "@FILE1\n" : "");
    const world = {
      system: next(2) ? systemHere : (SYSTEMS[next(SYSTEMS.length)] ?? systemHere),
      features: FEATURES.filter(() => next(4) === 0),
      structured: next(3) === 0 ? ("structured" as const) : ("plain" as const),
      settings: [
        `max-jobs = ${next(4) === 0 ? 0 : 1}`,
        `system-features = ${FEATURES.filter(() => next(2)).join(" ") || "benchmark"}`,
        // It says where a remote builder takes inputs from, and not what it can build.
        ...(next(4) === 0 ? ["builders-use-substitutes = true"] : []),
        ...(next(4) === 0 ? ["extra-platforms = i686-linux riscv64-linux"] : []),
        `builders = ${parts.join(next(2) ? ";" : " ; ")}`,
      ],
      files: [first, text(next)] as const,
      number: number++,
    };
    const isBehindBlank = world.settings.some((line) => /[;\t ] +@/.test(line));
    const more = isBehindBlank ? `, a file behind a blank, 2.${court.minor}` : "";
    return { ...world, what: `builder ${world.number}${more}` };
  };
  const once = chance(17);
  const folder = join(court.machine.root, "builders");
  const settled = ({ settings, number: n }: BuilderWorld) =>
    settings.join("\n").replaceAll("@FILE0", `@${join(folder, `m${n}-0`)}`);
  return {
    name: "builders",
    usual: 40,
    share: 7,
    always: Array.from({ length: 10 }, () => make(once)),
    make,
    async nix(world) {
      await mkdir(join(folder, "bin"), { recursive: true });
      const n = world.number;
      const asked = join(folder, `asked-${n}`);
      const ssh = join(folder, `bin-${n}`);
      await mkdir(ssh);
      await writeFile(join(ssh, "ssh"), `#!/bin/sh\necho "$@" >> ${asked}\nexit 1\n`);
      await chmod(join(ssh, "ssh"), 0o755);
      const [zero, one] = world.files;
      await writeFile(
        join(folder, `m${n}-0`),
        zero.replace("@FILE1", `@${join(folder, `m${n}-1`)}`),
      );
      await writeFile(join(folder, `m${n}-1`), one);
      const features = world.features.map((feature) => `"${feature}"`).join(" ");
      const isStructured = world.structured === "structured";
      const script = isStructured ? `. ./.attrs.sh; echo x > \\\${outputs[out]}` : "echo x > $out";
      const expression = [
        `derivation { name = "b${n}"; system = "${world.system}";`,
        `builder = "${isStructured ? "/bin/bash" : "/bin/sh"}"; args = [ "-c" "${script}" ];`,
        `requiredSystemFeatures = [ ${features} ];`,
        isStructured ? "__structuredAttrs = true; }" : "}",
      ].join(" ");
      const drv = (await court.machine.nix("nix-instantiate", ["--expr", expression])).trim();
      const { environment, root } = court.machine;
      const { code, text: told } = await ended("nix-store", ["--realise", drv], root, {
        ...environment,
        PATH: `${ssh}:${environment["PATH"]}`,
        NIX_CONFIG: settled(world),
      });
      await writeFile(join(folder, `drv-${n}`), drv);
      const turned = await readFile(asked, "utf8").catch(() => "");
      // A Nix in a folder of its own may find another ssh than ours.
      // To 2.8 a file that is not named first is a builder of that name: it tries, and finds no shell there.
      const tried =
        turned !== "" ||
        /cannot build on '|failed to start SSH connection|build of '[^']*' on '[^']*' failed/.test(
          told,
        );
      if (code === 0 || tried) return "can be built";
      return /required|system|features|max-jobs|local|build/i.test(told)
        ? "cannot"
        : told.slice(0, 300);
    },
    async ours(world) {
      const { environment, root } = court.machine;
      const env = { ...environment, NIX_CONFIG: settled(world) };
      const { setup } = await readMachine(nixCommand(env, root), env, AbortSignal.timeout(60_000));
      const drv = (await readFile(join(folder, `drv-${world.number}`), "utf8")) as StorePath;
      const derivation = parseDerivation(await readFile(drv, "utf8"), drv);
      return hindrance(derivation, setup.builders) === undefined ? "can be built" : "cannot";
    },
  };
}
