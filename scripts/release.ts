/** Owns what a pushed tag sets off: the release of that tag, and the major tag (`v1`) moved to it. */

import { spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

export interface ReleaseRequest {
  /** `https://api.github.com`, without a slash at its end. */
  readonly api: string;
  /** `owner/name`. */
  readonly repository: string;
  /** `v1.2.3`. */
  readonly tag: string;
  /** The commit that the tag names. */
  readonly commit: string;
  readonly token: string;
  /** The version in package.json. */
  readonly version: string;
  /** The text of CHANGELOG.md. */
  readonly changelog?: string;
}

const DEADLINE = 30_000;

/** What the changelog says of a version; rejects where it says nothing, or gives it no day. */
export function changelogEntry(changelog: string, version: string): string {
  const sections = changelog.split(/^## /m).slice(1);
  const section = sections.find((one) => one.startsWith(`[${version}]`));
  if (section === undefined) {
    throw new Error(`CHANGELOG.md has no section "## [${version}] - YYYY-MM-DD": write one`);
  }
  const [heading = "", ...lines] = section.split("\n");
  if (!/^\[[^\]]+\] - \d{4}-\d{2}-\d{2}$/.test(heading)) {
    throw new Error(`CHANGELOG.md: "## ${heading}" is to be "## [${version}] - YYYY-MM-DD"`);
  }
  // The links' addresses stand at the end of the last section.
  const entry = lines
    .filter((line) => !/^\[[^\]]+\]: /.test(line))
    .join("\n")
    .trim();
  if (entry === "") throw new Error(`CHANGELOG.md says nothing of ${version}`);
  return entry;
}

/**
 * Run again after a failure, it goes on from there. Rejects where tag and version differ, where the
 * changelog has nothing of the version, or GitHub refuses. The major tag gets no release of its own: a
 * released tag may become immutable. It only moves forward: a patch of an older version, or an old run
 * that is run again, leaves it where it is.
 */
export async function release(request: ReleaseRequest): Promise<void> {
  const { tag, version, commit } = request;
  if (tag !== `v${version}`) {
    throw new Error(`the tag is ${tag} and package.json says ${version}: tag v${version}`);
  }
  const { changelog } = request;
  const entry = changelog === undefined ? {} : { body: changelogEntry(changelog, version) };
  const others = (await released(request)).filter((one) => one !== tag);
  const isNewest = others.every((one) => isNewer(tag, one));
  const made = await ask(request, "POST", "releases", {
    tag_name: tag,
    target_commitish: commit,
    ...entry,
    generate_release_notes: true,
    make_latest: isNewest ? "true" : "false",
  });
  // An earlier attempt may have made it; any other 422 is a refusal.
  if (made.status !== 422 || !made.codes.includes("already_exists")) {
    expect(made, [201], `release ${tag}`);
  }
  const major = tag.slice(0, tag.indexOf("."));
  const newer = others.find((one) => one.startsWith(`${major}.`) && isNewer(one, tag));
  if (newer !== undefined) {
    console.log(`${major} stays: ${newer} is newer than ${tag}`);
    return;
  }
  // Without force GitHub itself refuses to move it to a commit that does not follow.
  const moved = await ask(request, "PATCH", `git/refs/tags/${major}`, {
    sha: commit,
    force: false,
  });
  if (moved.status === 200) return;
  if (moved.status !== 422 || !/Reference does not exist/i.test(moved.message)) {
    expect(moved, [404], `move ${major}`);
  }
  // The first release of this major version.
  const first = await ask(request, "POST", "git/refs", { ref: `refs/tags/${major}`, sha: commit });
  expect(first, [201], `make ${major}`);
}

const RELEASES_AT_ONCE = 100;

/** Tags of all releases; drafts and previews are none. */
async function released(request: ReleaseRequest): Promise<string[]> {
  const tags: string[] = [];
  for (let page = 1; ; page++) {
    const path = `releases?per_page=${RELEASES_AT_ONCE}&page=${page}`;
    const answer = await ask(request, "GET", path);
    expect(answer, [200], "list the releases");
    if (!Array.isArray(answer.body)) throw new Error("list the releases: GitHub gave no list");
    const found = answer.body as { tag_name?: unknown; draft?: unknown; prerelease?: unknown }[];
    for (const { tag_name: tag, draft, prerelease } of found) {
      if (draft === true || prerelease === true || typeof tag !== "string") continue;
      if (/^v\d+\.\d+\.\d+$/.test(tag)) tags.push(tag);
    }
    if (found.length < RELEASES_AT_ONCE) return tags;
  }
}

/** `v1.10.0` is newer than `v1.9.3`. */
export function isNewer(one: string, other: string): boolean {
  const numbers = (tag: string) => tag.replace(/^v/, "").split(".").map(Number);
  const [a, b] = [numbers(one), numbers(other)];
  for (const [index, value] of a.entries()) {
    const difference = value - (b[index] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return false;
}

interface Answer {
  readonly status: number;
  readonly statusText: string;
  readonly body: unknown;
  readonly message: string;
  /** Of its `errors`: `already_exists`. */
  readonly codes: readonly string[];
}

/** The shapes are those of GitHub's REST API, version 2022-11-28. */
async function ask(
  { api, repository, token }: ReleaseRequest,
  method: string,
  path: string,
  content?: unknown,
): Promise<Answer> {
  const response = await fetch(`${api}/repos/${repository}/${path}`, {
    method,
    headers: {
      accept: "application/vnd.github+json",
      authorization: `Bearer ${token}`,
      "content-type": "application/json",
      "x-github-api-version": "2022-11-28",
    },
    ...(content === undefined ? {} : { body: JSON.stringify(content) }),
    signal: AbortSignal.timeout(DEADLINE),
  });
  const text = await response.text();
  const body = parsed(text);
  const { message, errors } = (body ?? {}) as { message?: unknown; errors?: unknown };
  const codes = Array.isArray(errors)
    ? errors.flatMap((one) => {
        const { code } = (one ?? {}) as { code?: unknown };
        return typeof code === "string" ? [code] : [];
      })
    : [];
  const { status, statusText } = response;
  return { status, statusText, body, message: typeof message === "string" ? message : "", codes };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function expect(
  { status, statusText, message, codes }: Answer,
  legal: readonly number[],
  what: string,
): void {
  if (legal.includes(status)) return;
  const said = [message, ...codes].filter((one) => one !== "").join(", ");
  throw new Error(`${what}: GitHub answered ${status} ${statusText}${said ? `: ${said}` : ""}`);
}

/**
 * Throws where the commit is none of `main`: a tag may be pushed to any commit, and what was never
 * reviewed is not released. Needs the history (`fetch-depth: 0`).
 */
export function requireMain(directory: string, commit: string): void {
  const git = (...args: string[]) =>
    spawnSync("git", ["-C", directory, ...args], { encoding: "utf8" }).status === 0;
  const main = ["refs/remotes/origin/main", "refs/heads/main"].find((ref) =>
    git("rev-parse", "--verify", "--quiet", ref),
  );
  if (main === undefined) {
    throw new Error("main is not here to compare with: check out with fetch-depth: 0");
  }
  if (!git("merge-base", "--is-ancestor", commit, main)) {
    throw new Error(`${commit} is no commit of main: only those are released`);
  }
}

if (import.meta.main) {
  // biome-ignore lint/style/noProcessEnv: the runner tells it all in the environment
  const environment = process.env;
  const given = (name: string): string => {
    const value = environment[name];
    if (!value) throw new Error(`${name} is not set: this is run by .github/workflows/release.yml`);
    return value;
  };
  const file = (name: string) => readFile(join(import.meta.dirname, "..", name), "utf8");
  const { version } = JSON.parse(await file("package.json")) as { version: string };
  requireMain(join(import.meta.dirname, ".."), given("GITHUB_SHA"));
  await release({
    api: given("GITHUB_API_URL"),
    repository: given("GITHUB_REPOSITORY"),
    tag: given("GITHUB_REF_NAME"),
    commit: given("GITHUB_SHA"),
    token: given("GITHUB_TOKEN"),
    version,
    changelog: await file("CHANGELOG.md"),
  });
}
