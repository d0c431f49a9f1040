/** Owns what a release asks of GitHub, answer by answer. */

import { readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import { changelogEntry, release } from "../scripts/release.ts";
import { json, listen, readJson } from "./servers/http.ts";

/** Runs a release against an API that answers so; what was asked. */
async function ask(
  answers: Readonly<Record<string, number>>,
  changelog = "# Changelog\n\n## [1.2.3] - 2026-12-01\n\n### Fixed\n\n- This.\n",
): Promise<string[]> {
  const asked: string[] = [];
  await using server = await listen(async (request) => {
    const what = `${request.method} ${request.url?.replace("/repos/owner/name/", "")}`;
    asked.push(`${what} ${JSON.stringify(await readJson(request, { limit: 10_000 }))}`);
    return json(answers[what] ?? 500, {});
  });
  await release({
    api: server.origin,
    repository: "owner/name",
    tag: "v1.2.3",
    commit: "c0ffee",
    token: "secret",
    version: "1.2.3",
    changelog,
  });
  return asked.map((one) => one.slice(0, one.indexOf(" {")));
}

const MOVE = "PATCH git/refs/tags/v1";

describe("a release", () => {
  test("of a new major version makes its tag", async () => {
    const answers = { "POST releases": 201, [MOVE]: 422, "POST git/refs": 201 };
    expect(await ask(answers)).toEqual(["POST releases", MOVE, "POST git/refs"]);
  });

  test("that was made half-way is finished", async () => {
    expect(await ask({ "POST releases": 422, [MOVE]: 200 })).toEqual(["POST releases", MOVE]);
  });

  test.each([
    [{ "POST releases": 403 }, "release v1.2.3: GitHub answered 403"],
    [{ "POST releases": 201, [MOVE]: 403 }, "move v1: GitHub answered 403"],
    [{ "POST releases": 201, [MOVE]: 404, "POST git/refs": 422 }, "make v1: GitHub answered 422"],
  ])("says which step GitHub refused: %j", async (answers, message) => {
    await expect(ask(answers)).rejects.toThrow(message);
  });

  test("is not made where the changelog has nothing of it: GitHub is not asked", async () => {
    const changelog = "## [Unreleased]\n\n- This.\n";
    await expect(ask({}, changelog)).rejects.toThrow('no section "## [1.2.3] - YYYY-MM-DD"');
  });
});

describe("the changelog's entry", () => {
  const log = `# Changelog

## [Unreleased]

## [1.1.0] - 2026-12-02

### Added

- That.

## [1.0.0]

- This.

## [0.9.0] - 2026-01-01

[1.1.0]: https://example.org/v1.1.0
`;

  test("is what stands between its heading and the next one", () => {
    expect(changelogEntry(log, "1.1.0")).toBe("### Added\n\n- That.");
  });

  test.each([
    ["1.2.0", /no section "## \[1\.2\.0\]/],
    ["1.0.0", /"## \[1\.0\.0\]" is to be "## \[1\.0\.0\] - YYYY-MM-DD"/],
    ["0.9.0", /says nothing of 0\.9\.0/],
  ])("of %s is refused", (version, message) => {
    expect(() => changelogEntry(log, version)).toThrow(message);
  });
});

describe("our own changelog", () => {
  const text = readFileSync("CHANGELOG.md", "utf8");

  test("has an entry for the version in package.json", () => {
    const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
    expect(changelogEntry(text, version)).toMatch(/^### |\n### /);
  });

  test("is in the form of Keep a Changelog", () => {
    const headings = [...text.matchAll(/^##+ (.*)$/gm)].map(([, heading = ""]) => heading);
    expect(headings[0]).toBe("[Unreleased]");
    const odd = headings
      .slice(1)
      .filter(
        (heading) =>
          !/^(Added|Changed|Deprecated|Removed|Fixed|Security)$/.test(heading) &&
          !/^\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}$/.test(heading),
      );
    expect(odd).toEqual([]);
  });
});
