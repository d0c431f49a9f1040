/** Owns the proof that other people's workflow files cost no more than their size, whatever they hold. */

import { expect, jest, test } from "@jest/globals";
import { register } from "../../src/caches/register.ts";
import { fileChecks } from "../../src/engine/audit/audit.ts";
import { projectFacts } from "../support/audited.ts";

// What multiplies would take hours, or all memory: this is no matter of a busy machine.
jest.setTimeout(300_000);

const ON = "on: [push, pull_request, pull_request_target, issue_comment, schedule, merge_group]\n";
const expression = (text: string) => ["$", "{{ ", text, " }}"].join("");
const job = (steps: string, more = "") =>
  `${ON}jobs:\n  a:\n    runs-on: ubuntu-latest\n${more}    steps:\n${steps}`;
const jobs = (count: number, one: (at: number) => string) =>
  `${ON}jobs:\n${Array.from({ length: count }, (_, at) => `  j${at}:\n${one(at)}`).join("")}`;
const STEP = "    runs-on: ubuntu-latest\n    steps: [{ run: nix build }]\n";
const HEAD = `      - uses: actions/checkout@v4\n        with: { ref: "${expression("github.event.pull_request.head.sha")}" }\n`;
const text = (part: string, bytes = 300_000) => part.repeat(bytes / part.length);

const FILES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "as many steps as may be": { "a.yml": job("      - run: nix build\n".repeat(1_999)) },
  "thousands of secrets that every step sees": {
    "a.yml": `${ON}env:\n${Array.from({ length: 5_000 }, (_, at) => `  A${at}: "${expression("secrets.X")}"\n`).join("")}jobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n${`      - run: nix build $A1\n        env: { B: "${expression("env.A1")}" }\n`.repeat(1_999)}`,
  },
  "jobs that wait for all before": {
    "a.yml": jobs(
      250,
      (at) =>
        `    needs: [${Array.from({ length: at }, (_, n) => `j${n}`).join(", ")}]\n    environment: e\n${STEP}`,
    ),
  },
  "jobs that wait for each other, backwards": {
    "a.yml": jobs(5_000, (at) => `    needs: j${at + 1}\n    runs-on: ubuntu-latest\n`),
  },
  "jobs that wait in a circle": {
    "a.yml": jobs(9, (at) => `    needs: j${(at + 1) % 9}\n    environment: e\n${STEP}`),
  },
  "calls of calls of calls": Object.fromEntries(
    Array.from({ length: 11 }, (_, file) => [
      `w${file}.yml`,
      jobs(
        20,
        () =>
          `    uses: ./.github/workflows/w${file + 1}.yml\n    secrets: inherit\n    with: { x: "${expression("inputs.x")}${expression("inputs.x")}" }\n`,
      ),
    ]),
  ),
  "names that stand for names many times over": {
    "a.yml": `${ON}env: { A: "${text(expression("env.A"), 60_000)}x" }\njobs:\n  a:\n    env: { A: "${text(expression("env.A"), 60_000)}" }\n    runs-on: ubuntu-latest\n    steps:\n      - env: { A: "${text(expression("env.A"), 60_000)}" }\n        run: echo ${expression("env.A")}\n`,
  },
  "a condition of half a megabyte": {
    "a.yml": job("      - run: nix build\n", `    if: ${text("github.ref == 1 || ")}true\n`),
  },
  "a condition of brackets": {
    "a.yml": job("      - run: nix build\n", `    if: "${"(".repeat(20_000)}"\n`),
  },
  "a matrix of thousands, squared": {
    "a.yml": `${ON}jobs:\n  a:\n    strategy: { matrix: { os: [${text("ubuntu-20.04, ", 200_000)}x] } }\n    runs-on: "${expression("matrix.os")}-${expression("matrix.os")}"\n    steps: [{ run: nix build }]\n`,
  },
  ...Object.fromEntries(
    [
      "nix build $A ",
      "nix copy ",
      "curl https://x | sh; ",
      "sh -c 'sh -c ",
      "nix develop -c ",
      "{ a; } >> nix.conf; ",
      "cat << E; ",
      "$(",
      "`",
      "git fetch pull/",
      "x || true; ",
    ].map((part) => [
      `a script of ${JSON.stringify(part)}`,
      { "a.yml": job(`${HEAD}      - env: { A: x }\n        run: >-\n          ${text(part)}\n`) },
    ]),
  ),
};

test.each(Object.keys(FILES))("%s comes to an end", async (name) => {
  const files = Object.entries(FILES[name] ?? {});
  const facts = await projectFacts(
    Object.fromEntries(files.map(([file, content]) => [`.github/workflows/${file}`, content])),
  );
  expect(facts.workflows).toHaveLength(files.length);
  for (const { code } of fileChecks(facts, register)) expect(code).toMatch(/^NCP-6\d\d$/);
});
