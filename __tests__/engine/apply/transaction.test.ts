import { expect, test } from "@jest/globals";
import { can } from "../../../src/domain/cache.ts";
import { UserError } from "../../../src/domain/errors.ts";
import { Transaction } from "../../../src/engine/apply/transaction.ts";
import { Lookup } from "../../../src/engine/survey/lookup.ts";
import { derivation, out } from "../../support/graph.ts";
import { job, memoryCache, memoryNix, world } from "../../support/world.ts";

test("where Nix does not tell what became of a content-addressed target, that one is not pushed and the others are", async () => {
  const { signal } = new AbortController();
  const [floating, plain] = [derivation("floating"), derivation("plain")];
  const cache = memoryCache("own", { verbs: ["push"] });
  if (!can(cache, "push")) throw new Error("it cannot push");
  const nix = {
    ...memoryNix({ store: new Map([[out(plain), []]]) }),
    realisations: async () => {
      throw new UserError("NCP-501", "nix realisation took longer than 120 s");
    },
  };
  const transaction = new Transaction({
    job: job({ mode: "warm", verify: "narinfo" }),
    lookup: new Lookup([{ cache, role: "own" }], signal),
    world: world({ nix, own: cache }),
    nix,
    signal,
  });
  const realised = [{ drvPath: floating.path, outputNames: ["out"] }];
  await transaction.push({ do: "push", cache, roots: { target: "floating", paths: [], realised } });
  await transaction.push({ do: "push", cache, roots: { target: "plain", paths: [out(plain)] } });
  expect(transaction.partlyPushed("failed")).toEqual(["floating"]);
  const verify = (target: string) =>
    ({ do: "verify", cache, roots: { target, paths: [] }, onTrouble: "tell" }) as const;
  expect(["floating", "plain"].map((one) => transaction.passesOver(verify(one)))).toEqual([
    true,
    false,
  ]);
  expect([...transaction.pushed.keys()]).toEqual([out(plain)]);
  expect(transaction.findings.map(({ code, message }) => `${code} ${message}`)).toEqual([
    expect.stringMatching(/^NCP-305 \S+-floating\.drv was not pushed: nix realisation took longer/),
  ]);
});
