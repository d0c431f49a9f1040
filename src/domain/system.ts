/** Owns systems (`x86_64-linux`): which there are. */

import { UserError } from "./errors.ts";
import { didYouMean } from "./suggest.ts";

/** The systems nixpkgs knows as a place to build on (lib.systems.flakeExposed and its elders). */
export const SYSTEMS: readonly string[] = [
  "x86_64-linux",
  "aarch64-linux",
  "x86_64-darwin",
  "aarch64-darwin",
  "i686-linux",
  "armv6l-linux",
  "armv7l-linux",
  "powerpc64le-linux",
  "riscv64-linux",
  "loongarch64-linux",
  "s390x-linux",
  "x86_64-freebsd",
];

export function parseSystem(text: string, what: string): string {
  if (SYSTEMS.includes(text)) return text;
  throw new UserError(
    "NCP-102",
    `${what}: "${text}" is not a system.${didYouMean(text, SYSTEMS)}`,
    {
      hint: `systems are ${SYSTEMS.slice(0, 4).join(", ")} and ${SYSTEMS.slice(4).join(", ")}`,
    },
  );
}
