/** Owns what a pushed tag sets off: the release of that tag, and the major tag (`v1`) moved to it. */

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
  readonly changelog: string;
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
 * changelog has nothing of the version, or GitHub refuses. The major tag gets no release of its own: a released tag may become immutable.
 */
export async function release(request: ReleaseRequest): Promise<void> {
  const { tag, version, commit } = request;
  if (tag !== `v${version}`) {
    throw new Error(`the tag is ${tag} and package.json says ${version}: tag v${version}`);
  }
  const body = changelogEntry(request.changelog, version);
  const made = await ask(request, "POST", "releases", {
    tag_name: tag,
    target_commitish: commit,
    body,
    generate_release_notes: true,
  });
  // 422: an earlier attempt has made it.
  expect(made, [201, 422], `release ${tag}`);
  const major = tag.slice(0, tag.indexOf("."));
  const moved = await ask(request, "PATCH", `git/refs/tags/${major}`, { sha: commit, force: true });
  if (moved.status === 200) return;
  // 422 "Reference does not exist": the first release of this major version.
  expect(moved, [404, 422], `move ${major}`);
  const first = await ask(request, "POST", "git/refs", { ref: `refs/tags/${major}`, sha: commit });
  expect(first, [201], `make ${major}`);
}

/** The shapes are those of GitHub's REST API, version 2022-11-28. */
function ask(
  { api, repository, token }: ReleaseRequest,
  method: string,
  path: string,
  body: unknown,
): Promise<Response> {
  return fetch(`${api}/repos/${repository}/${path}`, {
    method,
    headers: {
      accept: "application/vnd.github+json",
      authorization: `Bearer ${token}`,
      "content-type": "application/json",
      "x-github-api-version": "2022-11-28",
    },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(DEADLINE),
  });
}

function expect(response: Response, legal: readonly number[], what: string): void {
  if (!legal.includes(response.status)) {
    throw new Error(`${what}: GitHub answered ${response.status} ${response.statusText}`);
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
