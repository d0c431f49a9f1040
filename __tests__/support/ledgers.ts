/** Owns ledgers made by hand for tests: a name and its inputs are enough. */

import { createHash } from "node:crypto";
import { encodeNix32 } from "../../src/domain/hash.ts";
import type { Ledger, LedgerNode, LockedInput } from "../../src/domain/ledger.ts";

export function hashOf(text: string): string {
  return encodeNix32(createHash("sha256").update(text).digest().subarray(0, 20));
}

export interface Made {
  readonly name: string;
  readonly inputs?: readonly string[];
  readonly kind?: LedgerNode["kind"];
  readonly sources?: readonly string[];
  readonly attributes?: Readonly<Record<string, string>>;
  readonly seconds?: number;
  /** Tells two of one name apart. */
  readonly key?: string;
}

export interface MadeLedger {
  readonly tree?: string;
  readonly inputs?: readonly LockedInput[];
  /** Names of the targets; the last derivation, unless said. */
  readonly targets?: readonly string[];
}

/**
 * Derivations in the order given, inputs first. An output's hash follows from all that goes into it, as Nix's do; of
 * a download, from its own attributes alone.
 */
export function ledgerOf(list: readonly Made[], more: MadeLedger = {}): Ledger {
  const places = new Map<string, number>();
  const nodes: LedgerNode[] = [];
  for (const made of list) {
    const { name, kind = "source", sources = [], seconds } = made;
    const inputs = (made.inputs ?? []).map((input) => {
      const place = places.get(input);
      if (place === undefined)
        throw new Error(`${name} wants ${input}, which is not there before it`);
      return place;
    });
    const attributes = new Map(Object.entries(made.attributes ?? {}));
    const own = JSON.stringify([name, made.key ?? "", [...attributes], sources]);
    const below = inputs.map((input) => nodes[input]?.outputs.get("out"));
    const derivation = hashOf(`drv ${own} ${inputs.map((input) => nodes[input]?.derivation)}`);
    const out = kind === "download" ? hashOf(own) : hashOf(`${own} ${below.join()}`);
    places.set(made.key ?? name, nodes.length);
    nodes.push({
      name,
      kind,
      derivation,
      verdict: "cached",
      outputs: new Map([["out", out]]),
      inputs: inputs.sort((a, b) => a - b),
      sources: [...sources],
      attributes,
      seconds,
      bytes: undefined,
    });
  }
  const targets = more.targets ?? [list.at(-1)?.key ?? list.at(-1)?.name ?? ""];
  return {
    taken: 1_760_000_000_000,
    sources: {
      branch: "main",
      revision: "3f2c1ab".padEnd(40, "0"),
      tree: more.tree ?? "",
      inputs: more.inputs ?? [],
    },
    targets: targets.map((name) => ({ name: `.#${name}`, node: places.get(name) ?? 0 })),
    nodes,
    download: 1000,
    closure: undefined,
  };
}

/** A generator of numbers below `most` that begins anew with each call. */
export function dice(): (most: number) => number {
  let state = 7;
  return (most) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state % most;
  };
}

const USUAL =
  "stdenv system builder strictDeps doCheck doInstallCheck cmakeFlags configureFlags mesonFlags depsBuildBuild depsBuildTarget depsHostHost depsTargetTarget patches propagatedBuildInputs outputs __structuredAttrs".split(
    " ",
  );

/** As nixpkgs has them: some 25 attributes and a dozen inputs each, every third a download. */
export function usualLedger(count: number, changed: ReadonlySet<number> = new Set()): Ledger {
  const roll = dice();
  const list: Made[] = [];
  for (let at = 0; at < count; at++) {
    const name = `${["python3.12-", "perl5.40-", "lib", "", "rust_"][roll(5)]}${hashOf(String(at)).slice(0, 4 + roll(8))}-${roll(9)}.${roll(30)}.${roll(20)}`;
    if (at % 3 === 0) {
      list.push({
        name: `${name}.tar.gz`,
        kind: "download",
        key: String(at),
        attributes: {
          outputHash: hashOf(`${at} ${changed.has(at) ? "new" : ""}`).slice(0, 4),
          urls: hashOf(name).slice(0, 4),
          curlOpts: "aaaa",
          outputHashAlgo: "bbbb",
        },
      });
      continue;
    }
    const inputs = new Set<string>();
    for (let one = 0; one < 12 && at > 20; one++) {
      inputs.add(String(one < 6 ? roll(20) : Math.max(0, at - 1 - roll(Math.min(at, 400)))));
    }
    const usual = Object.fromEntries(
      USUAL.map((key) => [key, hashOf(`${key}${roll(8) === 0 ? roll(5) : 0}`).slice(0, 4)]),
    );
    const own = Object.fromEntries(
      ["src", "pname", "version", "buildInputs", "nativeBuildInputs", "meta"].map((key) => [
        key,
        hashOf(`${at}${key}${changed.has(at) ? "new" : ""}`).slice(0, 4),
      ]),
    );
    list.push({
      name,
      key: String(at),
      inputs: [...inputs],
      attributes: { ...usual, ...own },
      seconds: roll(400),
      sources: [`${hashOf("builder")}-default-builder.sh`],
    });
  }
  return ledgerOf(list, { targets: [...Array(40).keys()].map((at) => String(count - 1 - at)) });
}
