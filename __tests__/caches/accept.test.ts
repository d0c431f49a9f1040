import { describe, expect, test } from "@jest/globals";
import { judgeNarInfo, narPlace, nixReading } from "../../src/caches/accept.ts";
import { fingerprint, formatNarInfo } from "../../src/domain/narinfo.ts";
import type { StorePath } from "../../src/domain/store-path.ts";
import { narInfo } from "../support/graph.ts";
import { newKey } from "../support/keys.ts";
import { storePath } from "../support/paths.ts";
import { userError } from "../support/thrown.ts";

describe("where a NAR is", () => {
  const ROOT = new URL("https://cache.example/base/");
  const DISK = new URL("file:///srv/cache/");

  test.each([
    ["nar/a.nar.xz", "https://cache.example/base/nar/a.nar.xz"],
    ["./nar/a.nar", "https://cache.example/base/nar/a.nar"],
    ["nar//a.nar", "https://cache.example/base/nar//a.nar"],
    ["n%61r/a.nar", "https://cache.example/base/n%61r/a.nar"],
    ["nar/a.nar?hash=x&sig=a%2Fb:c", "https://cache.example/base/nar/a.nar?hash=x&sig=a%2Fb:c"],
    ["../other/a.nar", "https://cache.example/other/a.nar"],
    ["https://cache.example/elsewhere/a.nar", "https://cache.example/elsewhere/a.nar"],
  ])("%s is followed on its own host", (url, place) => {
    expect(narPlace(url, ROOT).href).toBe(place);
  });

  test("where Nix's versions part, it is where this one looks", () => {
    const at = (reading: "up to 2.26" | "from 2.34") => narPlace("/nar/x.nar", ROOT, reading).href;
    expect(at("up to 2.26")).toBe("https://cache.example/base//nar/x.nar");
    expect(at("from 2.34")).toBe("https://cache.example/nar/x.nar");
  });

  test.each([
    "https://evil.example/x.nar",
    "http://cache.example/x.nar",
    "https://cache.example:444/x.nar",
    "https://cache.example@evil.example/x.nar",
    "file:///etc/passwd",
    "//evil.example/x.nar",
    "/nar/x.nar",
    "HTTPS://evil.example/x.nar",
  ])("%j is not followed, and nobody says that Nix does not take it", (url) => {
    expect(userError(() => narPlace(url, ROOT))).toMatchObject({
      code: "NCP-354",
      taking: "unknown",
    });
  });

  test.each(["nar/x y.nar", "nar/x\u0000.nar", "nar/\u001b[31m", "nar/x.nar ", "nar\\..\\x.nar"])(
    "%j is no address to any Nix",
    (url) => {
      expect(userError(() => narPlace(url, ROOT))).toMatchObject({ taking: "passed over" });
    },
  );

  test.each([
    "../x.nar",
    "nar/../../x.nar",
    "nar/%2e%2e/%2e%2e/x.nar",
    "https://cache.example/x.nar",
  ])("%j leads out of a folder on this disk", (url) => {
    expect(userError(() => narPlace(url, DISK))).toMatchObject({
      code: "NCP-354",
      taking: "unknown",
    });
  });
});

describe("what a narinfo is worth", () => {
  const key = newKey("k-1");
  const path = storePath("a");
  const info = narInfo(path);
  const signed = { ...info, signatures: [key.sign(fingerprint(info))] };
  const at = "https://cache.example/x.narinfo";
  const keys = [key.publicKey];
  const judged = (text: string, about = path) =>
    judgeNarInfo(text, at, about, { kind: "by key", keys });

  test("a signature by a trusted key that is none stops Nix before what it would pass over", async () => {
    const referring = { ...info, references: [storePath("b")] };
    const signatures = ["k-1:AAAA", key.sign(fingerprint(referring))];
    const damaged = { ...referring, signatures };
    const other = `CA: text:sha256:${"0".repeat(52)}\n`;
    for (const text of [
      `${formatNarInfo(damaged)}${other}`,
      formatNarInfo(damaged).replace(/^NarHash: .*$/m, `NarHash: sha512:${"0".repeat(103)}`),
    ]) {
      expect(await judged(text)).toMatchObject({ kind: "refused", form: "corrupt" });
      const good = await judged(text.replace("Sig: k-1:AAAA\n", ""));
      expect(good).toMatchObject({ kind: "refused" });
      expect(good).not.toHaveProperty("form");
    }
  });

  test("a CA of another path stops Nix where there are no references, once it trusts the path", async () => {
    const other = (text: string) => `${text}CA: text:sha256:${"0".repeat(52)}\n`;
    const of = (text: string, reading: "up to 2.26" | "from 2.34") =>
      judgeNarInfo(other(text), at, path, { kind: "by key", keys, reading });
    const [good, unsigned] = [signed, info].map(formatNarInfo);
    for (const reading of ["up to 2.26", "from 2.34"] as const) {
      expect(await of(good ?? "", reading)).toMatchObject({ kind: "refused", form: "corrupt" });
    }
    for (const reading of ["up to 2.26", "from 2.34"] as const) {
      expect(await of(unsigned ?? "", reading)).not.toHaveProperty("form");
    }
    const referring = { ...info, references: [storePath("b")] };
    const text = formatNarInfo({ ...referring, signatures: [key.sign(fingerprint(referring))] });
    expect(await of(text, "from 2.34")).not.toHaveProperty("form");
  });

  test.each(["k-1:!!!!", "k-1:", "other-1:!!!!", "other-1:", "garbage"])(
    "a Sig %j from 2.34 on stops Nix when it reads it, whatever the narinfo is about",
    async (signature) => {
      const good = formatNarInfo(signed);
      const damaged = `${good}Sig: ${signature}\n`;
      const of = (text: string, about: StorePath, reading: "up to 2.26" | "from 2.34") =>
        judgeNarInfo(text, at, about, { kind: "by key", keys, reading });
      const long = damaged.replace(/^NarHash: .*$/m, `NarHash: sha512:${"0".repeat(103)}`);
      for (const [text, about] of [
        [damaged, path],
        [damaged, storePath("b")],
        [long, storePath("b")],
      ] as const) {
        expect(await of(text, about, "from 2.34")).toMatchObject({ form: "corrupt" });
      }
      for (const text of [damaged, long]) {
        const passed = await of(text, storePath("b"), "up to 2.26");
        expect(passed).toMatchObject({ kind: "refused" });
        expect(passed).not.toHaveProperty("form");
      }
    },
  );

  test("a signature that is none is nothing to Nix where the narinfo is about another path", async () => {
    const damaged = formatNarInfo({ ...signed, signatures: ["k-1:AAAA"] });
    const long = damaged.replace(/^NarHash: .*$/m, `NarHash: sha512:${"0".repeat(103)}`);
    for (const reading of ["up to 2.26", "from 2.34"] as const) {
      const policy = { kind: "by key", keys, reading } as const;
      for (const text of [damaged, long]) {
        expect(await judgeNarInfo(text, at, path, policy)).toMatchObject({ form: "corrupt" });
        const passed = await judgeNarInfo(text, at, storePath("b"), policy);
        expect(passed).toMatchObject({ kind: "refused" });
        expect(passed).not.toHaveProperty("form");
      }
    }
  });

  test("with a good signature it is a hit", async () => {
    expect(await judged(formatNarInfo(signed))).toMatchObject({ kind: "hit" });
  });

  test("of another path it is refused, whoever signed it", async () => {
    const other = await judged(formatNarInfo(signed), storePath("b"));
    expect(other).toEqual({ kind: "refused", why: `${at} is about ${path}` });
    const trusted = { kind: "by location" } as const;
    expect(await judgeNarInfo(formatNarInfo(signed), at, storePath("b"), trusted)).toMatchObject({
      kind: "refused",
    });
  });

  test("of another path it says nothing of where that one's NAR is", async () => {
    const text = formatNarInfo({ ...signed, url: "https://evil.example/x.nar" });
    const other = await judged(text, storePath("b"));
    expect(other).toEqual({ kind: "refused", why: `${at} is about ${path}` });
  });

  test("what is no narinfo is refused as corrupt: Nix stops there", async () => {
    expect(await judged("<html>")).toMatchObject({ kind: "refused", form: "corrupt" });
  });

  test("a Compression that no Nix writes is unknown, of this path alone", async () => {
    const text = formatNarInfo({ ...signed, compression: "shrink" });
    expect(await judged(text)).toMatchObject({ kind: "unknown", of: "this path" });
  });

  test("a Sig that names no key, or begins with a blank, is read as this version reads it", async () => {
    const read = (more: string, reading?: "up to 2.26" | "from 2.34") =>
      judgeNarInfo(`${formatNarInfo(signed)}${more}\n`, at, path, {
        kind: "by key",
        keys,
        ...(reading ? { reading } : {}),
      });
    expect(await read("Sig: garbage", "up to 2.26")).toMatchObject({ kind: "hit" });
    expect(await read("Sig: garbage", "from 2.34")).toMatchObject({ form: "corrupt" });
    expect(await read("Sig: garbage")).toMatchObject({ kind: "unknown" });
    expect(await read("Sig:  k-1:AAAA", "up to 2.26")).toMatchObject({ kind: "hit" });
    expect(await read("Sig:  k-1:AAAA", "from 2.34")).toMatchObject({ kind: "unknown" });
  });

  test("a reference whose name begins with a dot is read as this version reads it", async () => {
    const dotted = narInfo(path, [`${path.slice(0, path.indexOf("-"))}-.-x` as StorePath]);
    const text = formatNarInfo({ ...dotted, signatures: [key.sign(fingerprint(dotted))] });
    const read = (reading: "up to 2.26" | "from 2.34") =>
      judgeNarInfo(text, at, path, { kind: "by key", keys, reading });
    expect(await read("up to 2.26")).toMatchObject({ kind: "unknown" });
    expect(await read("from 2.34")).toMatchObject({ kind: "refused", form: "corrupt" });
  });

  describe("with a content address", () => {
    const sum = "0".repeat(52);
    const addressed = (contentAddress: string, references: StorePath[] = []) => {
      const one = { ...narInfo(path, references), contentAddress };
      return { ...one, signatures: [key.sign(fingerprint(one))] };
    };

    test("that is another path's it is refused, whoever signed it and wherever it lies", async () => {
      const text = formatNarInfo(addressed(`fixed:r:sha256:${sum}`));
      expect(await judged(text)).toMatchObject({ kind: "refused" });
      expect(await judgeNarInfo(text, at, path, { kind: "by location" })).toMatchObject({
        kind: "refused",
      });
    });

    test("that no path can have it is corrupt", async () => {
      const text = formatNarInfo(addressed(`fixed:sha256:${sum}`, [storePath("b")]));
      expect(await judged(text)).toMatchObject({ kind: "refused", form: "corrupt" });
    });

    test.each([
      ["text:sha256", [path]],
      ["text:sha256", [path, storePath("b")]],
      ["fixed:sha256", [path]],
    ])("%s of %j, which refers to itself, is read as this version reads it", async (kind, to) => {
      const text = formatNarInfo(addressed(`${kind}:${sum}`, to));
      const read = (reading: "up to 2.26" | "from 2.34") =>
        judgeNarInfo(text, at, path, { kind: "by key", keys, reading });
      expect(await read("up to 2.26")).toMatchObject({ kind: "unknown", of: "this path" });
      expect(await read("from 2.34")).toMatchObject({ kind: "refused", form: "corrupt" });
    });

    test("that is its own it needs no signature, unless it is asked who signed", async () => {
      // Made by Nix 2.8: `nix-store --add-fixed --recursive sha256 hello`.
      const own = "/nix/store/gwina1sjk7g95wq6fxc6b7s1hza53h74-hello" as StorePath;
      const contentAddress = "fixed:r:sha256:04zwf782yjwnh3q6hz5izfd6jyip8kgw6g6yj43fiqhbyhdd0dqw";
      const text = formatNarInfo({ ...narInfo(own), contentAddress });
      expect(await judged(text, own)).toMatchObject({ kind: "hit" });
      const policy = { kind: "by key", keys, contentAddressed: "signed too" } as const;
      expect(await judgeNarInfo(text, at, own, policy)).toMatchObject({ kind: "refused" });
    });
  });

  test("where a signature of ours is none, Nix stops", async () => {
    const text = `${formatNarInfo(signed)}Sig: k-1:AAAA\n`;
    expect(await judged(text)).toMatchObject({ kind: "refused", form: "corrupt" });
    expect(await judged(`${formatNarInfo(signed)}Sig: other-1:AAAA\n`)).toMatchObject({
      kind: "hit",
    });
  });

  test("what leads to another host is unknown, of this path alone", async () => {
    const text = formatNarInfo({ ...signed, url: "https://evil.example/x.nar" });
    expect(await judged(text)).toMatchObject({ kind: "unknown", of: "this path" });
  });

  test.each([
    ["2.8.0", "up to 2.26"],
    ["2.26.3", "up to 2.26"],
    ["2.30.1", undefined],
    ["2.34.8", "from 2.34"],
    ["3.0.0", "from 2.34"],
  ])("Nix %s reads as %s", (version, reading) => {
    expect(nixReading(version)).toBe(reading);
  });
});
