import { describe, expect, test } from "@jest/globals";
import {
  findGoodSignature,
  parsePublicKey,
  parseSigningKey,
  signatureKeyName,
} from "../../src/domain/signature.ts";
import { userError, whole } from "../support/thrown.ts";

// nix-store --generate-binary-cache-key test-1 sec pub (a key of these tests, and of nothing else)
const SECRET =
  "test-1:TDGtBypPiO0ak9Kfo2HR3w76XDmibgb9lWBYoKuMnK6Wxs1/B5JMPfnks8IHgdK25ZSti0a7/BbxNXf1Zticrg==";
const PUBLIC = "test-1:lsbNfweSTD355LPCB4HStuWUrYtGu/wW8TV39WbYnK4=";
const bytes = (n: number, fill = 7) => Buffer.alloc(n, fill).toString("base64");

function publicKey(text: string) {
  const key = parsePublicKey(text);
  if (!key) throw new Error("no public key");
  return key;
}

describe("a public key", () => {
  test.each([PUBLIC, ` ${PUBLIC}\n`])("%j is read", (text) => {
    expect(parsePublicKey(text)).toMatchObject({ name: "test-1", text: PUBLIC });
  });

  test.each([
    "",
    "test-1",
    "test-1:",
    `:${bytes(32)}`,
    `test-1:${bytes(31)}`,
    `test-1:${bytes(33)}`,
    `te st:${bytes(32)}`,
    `test-1:${bytes(32)}:more`,
    `test-1:${bytes(32).replace("B", "*")}`,
    SECRET,
  ])("%j is none", (text) => {
    expect(parsePublicKey(text)).toBeUndefined();
  });
});

describe("a secret key", () => {
  test("knows its public half", () => {
    const key = parseSigningKey(` ${SECRET}\n`);
    expect(key.name).toBe("test-1");
    expect(key.publicKey.text).toBe(PUBLIC);
  });

  test("signs as Nix does, bit for bit", () => {
    // The fingerprint and the signature of `nix store sign`, see narinfo.test.ts.
    const fingerprint =
      "1;/nix/store/56mpyszbcgnvyrj1ai01pahapg2xg1gk-b;sha256:0m2cww9s59igmicj9iapswaffc4m6i9lk8p7kpw3czq5n2hw771g;208;/nix/store/qqpc911h8l92rs0sci3mspb8xh52228i-z,/nix/store/xzdc2x2gw25hj9wm4h6jrpz0cm584xzy-a";
    expect(parseSigningKey(SECRET).sign(fingerprint)).toBe(
      "test-1:bA51ujgqjCG1b6gR4t7k23zkqm5QFHDezZcU0eu//ljPp91I0YIFMHtdHyG1+c2qUngcB7RSiUlWvfTglkabCA==",
    );
  });

  test.each([
    ["nothing", "", "not NAME:BASE64"],
    ["no name", SECRET.slice(7), "not NAME:BASE64"],
    ["its public half alone", PUBLIC, "it has 32 bytes, not 64"],
    ["a byte too few", `test-1:${bytes(63, 0x5a)}`, "it has 63 bytes, not 64"],
    ["a byte too many", `test-1:${bytes(65, 0x5a)}`, "it has 65 bytes, not 64"],
    ["quotes around it", `"${SECRET}"`, "not NAME:BASE64"],
    ["a line break inside", SECRET.replace("k9Kf", "k9\nKf"), "not NAME:BASE64"],
    ["halves of two keys", `test-1:${bytes(64, 0x5a)}`, "do not belong together"],
  ])("with %s is refused, and nothing of it is told", (_, text, why) => {
    const error = userError(() => parseSigningKey(text));
    expect(error.code).toBe("NCP-105");
    expect(error.message).toContain(why);
    for (const piece of ["TDGtBypPiO0a", "Wlpa", "9lWBYoKuMnK6"]) {
      expect(whole(error)).not.toContain(piece);
    }
  });
});

describe("a signature", () => {
  const key = parseSigningKey(SECRET);
  const good = key.sign("fingerprint");

  test("is good among others, under the key that made it", () => {
    const signatures = ["other-1:AAAA", `test-1:${bytes(64)}`, good];
    const keys = [publicKey(`other-1:${bytes(32)}`), key.publicKey];
    expect(findGoodSignature("fingerprint", signatures, keys)).toBe(key.publicKey);
  });

  test.each([
    ["another text", "other", good, PUBLIC],
    ["another name", "fingerprint", good.replace("test-1", "test-2"), PUBLIC],
    ["another key of the same name", "fingerprint", good, `test-1:${bytes(32)}`],
    ["a byte too few", "fingerprint", `test-1:${bytes(63)}`, PUBLIC],
    ["no name", "fingerprint", good.slice(7), PUBLIC],
    ["nothing", "fingerprint", "", PUBLIC],
  ])("is not good with %s", (_, text, signature, trusted) => {
    expect(findGoodSignature(text, [signature], [publicKey(trusted)])).toBeUndefined();
  });

  test.each([
    [good, "test-1"],
    ["nothing", ""],
    ["a:b:c", "a"],
  ])("%s is by %j", (signature, name) => {
    expect(signatureKeyName(signature)).toBe(name);
  });
});
