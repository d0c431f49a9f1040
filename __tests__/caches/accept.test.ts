import { describe, expect, test } from "@jest/globals";
import { judgeNarInfo, narPlace, nixReading } from "../../src/caches/accept.ts";
import { fingerprint, formatNarInfo } from "../../src/domain/narinfo.ts";
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
