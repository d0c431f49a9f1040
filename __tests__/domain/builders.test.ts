import { describe, expect, test } from "@jest/globals";
import { type Builders, hindrance, parseBuilders } from "../../src/domain/builders.ts";
import type { Derivation } from "../../src/domain/derivation.ts";
import { derivation, SYSTEM } from "../support/graph.ts";

const HERE: Builders = { systems: [SYSTEM], features: ["benchmark"], jobs: "some", remote: [] };
const wanting = (features: string, system = SYSTEM): Derivation => ({
  ...derivation("a", { system }),
  environment: new Map([["requiredSystemFeatures", features]]),
});
const structured = (features: readonly string[]): Derivation => ({
  ...derivation("a"),
  environment: new Map([["__json", JSON.stringify({ requiredSystemFeatures: features })]]),
});

describe("what keeps a derivation from being built", () => {
  const arm = { systems: ["aarch64-linux"], features: ["kvm"], mandatory: [] };
  const strict = { systems: [SYSTEM], features: [], mandatory: ["big-parallel"] };

  test.each<[string, Derivation, Partial<Builders>, string | undefined]>([
    ["nothing", wanting(""), {}, undefined],
    ["a feature that is here", wanting("benchmark"), {}, undefined],
    ["a feature", wanting("benchmark kvm"), {}, "it wants the system feature kvm"],
    ["one of structured attributes", structured(["kvm"]), {}, "it wants the system feature kvm"],
    ["max-jobs", wanting(""), { jobs: "none" }, "max-jobs is 0, and no remote builder takes it"],
    ["a system", wanting("", "aarch64-linux"), {}, "it is for aarch64-linux"],
    ["no system with a builder", wanting("kvm", "aarch64-linux"), { remote: [arm] }, undefined],
    [
      "a feature that the builder lacks",
      wanting("nixos-test", "aarch64-linux"),
      { remote: [arm] },
      "it wants the system feature nixos-test",
    ],
    [
      "a mandatory feature that is wanted",
      wanting("big-parallel"),
      { remote: [strict] },
      undefined,
    ],
    [
      "a builder that takes only what asks for it",
      wanting(""),
      { jobs: "none", remote: [strict] },
      "max-jobs is 0, and no remote builder takes it",
    ],
  ])("%s", (_, one, builders, why) => {
    expect(hindrance(one, { ...HERE, ...builders })).toBe(why);
  });

  test("what Nix does itself wants no system and no job", () => {
    const fetching = { ...derivation("a", { system: "builtin" }), builder: "builtin:fetchurl" };
    expect(hindrance(fetching, { ...HERE, jobs: "none" })).toBeUndefined();
  });
});

test("builders are read from lines, parts and files within them", async () => {
  const files: Record<string, string> = {
    "/m": "ssh://a aarch64-linux,armv7l-linux /key 4 2 kvm,big-parallel big-parallel -\n@/n\n",
    "/n": "# none\nssh-ng://b\n@/m\n",
  };
  const found = await parseBuilders(
    "ssh://c riscv64-linux # behind\n @ /m ; @/nowhere ;; - x86_64-linux",
    SYSTEM,
    async (file) => files[file],
    2,
  );
  expect(found).toEqual([
    { systems: ["riscv64-linux"], features: [], mandatory: [] },
    {
      systems: ["aarch64-linux", "armv7l-linux"],
      features: ["kvm", "big-parallel"],
      mandatory: ["big-parallel"],
    },
    { systems: [SYSTEM], features: [], mandatory: [] },
  ]);
});
