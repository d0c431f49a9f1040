import { describe, expect, test } from "@jest/globals";
import { UserError } from "../../src/domain/errors.ts";
import { parseDump, parseMarks } from "../../src/nix/store.ts";
import { STORE, storePath, sum } from "../support/paths.ts";

const [a, b] = [storePath("a"), storePath("b")];

describe("nix-store --dump-db", () => {
  // Recorded with Nix 2.8; the same in 2.26 and 2.34.
  const recorded = `/nix/store/56mpyszbcgnvyrj1ai01pahapg2xg1gk-b
2f9cc3a1b0057f36f89de7a24953349530e714d757c52459ac2fa6a213e74c54
208

2
/nix/store/xzdc2x2gw25hj9wm4h6jrpz0cm584xzy-a
/nix/store/qqpc911h8l92rs0sci3mspb8xh52228i-z
`;

  test("gives path, sum, size, deriver and references, these in order", () => {
    expect(parseDump(recorded, STORE)).toEqual([
      {
        storePath: "/nix/store/56mpyszbcgnvyrj1ai01pahapg2xg1gk-b",
        narHash: "2f9cc3a1b0057f36f89de7a24953349530e714d757c52459ac2fa6a213e74c54",
        narSize: 208,
        deriver: undefined,
        references: [
          "/nix/store/qqpc911h8l92rs0sci3mspb8xh52228i-z",
          "/nix/store/xzdc2x2gw25hj9wm4h6jrpz0cm584xzy-a",
        ],
      },
    ]);
  });

  test("of several paths, with and without derivers and references", () => {
    const drv = storePath("b.drv");
    const text = `${a}\n${sum("a")}\n1\n\n0\n${b}\n${sum("b")}\n2\n${drv}\n2\n${a}\n${b}\n`;
    expect(parseDump(text, STORE).map((one) => [one.storePath, one.deriver])).toEqual([
      [a, undefined],
      [b, drv],
    ]);
    expect(parseDump("", STORE)).toEqual([]);
  });

  test.each([
    ["half a path", `${a}\n${sum("a")}\n1`, "it ends too early"],
    ["too few references", `${a}\n${sum("a")}\n1\n\n2\n${b}`, "it ends too early"],
    ["no path", "warning: x\n", '"warning: x" is no store path'],
    ["another store", `/gnu/store/x\n`, "is no store path"],
    ["no sum", `${a}\nx\n1\n\n0\n`, "line 2: no SHA-256 sum"],
    ["no size", `${a}\n${sum("a")}\nx\n\n0\n`, "line 3: no number"],
    ["an empty size", `${a}\n${sum("a")}\n\n\n0\n`, "line 3: no number"],
    ["a negative count", `${a}\n${sum("a")}\n1\n\n-1\n`, "line 5: no number"],
    ["a count past all bounds", `${a}\n${sum("a")}\n1\n\n999999999999\n`, "no store path"],
    ["a reference that is none", `${a}\n${sum("a")}\n1\n\n1\n../x\n`, '"../x" is no store path'],
  ])("with %s is an error of Nix's", (_, text, message) => {
    const parse = () => parseDump(text, STORE);
    expect(parse).toThrow(UserError);
    expect(parse).toThrow(message);
  });
});

test("nix path-info --sigs tells who vouches for a path", () => {
  const text = `${a}      \tultimate ca:fixed:r:sha256:xyz k-1:AAAA== other-1:BBBB==\n${b}\t\n`;
  expect(parseMarks(text)).toEqual([
    [
      a,
      {
        origin: "ultimate",
        signatures: ["k-1:AAAA==", "other-1:BBBB=="],
        contentAddress: "fixed:r:sha256:xyz",
      },
    ],
    [b, { origin: "elsewhere", signatures: [], contentAddress: undefined }],
  ]);
});
