/** Target lines: an installable and its attributes, and `!PATTERN`, which takes away. */

import { UserError } from "./errors.ts";
import { type Installable, parseInstallable } from "./installable.ts";
import { matchesGlob } from "./pattern.ts";
import { parseSize } from "./size.ts";
import { didYouMean } from "./suggest.ts";

export interface Target {
  /** The whole line as the user wrote it. */
  readonly line: string;
  /** The installable as the user wrote it; empty where `file=` alone is there. */
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
  /**
   * `shell`: what `nix develop` needs of it, which is the inputs of its derivation and not its
   * outputs. Undefined: by its place, so that all below `devShells` and in a shell.nix is a shell.
   */
  readonly develop: "shell" | "package" | undefined;
}

const ATTRIBUTES = [
  ...["pin", "priority", "space", "system", "closure", "derivation", "develop"],
  "file",
];

const BLANKS =
  '; a blank ends what a target is called: a name with one stands in quotes (.#"a b"), and a folder with one is entered by working-directory';

/** Pin names go into URLs and file names; Cachix takes the same characters. */
const PIN_NAME = /^[0-9A-Za-z_*][0-9A-Za-z_.+*-]{0,199}$/;

export function parseTarget(line: string): Target {
  const words = wordsOf(line);
  const isFileAlone = words[0]?.startsWith("file=");
  const [text = "", ...rest] = isFileAlone ? ["", ...words] : words;
  if (/,(.*#|$)/.test(text) && !text.includes('"')) throw severalTargets(line);
  const attributes = new Map<string, string>();
  for (const word of rest) {
    const equals = word.indexOf("=");
    const key = equals < 0 ? word : word.slice(0, equals);
    const isAnother = text.includes("#") && (word.includes("#") || word === ",");
    if (equals < 0 && isAnother) throw severalTargets(line);
    if (equals < 0 || !ATTRIBUTES.includes(key)) {
      const why = equals < 0 ? "is not key=value" : "is not an attribute of a target";
      throw new UserError(
        "NCP-102",
        `targets: "${line.trim()}": "${word}" ${why}.${didYouMean(key, ATTRIBUTES)}`,
        {
          hint: `attributes are ${ATTRIBUTES.map((name) => `${name}=`).join(", ")}${equals < 0 ? BLANKS : ""}`,
        },
      );
    }
    if (attributes.has(key)) {
      throw new UserError("NCP-102", `targets: "${line.trim()}": ${key}= stands twice`, {
        hint: "keep one of them",
      });
    }
    attributes.set(key, word.slice(equals + 1));
  }
  const installable = parseInstallable(text, attributes.get("file")?.replace(/^"([^"]*)"$/, "$1"));
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
  const develop = attributes.get("develop");
  if (develop !== undefined && develop !== "yes" && develop !== "no") {
    throw new UserError(
      "NCP-102",
      `targets: "${text}": develop="${develop}" is neither "yes" nor "no"`,
      { hint: "develop=yes caches what nix develop needs of it: the inputs of its derivation" },
    );
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
    develop: develop === undefined ? undefined : develop === "yes" ? "shell" : "package",
  };
}

function severalTargets(line: string): UserError {
  return new UserError("NCP-102", `targets: "${line.trim()}": there is one target per line`, {
    hint: "write each on a line of its own: targets: |, and below it .#a and .#b",
  });
}

/** Divided at white space; quotes hold a name together, as they do for a shell and for Nix. */
function wordsOf(line: string): string[] {
  const text = line.trim();
  const words = text.match(/(?:[^\s"]|"[^"]*")+/g) ?? [];
  if ((text.split('"').length - 1) % 2 === 0) return words;
  throw new UserError("NCP-102", `targets: "${text}": a quote has no end`, {
    hint: 'write .#"a name" with a quote at both ends',
  });
}

/** The attributes of a line, as `parseTarget` reads them; defaults left out. */
export function formatAttributes(
  of: Pick<Target, "priority" | "space" | "system" | "closure" | "develop"> & {
    /** Empty: none. */
    readonly pin: string;
  },
): string[] {
  const { pin, priority, space, system, closure, develop } = of;
  return [
    ...(pin === "" ? [] : [`pin=${pin}`]),
    ...(priority === 50 ? [] : [`priority=${priority}`]),
    ...(space === undefined ? [] : [`space=${space}B`]),
    ...(system === undefined ? [] : [`system=${system}`]),
    ...(closure === "build" ? ["closure=build"] : []),
    ...(develop === undefined ? [] : [`develop=${develop === "shell" ? "yes" : "no"}`]),
  ];
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

/** `!PATTERN`: targets that are not meant, whatever line they come from. */
export interface Exclusion {
  /** The whole line as the user wrote it. */
  readonly line: string;
  /** Whether it takes away the target of this name (`.#packages.x86_64-linux.docs`). */
  takes(name: string, system: string): boolean;
}

export interface TargetLines {
  readonly targets: readonly Target[];
  readonly without: readonly Exclusion[];
}

/** One target per line; empty lines and lines that start with `# ` are passed over. */
export function parseTargets(lines: string): TargetLines {
  const targets: Target[] = [];
  const without: Exclusion[] = [];
  for (const one of lines.split("\n")) {
    const line = one.trim();
    if (line === "" || line === "#" || line.startsWith("# ")) continue;
    if (line.startsWith("!")) without.push(parseExclusion(line));
    else targets.push(parseTarget(line));
  }
  return { targets, without };
}

/**
 * With a `#` in it the pattern is that of whole names, else of the last one in the attribute path;
 * `*` stands for any characters.
 */
function parseExclusion(line: string): Exclusion {
  const [pattern, ...rest] = wordsOf(line.slice(1));
  if (pattern === undefined || rest.length > 0) {
    const why =
      pattern === undefined ? "it names nothing" : `"${rest[0]}" stands behind the pattern`;
    throw new UserError("NCP-102", `targets: "${line}" takes nothing away: ${why}`, {
      hint: "write !.#packages.SYSTEM.docs-* or, for every set, !docs-*",
    });
  }
  return {
    line,
    takes: (name, system) => {
      const whole = pattern.replaceAll(/\bSYSTEM\b/g, system);
      if (pattern.includes("#")) return matchesGlob(whole, name);
      const last = /(?:"[^"]*"|[^."])+$/.exec(name.slice(name.indexOf("#") + 1))?.[0] ?? name;
      return matchesGlob(whole, last) || matchesGlob(whole, last.replaceAll('"', ""));
    },
  };
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

function parseSystem(text: string, what: string): string {
  if (SYSTEMS.includes(text)) return text;
  throw new UserError(
    "NCP-102",
    `${what}: "${text}" is not a system.${didYouMean(text, SYSTEMS)}`,
    {
      hint: `systems are ${SYSTEMS.slice(0, 4).join(", ")} and ${SYSTEMS.slice(4).join(", ")}`,
    },
  );
}

/** Outputs that say by themselves what flake they are of: this one. */
const OUTPUT =
  /^(checks|devShells|nixosConfigurations|homeConfigurations|darwinConfigurations|hydraJobs)\./;

/**
 * As one would type it on this system: `.#cli` for `.#packages.x86_64-linux.cli`, `checks.cli`,
 * `homeConfigurations.alice`. For people; two targets may share one.
 */
export function shortName(name: string, system: string | undefined): string {
  const hash = name.indexOf("#");
  if (hash < 0) return name;
  const own = system === undefined ? "" : `.${system}.`;
  const path = name
    .slice(hash + 1)
    .replace(/^(packages|legacyPackages)\.([\w-]+)\./, (all, _, of) => (of === system ? "" : all))
    .replace(/^(checks|devShells)(\.[\w-]+\.)/, (all, set, of) => (of === own ? `${set}.` : all))
    .replace(/\.(activationPackage|config\.system\.build\.toplevel)$/, "");
  const flake = name.slice(0, hash);
  return flake === "." && OUTPUT.test(path) ? path : `${flake}#${path}`;
}

/** Whether the text names the target, and not as the beginning or the end of another name: `.#web` in `.#web-tests was not built`. */
export function isNamedIn(message: string, target: string): boolean {
  for (let at = message.indexOf(target); at >= 0; at = message.indexOf(target, at + 1)) {
    const before = message.slice(0, at);
    const after = message.slice(at + target.length);
    if (!/[\w.:/#^+-]$/.test(before) && !/^(?:[\w^+-]|\.[\w"])/.test(after)) return true;
  }
  return false;
}
