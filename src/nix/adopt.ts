/** Owns adding caches to the user's own Nix configuration for good: lines are added, none is changed. */

import { realpath } from "node:fs/promises";
import { UserError } from "../domain/errors.ts";
import { writeWhole } from "../host/atomic.ts";
import { isMissing, readIfThere } from "../host/disk.ts";
import { lasting, type NixConfiguration } from "./configure.ts";

export interface Adopted {
  readonly file: string;
  /** What was not there before; both empty: nothing was written. */
  readonly added: NixConfiguration;
}

/**
 * Adds what is `wanted` and neither `known` to Nix nor in the file; `extra-…` adds to what other lines
 * and files say. A file that another program makes is left alone: the error holds the lines for it.
 */
export async function adopt(
  file: string,
  wanted: NixConfiguration,
  known: NixConfiguration,
  storeDir: string,
): Promise<Adopted> {
  const target = await realpath(file).catch((error) => {
    if (isMissing(error)) return file;
    throw error;
  });
  const before = (await readIfThere(target)) ?? "";
  const added = notWritten(before, lasting(before, wanted, known));
  const lines = linesOf(added);
  if (lines.length === 0) return { file: target, added };
  if (target.startsWith(`${storeDir}/`)) {
    throw notOurs(file, "it is made by home-manager or NixOS", lines);
  }
  const gap = before === "" || before.endsWith("\n") ? "" : "\n";
  const text = `${before}${gap}# added by nix-cache-preflight setup\n${lines.join("\n")}\n`;
  try {
    await writeWhole(target, text);
  } catch (cause) {
    throw notOurs(file, "it cannot be written", lines, cause);
  }
  return { file: target, added };
}

/** Nix may not have read the file yet, or a variable may hide it. */
function notWritten(
  text: string,
  { substituters, publicKeys }: NixConfiguration,
): NixConfiguration {
  const lines = text.split("\n").map((line) => line.replace(/#.*$/, "").trim());
  const words = (setting: string) =>
    new Set(
      lines
        .filter((line) => new RegExp(`^extra-${setting}\\s*=`).test(line))
        .flatMap((line) => line.slice(line.indexOf("=") + 1).split(/\s+/)),
    );
  const [urls, keys] = [words("substituters"), words("trusted-public-keys")];
  return {
    substituters: substituters.filter((url) => !urls.has(url)),
    publicKeys: publicKeys.filter((key) => !keys.has(key)),
  };
}

function linesOf({ substituters, publicKeys }: NixConfiguration): string[] {
  return [
    ...(substituters.length > 0 ? [`extra-substituters = ${substituters.join(" ")}`] : []),
    ...(publicKeys.length > 0 ? [`extra-trusted-public-keys = ${publicKeys.join(" ")}`] : []),
  ];
}

function notOurs(file: string, why: string, lines: readonly string[], cause?: unknown): UserError {
  return new UserError("NCP-641", `${file} is left as it is: ${why}`, {
    hint: `add these lines where it is made:\n${lines.join("\n")}`,
    cause,
  });
}
