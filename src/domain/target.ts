/** Target lines: an installable and its attributes. */

import { UserError } from "./errors.ts";
import { type Installable, parseInstallable } from "./installable.ts";
import { parseSize } from "./size.ts";
import { didYouMean } from "./suggest.ts";

export interface Target {
  /** The whole line as the user wrote it. */
  readonly line: string;
  /** The installable as the user wrote it. */
  readonly text: string;
  readonly installable: Installable;
  /** Name of its pin; a `*` in it stands for what the installable's `*` matched. */
  readonly pin: string | undefined;
  /** Higher is built first; 50 unless said. */
  readonly priority: number;
  /** Bytes its build takes, where the user knows. */
  readonly space: number | undefined;
  /** The system to evaluate for; this machine's unless said. */
  readonly system: string | undefined;
  /** `build`: what is built from source on the way has to be cached too. */
  readonly closure: "runtime" | "build";
  /** Names of derivations below it, `NAME` or `HASH-NAME`, that are meant in its place; empty: itself. */
  readonly derivations: readonly string[];
}

const ATTRIBUTES = ["pin", "priority", "space", "system", "closure", "derivation"];

/** Pin names go into URLs and file names; Cachix takes the same characters. */
const PIN_NAME = /^[0-9A-Za-z_*][0-9A-Za-z_.+*-]{0,199}$/;

export function parseTarget(line: string): Target {
  const [text = "", ...rest] = line.trim().split(/\s+/);
  const attributes = new Map<string, string>();
  for (const word of rest) {
    const equals = word.indexOf("=");
    const key = equals < 0 ? word : word.slice(0, equals);
    if (equals < 0 || !ATTRIBUTES.includes(key)) {
      const why = equals < 0 ? "is not key=value" : "is not an attribute of a target";
      throw new UserError(
        "NCP-102",
        `targets: "${line.trim()}": "${word}" ${why}.${didYouMean(key, ATTRIBUTES)}`,
        { hint: `attributes are ${ATTRIBUTES.map((name) => `${name}=`).join(", ")}` },
      );
    }
    if (attributes.has(key)) {
      throw new UserError("NCP-102", `targets: "${line.trim()}": ${key}= stands twice`, {
        hint: "keep one of them",
      });
    }
    attributes.set(key, word.slice(equals + 1));
  }
  const installable = parseInstallable(text);
  const closure = attributes.get("closure") ?? "runtime";
  if (closure !== "runtime" && closure !== "build") {
    throw new UserError(
      "NCP-102",
      `targets: "${text}": closure="${closure}" is neither "runtime" nor "build".${didYouMean(closure, ["runtime", "build"])}`,
      { hint: "closure=build caches what is built from source on the way, too" },
    );
  }
  const pin = attributes.get("pin");
  if (pin !== undefined && !PIN_NAME.test(pin)) {
    throw new UserError("NCP-102", `targets: "${text}": pin="${pin}" is not a pin name`, {
      hint: "use letters, digits, _ . + - and, for a whole set, one *",
    });
  }
  const space = attributes.get("space");
  const system = attributes.get("system");
  return {
    line: line.trim(),
    text,
    installable,
    pin,
    priority: parsePriority(attributes.get("priority"), text),
    space: space === undefined ? undefined : parseSize(space, `targets: "${text}": space`),
    system: system === undefined ? undefined : parseSystem(system, `targets: "${text}": system`),
    closure,
    derivations: parseDerivations(attributes.get("derivation"), installable, text),
  };
}

/** `derivation=bws-1.0.0,hello-2.12`: what a store path may be called. */
function parseDerivations(
  value: string | undefined,
  installable: Installable,
  text: string,
): readonly string[] {
  if (value === undefined) return [];
  if (installable.kind === "store path") {
    throw new UserError("NCP-102", `targets: "${text}": below a store path is no derivation`, {
      hint: "name the installable or the .drv that derivation= is looked for below",
    });
  }
  const names = value.split(",");
  const bad = names.find((name) => !/^[0-9A-Za-z+\-._?=]{1,244}$/.test(name));
  if (bad === undefined) return names;
  throw new UserError("NCP-102", `targets: "${text}": derivation="${bad}" names no derivation`, {
    hint: "write derivation=bws-1.0.0, several with commas between them",
  });
}

function parsePriority(value: string | undefined, text: string): number {
  if (value === undefined) return 50;
  if (/^\d{1,3}$/.test(value) && Number(value) <= 100) return Number(value);
  throw new UserError("NCP-102", `targets: "${text}": priority="${value}" is not from 0 to 100`, {
    hint: "100 is built first; a target without a priority has 50",
  });
}

/** One target per line; empty lines and lines that start with `# ` are passed over. */
export function parseTargets(lines: string): Target[] {
  return lines
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && line !== "#" && !line.startsWith("# "))
    .map(parseTarget);
}

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
