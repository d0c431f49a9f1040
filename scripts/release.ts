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
}

const DEADLINE = 30_000;

/**
 * Run again after a failure, it goes on from there. Rejects where tag and version differ, or GitHub
 * refuses. The major tag gets no release of its own: a released tag may become immutable.
 */
export async function release(request: ReleaseRequest): Promise<void> {
  const { tag, version, commit } = request;
  if (tag !== `v${version}`) {
    throw new Error(`the tag is ${tag} and package.json says ${version}: tag v${version}`);
  }
  const made = await ask(request, "POST", "releases", {
    tag_name: tag,
    target_commitish: commit,
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
  const file = join(import.meta.dirname, "..", "package.json");
  const { version } = JSON.parse(await readFile(file, "utf8")) as { version: string };
  await release({
    api: given("GITHUB_API_URL"),
    repository: given("GITHUB_REPOSITORY"),
    tag: given("GITHUB_REF_NAME"),
    commit: given("GITHUB_SHA"),
    token: given("GITHUB_TOKEN"),
    version,
  });
}
