/** Owns what a release asks of GitHub, answer by answer. */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "@jest/globals";
import { newestNix, outdated } from "../scripts/nix-version.ts";
import { changelogEntry, release, requireMain } from "../scripts/release.ts";
import { json, listen, readJson } from "./servers/http.ts";
import { temporaryFolder } from "./support/folder.ts";

interface Said {
  readonly status: number;
  readonly body?: unknown;
}

const LIST = "GET releases?per_page=100&page=1";
const EXISTS = {
  status: 422,
  body: { message: "Validation Failed", errors: [{ code: "already_exists", field: "tag_name" }] },
};
const NO_REFERENCE = { status: 422, body: { message: "Reference does not exist" } };

/** Runs a release against an API that answers so; what was asked, and with which words. */
async function ask(
  answers: Readonly<Record<string, number | Said>>,
  tags: readonly string[] = [],
  tag = "v1.2.3",
  changelog = `# Changelog\n\n## [${tag.slice(1)}] - 2026-12-01\n\n### Fixed\n\n- This.\n`,
) {
  const asked: { readonly what: string; readonly body: unknown }[] = [];
  await using server = await listen(async (request) => {
    const what = `${request.method} ${request.url?.replace("/repos/owner/name/", "")}`;
    const body = request.method === "GET" ? undefined : await readJson(request, { limit: 10_000 });
    asked.push({ what, body });
    if (what === LIST && !(LIST in answers))
      return json(
        200,
        tags.map((one) => ({ tag_name: one })),
      );
    const answer = answers[what] ?? 500;
    return typeof answer === "number" ? json(answer, {}) : json(answer.status, answer.body ?? {});
  });
  await release({
    api: server.origin,
    repository: "owner/name",
    tag,
    commit: "c0ffee",
    token: "secret",
    version: tag.slice(1),
    changelog,
  });
  return { asked: asked.map(({ what }) => what), bodies: asked.map(({ body }) => body) };
}

const MOVE = "PATCH git/refs/tags/v1";

describe("a release", () => {
  test("of a new major version makes its tag", async () => {
    const answers = { "POST releases": 201, [MOVE]: NO_REFERENCE, "POST git/refs": 201 };
    expect((await ask(answers)).asked).toEqual([LIST, "POST releases", MOVE, "POST git/refs"]);
  });

  test("that was made half-way is finished", async () => {
    const { asked } = await ask({ "POST releases": EXISTS, [MOVE]: 200 }, ["v1.2.3"]);
    expect(asked).toEqual([LIST, "POST releases", MOVE]);
  });

  test.each([
    ["v1.3.0", ["v1.2.0", "v1.1.0"], "true", "moves"],
    ["v1.10.0", ["v1.9.3"], "true", "moves"],
    ["v1.0.1", ["v1.2.0", "v1.0.0"], "false", "stays"],
    ["v1.2.0", ["v1.2.0", "v1.2.1"], "false", "stays"],
    ["v1.2.4", ["v2.0.0", "v1.2.3"], "false", "moves"],
    ["v2.0.0", ["v1.9.9"], "true", "moves"],
  ])("%s after %j: latest is %s, the major tag %s", async (tag, tags, latest, how) => {
    const move = MOVE.replace("v1", tag.slice(0, 2));
    const { asked, bodies } = await ask({ "POST releases": 201, [move]: 200 }, tags, tag);
    expect(asked).toEqual([LIST, "POST releases", ...(how === "moves" ? [move] : [])]);
    expect(bodies[1]).toMatchObject({ make_latest: latest });
    // GitHub refuses what does not follow.
    if (how === "moves") expect(bodies[2]).toEqual({ sha: "c0ffee", force: false });
  });

  test("sees all pages of releases, and no draft or preview for one", async () => {
    const many = Array.from({ length: 99 }, (_, n) => ({ tag_name: `v0.0.${n}` }));
    const first = [...many, { tag_name: "v1.9.0", draft: true }];
    const second = [{ tag_name: "v1.8.0", prerelease: true }, { tag_name: "nightly" }];
    const { asked } = await ask({
      [LIST]: { status: 200, body: first },
      "GET releases?per_page=100&page=2": { status: 200, body: second },
      "POST releases": 201,
      [MOVE]: 200,
    });
    expect(asked.at(-1)).toBe(MOVE);
  });

  test.each<[Record<string, number | Said>, string]>([
    [{ "POST releases": 403 }, "release v1.2.3: GitHub answered 403"],
    [{ "POST releases": 422 }, "release v1.2.3: GitHub answered 422"],
    [
      { "POST releases": { status: 422, body: { message: "target_commitish is invalid" } } },
      "422 Unprocessable Entity: target_commitish is invalid",
    ],
    [{ "POST releases": 201, [MOVE]: 403 }, "move v1: GitHub answered 403"],
    [
      {
        "POST releases": 201,
        [MOVE]: { status: 422, body: { message: "Update is not a fast forward" } },
      },
      "move v1: GitHub answered 422 Unprocessable Entity: Update is not a fast forward",
    ],
    [{ "POST releases": 201, [MOVE]: 404, "POST git/refs": 422 }, "make v1: GitHub answered 422"],
    [{ [LIST]: 500 }, "list the releases: GitHub answered 500"],
    [{ [LIST]: { status: 200, body: {} } }, "list the releases: GitHub gave no list"],
  ])("says which step GitHub refused: %j", async (answers, message) => {
    await expect(ask(answers)).rejects.toThrow(message);
  });

  test("is not made where the changelog has nothing of it: GitHub is not asked", async () => {
    const changelog = "## [Unreleased]\n\n- This.\n";
    await expect(ask({}, [], "v1.2.3", changelog)).rejects.toThrow(
      'no section "## [1.2.3] - YYYY-MM-DD"',
    );
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

test("only commits of main are released", async () => {
  await using folder = await temporaryFolder();
  const git = (...args: string[]) =>
    execFileSync(
      "git",
      ["-C", folder.path, "-c", "user.name=t", "-c", "user.email=t@example.org", ...args],
      { encoding: "utf8" },
    ).trim();
  git("init", "-q", "-b", "main");
  git("commit", "-q", "--allow-empty", "-m", "one");
  const old = git("rev-parse", "HEAD");
  git("commit", "-q", "--allow-empty", "-m", "two");
  expect(() => requireMain(folder.path, old)).not.toThrow();
  expect(() => requireMain(folder.path, git("rev-parse", "HEAD"))).not.toThrow();
  git("checkout", "-q", "-b", "side", old);
  git("commit", "-q", "--allow-empty", "-m", "three");
  const side = git("rev-parse", "HEAD");
  expect(() => requireMain(folder.path, side)).toThrow(`${side} is no commit of main`);
  git("branch", "-q", "-D", "main");
  expect(() => requireMain(folder.path, side)).toThrow("fetch-depth: 0");
});

describe("the Nix that install-nix offers", () => {
  test("is compared with the newest of Nix's tags, whatever their order", async () => {
    const names = ["2.9.9", "2.35.2", "2.34.8", "2.36.0-rc1", "latest", "3.0"];
    await using server = await listen(async () =>
      json(
        200,
        names.map((name) => ({ name })),
      ),
    );
    expect(await newestNix(server.origin)).toBe("2.35.2");
    expect(outdated("2.35.2", "2.35.2")).toBeUndefined();
    expect(outdated("2.36.0", "2.35.2")).toBeUndefined();
    expect(outdated("2.35.2", "2.35.10")).toContain("Nix 2.35.10 is out");
  });

  test("is not said to be the newest where nobody can tell", async () => {
    await using empty = await listen(async () => json(200, []));
    await expect(newestNix(empty.origin)).rejects.toThrow("there is none");
    await using down = await listen(async () => json(503, {}));
    await expect(newestNix(down.origin)).rejects.toThrow("GitHub answered 503");
  });
});
