import { describe, expect, test } from "@jest/globals";
import { type Derivation, parseDerivation } from "../../src/domain/derivation.ts";
import {
  parseRealisation,
  type RealisationId,
  RealisationNames,
  realisationReading,
  resolve,
} from "../../src/domain/realisation.ts";
import type { StorePath } from "../../src/domain/store-path.ts";

/** Written by Nix 2.8; its paths follow from where the store was. */
const STORE = "/tmp/ncp-machine-q2HBwM/store";
const TEXTS = {
  fod: {
    path: `${STORE}/6dcr9x8s9yxmdxk43nv6795l249dmnvx-fod-0.drv`,
    text: `Derive([("out","${STORE}/8c8ckz4dvlzhi8fwlrrp9wy3qh0s7bd7-fod-0","sha256","40c8c5469f953906025db90f6621bd41d33944e585aa4f39a487ebe7a5c69f5f")],[],[],"x86_64-linux","/bin/sh",["-c","echo -n fod > $out"],[("builder","/bin/sh"),("name","fod-0"),("out","${STORE}/8c8ckz4dvlzhi8fwlrrp9wy3qh0s7bd7-fod-0"),("outputHash","40c8c5469f953906025db90f6621bd41d33944e585aa4f39a487ebe7a5c69f5f"),("outputHashAlgo","sha256"),("outputHashMode","flat"),("system","x86_64-linux")])`,
  },
  plain: {
    path: `${STORE}/nlmbgijrk3a5mkw3fhvs9l85id74j0rr-plain-0.drv`,
    text: `Derive([("out","${STORE}/ppsw5i5vixix0pw0rrbvmkb9jh8f4f94-plain-0","","")],[("${STORE}/6dcr9x8s9yxmdxk43nv6795l249dmnvx-fod-0.drv",["out"])],["${STORE}/q4sp58ndrfgh29a2glbqqq9wvap0lyss-src-0"],"x86_64-linux","/bin/sh",["-c","echo 0 ${STORE}/8c8ckz4dvlzhi8fwlrrp9wy3qh0s7bd7-fod-0 ${STORE}/q4sp58ndrfgh29a2glbqqq9wvap0lyss-src-0 > $out"],[("builder","/bin/sh"),("name","plain-0"),("out","${STORE}/ppsw5i5vixix0pw0rrbvmkb9jh8f4f94-plain-0"),("system","x86_64-linux")])`,
  },
  floating: {
    path: `${STORE}/0gabxmzsp91kfq6k0nb5cn2w0hx9rv1y-floating-0.drv`,
    text: `Derive([("out","","r:sha256","")],[("${STORE}/nlmbgijrk3a5mkw3fhvs9l85id74j0rr-plain-0.drv",["out"])],[],"x86_64-linux","/bin/sh",["-c","echo 0 ${STORE}/ppsw5i5vixix0pw0rrbvmkb9jh8f4f94-plain-0 > $out"],[("builder","/bin/sh"),("name","floating-0"),("out","/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9"),("outputHashAlgo","sha256"),("outputHashMode","recursive"),("system","x86_64-linux")])`,
  },
  deferred: {
    path: `${STORE}/mp2aczmi3jq1x1gc186f9dn06pxhi3k1-deferred-0.drv`,
    text: `Derive([("out","","","")],[("${STORE}/0gabxmzsp91kfq6k0nb5cn2w0hx9rv1y-floating-0.drv",["out"])],[],"x86_64-linux","/bin/sh",["-c","echo /0q8zassq56y2x808izlgfh413jazqj0j04b36b52ps4c4hs22vdr > $out"],[("builder","/bin/sh"),("name","deferred-0"),("out",""),("system","x86_64-linux")])`,
  },
  fl2: {
    path: `${STORE}/426g8z6wfz7nqv1gxxpmgc7k3kv4cml6-fl2-0.drv`,
    text: `Derive([("out","","r:sha256","")],[("${STORE}/0gabxmzsp91kfq6k0nb5cn2w0hx9rv1y-floating-0.drv",["out"]),("${STORE}/mp2aczmi3jq1x1gc186f9dn06pxhi3k1-deferred-0.drv",["out"])],[],"x86_64-linux","/bin/sh",["-c","echo /0q8zassq56y2x808izlgfh413jazqj0j04b36b52ps4c4hs22vdr /13lqdrfw2kc459cf9g6rfb63x16g2dn1dnnaxv8r52za1y5kbj6y > $out"],[("builder","/bin/sh"),("name","fl2-0"),("out","/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9"),("outputHashAlgo","sha256"),("outputHashMode","recursive"),("system","x86_64-linux")])`,
  },
  multi: {
    path: `${STORE}/amskxc51254575mx1jg08b3rlrwlhwmx-multi-0.drv`,
    text: `Derive([("dev","","r:sha256",""),("out","","r:sha256","")],[("${STORE}/0gabxmzsp91kfq6k0nb5cn2w0hx9rv1y-floating-0.drv",["out"])],[],"x86_64-linux","/bin/sh",["-c","echo 0 > $out; echo $out /0q8zassq56y2x808izlgfh413jazqj0j04b36b52ps4c4hs22vdr > $dev"],[("builder","/bin/sh"),("dev","/02qcpld1y6xhs5gz9bchpxaw0xdhmsp5dv88lh25r2ss44kh8dxz"),("name","multi-0"),("out","/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9"),("outputHashAlgo","sha256"),("outputHashMode","recursive"),("outputs","out dev"),("system","x86_64-linux")])`,
  },
};

const derivations = new Map<string, Derivation>(
  Object.values(TEXTS).map(({ path, text }) => [path, parseDerivation(text, path as StorePath)]),
);
const find = (path: string): Derivation => {
  const found = derivations.get(path);
  if (!found) throw new Error(`${path} is not recorded`);
  return found;
};
const of = (name: keyof typeof TEXTS) => find(TEXTS[name].path);

describe("a realisation", () => {
  test.each<[keyof typeof TEXTS, string, string]>([
    ["plain", "out", "sha256:7f1efa215f2fdd78d47bbf730f18b5a7137228d7066758e17332030b57951f08!out"],
    [
      "floating",
      "out",
      "sha256:40fc9eadb454f9d45134d96d01b3f688bb40d2abdc848dd3e4954f12d1f92fbb!out",
    ],
    [
      "deferred",
      "out",
      "sha256:0cb3d48bc497b6d878487b93de8dec9ab3d4212a6bdb3126103af414bc233042!out",
    ],
    ["fl2", "out", "sha256:de603cacee906aab652ff86402baa056aec9a6ae6a736235973276c4c071266b!out"],
    ["multi", "out", "sha256:6be9a4ea89953024c3dd988332e6f0d3cbfea1ce2bb5cf20397a949f40f283b4!out"],
    ["multi", "dev", "sha256:6be9a4ea89953024c3dd988332e6f0d3cbfea1ce2bb5cf20397a949f40f283b4!dev"],
  ])("of %s!%s is called as Nix calls it", async (name, output, id) => {
    const names = new RealisationNames(async (path) => find(path));
    expect(await names.idOf(of(name), output)).toBe(id);
  });

  test("of what is impure, or built of it, has no name", async () => {
    const floating = of("floating");
    const impure = new Map([
      ["out", { path: undefined, hashAlgorithm: "r:sha256", hash: "impure" }],
    ]);
    const names = new RealisationNames(async () => ({ ...of("plain"), outputs: impure }));
    expect(await names.idOf(floating, "out")).toBeUndefined();
    expect(await names.idOf({ ...floating, outputs: impure }, "out")).toBeUndefined();
  });
});

test("with its inputs known, a deferred derivation has the path that Nix gives it", () => {
  const made = `${STORE}/332aixxbh8vgfkfb9zd3wm8a1qpnx1c5-floating-0` as StorePath;
  expect(resolve(of("deferred"), "out", () => made)?.path).toBe(
    `${STORE}/f9hs25sj91jscad7rgdl8f4m1a5wjncp-deferred-0`,
  );
  expect(resolve(of("deferred"), "out", () => undefined)).toBeUndefined();
  expect(resolve(of("multi"), "dev", () => made)?.path).toBeUndefined();
});

describe("what a cache says of one", () => {
  const id = `sha256:${"0".repeat(64)}!out` as RealisationId;
  const other = `sha256:${"1".repeat(64)}!out`;
  const outPath = "332aixxbh8vgfkfb9zd3wm8a1qpnx1c5-floating-0";
  const text = (parts: object) => JSON.stringify({ id, outPath, signatures: [], ...parts });

  test("is its path, and what it depends on but itself", () => {
    const dependentRealisations = { [id]: outPath, [other]: outPath };
    const read = parseRealisation(text({ dependentRealisations, more: 1 }), id, STORE);
    expect(read).toEqual({ path: `${STORE}/${outPath}`, dependents: [other] });
    expect(parseRealisation(text({ signatures: undefined }), id, STORE).dependents).toEqual([]);
  });

  test.each<[string, string]>([
    ["no JSON", "{"],
    ["nothing", "null"],
    ["without an id", text({ id: undefined })],
    ["of another id", text({ id: other })],
    ["without a path", text({ outPath: undefined })],
    ["with a path that is none", text({ outPath: "../x" })],
    ["with a signature that is none", text({ signatures: ["x"] })],
  ])("is not read where it is %s", (_, given) => {
    expect(() => parseRealisation(given, id, STORE)).toThrow();
  });
});

test("versions of Nix ask in ways that were looked at, or not at all", () => {
  const versions = ["2.3.16", "2.8.0", "2.26.3", "2.30.0", "2.34.8", "2.35.1", "3.0", undefined];
  expect(versions.map(realisationReading)).toEqual([
    undefined,
    "with dependents",
    "with dependents",
    "either",
    "alone",
    undefined,
    undefined,
    undefined,
  ]);
});
