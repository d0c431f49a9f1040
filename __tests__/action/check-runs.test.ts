import { describe, expect, test } from "@jest/globals";
import { whyOf } from "../../src/action/check-runs.ts";
import type { Finding } from "../../src/domain/finding.ts";

const finding = (message: string, names?: readonly string[]): Finding => ({
  kind: "eval",
  level: "error",
  message,
  ...(names ? { names } : {}),
});

describe("why a target has the check run that it has", () => {
  test.each([
    ".#web-tests does not evaluate: no",
    ".#web.server does not evaluate: no",
    ".#web^dev does not evaluate: no",
    "./sub.#web does not evaluate: no",
    "path:.#web does not evaluate: no",
  ])("is not that of another one: %s", (message) => {
    expect(whyOf(".#web", [finding(message)])).toEqual([]);
  });

  test.each([
    ".#web does not evaluate: no",
    "2 targets skipped: .#web-tests, .#web",
    "skipped: .#web.",
    "Nix says of '.#web': no",
  ])("is told where its whole name stands: %s", (message) => {
    expect(whyOf(".#web", [finding(message)]).join()).toContain(message);
  });

  test("is told where it is one of those that it befell, and the sentence names the first of them", () => {
    const one = finding(".#first and 1 more target do not evaluate: no", [".#first", ".#web"]);
    expect(whyOf(".#web", [one]).join()).toContain("do not evaluate");
  });
});
