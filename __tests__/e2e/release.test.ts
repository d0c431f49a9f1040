/** Owns the proof that a pushed tag becomes a release: dist/ compared, attested, and the major tag moved. */

import { appendFile, cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { describe, expect, test } from "@jest/globals";
import { json, listen, readJson } from "../servers/http.ts";
import { ACT, type Site, startSite } from "./act.ts";

const withAct = ACT === undefined ? describe.skip : describe;
const TOKEN = "ghs_of-this-run-alone";

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
  readonly authorization: string | undefined;
}

/** GitHub's REST API as far as a release asks it; `v0` exists or not. */
async function api(major: "exists" | "absent") {
  const asked: Asked[] = [];
  const server = await listen(async (request) => {
    const { method = "", url = "" } = request;
    const { authorization } = request.headers;
    asked.push({
      method,
      path: url,
      body: method === "GET" ? undefined : await readJson(request, { limit: 10_000 }),
      authorization,
    });
    if (method === "GET") return json(200, []);
    if (method === "PATCH" && major === "absent") {
      return json(422, { message: "Reference does not exist" });
    }
    return json(method === "POST" ? 201 : 200, {});
  });
  return { asked, server };
}

/** What the tag's checkout holds: all that the sources and the build need. */
async function ourselves(): Promise<Site> {
  const site = await startSite();
  const names = ["action.yml", "dist", ".github", "examples", "scripts", "src", "tsconfig.json"];
  for (const name of [...names, "package.json", "package-lock.json", "CHANGELOG.md"]) {
    await cp(name, join(site.repository, name), { recursive: true });
  }
  await site.commit({ ".gitignore": "node_modules/\n" });
  // In place of the registry: `npm ci` brings the packages that are here, the rest is only written down.
  const programs = join(site.machine.root, "programs");
  await mkdir(programs);
  const npm = `#!/bin/sh
if [ "$1" = ci ]; then exec cp -al "${resolve("node_modules")}" .; fi
echo "npm $*"
`;
  await writeFile(join(programs, "npm"), npm, { mode: 0o755 });
  return site;
}

const { version } = JSON.parse(await readFile("package.json", "utf8")) as { version: string };
const MAJOR = `v${version.slice(0, version.indexOf("."))}`;

function tagged(site: Site, tag: string, origin: string, publishing?: "true") {
  return site.run({
    workflow: ".github/workflows/release.yml",
    eventName: "push",
    event: {
      ref: `refs/tags/${tag}`,
      repository: { full_name: "octo-org/preflight", default_branch: "main" },
    },
    secrets: { GITHUB_TOKEN: TOKEN },
    environment: { GITHUB_API_URL: origin },
    programs: join(site.machine.root, "programs"),
    ...(publishing ? { variables: { NPM_PUBLISH: publishing } } : {}),
  });
}

const failures = (run: Awaited<ReturnType<typeof tagged>>) =>
  run.steps.filter(({ result }) => result === "failure").map(({ job, step }) => `${job}: ${step}`);

withAct("a release", () => {
  test("is made of a tag whose dist/ is the sources', attested file by file, and the major tag moves", async () => {
    const { asked, server } = await api("exists");
    await using _ = server;
    await using site = await ourselves();
    const commit = await site.machine.nix("git", ["rev-parse", "HEAD"], site.repository);
    const run = await tagged(site, `v${version}`, server.origin);
    expect([failures(run), run.exitCode, run.exitCode === 0 ? "" : run.log]).toEqual([[], 0, ""]);
    expect(run.log).toContain("dist/ is what src/ gives");
    expect(run.log).toMatch(/[0-9a-f]{64} {2}dist\/main\.js/);
    expect(run.log).toMatch(/[0-9a-f]{64} {2}action\.yml/);
    expect(run.log).not.toContain(TOKEN);
    expect(run.log).not.toContain("npm publish");
    expect(asked.map(({ method, path }) => `${method} ${path}`)).toEqual([
      expect.stringMatching(/^GET \/repos\/[^/]+\/[^/]+\/releases\?per_page=100&page=1$/),
      expect.stringMatching(/^POST \/repos\/[^/]+\/[^/]+\/releases$/),
      expect.stringMatching(new RegExp(`^PATCH /repos/[^/]+/[^/]+/git/refs/tags/${MAJOR}$`)),
    ]);
    expect(asked.map(({ body }) => body)).toMatchObject([
      undefined,
      { tag_name: `v${version}`, make_latest: "true" },
      { sha: commit.trim(), force: false },
    ]);
    expect(new Set(asked.map(({ authorization }) => authorization))).toEqual(
      new Set([`Bearer ${TOKEN}`]),
    );
  });

  test("is not made where dist/ is another than the sources': nothing is asked of GitHub", async () => {
    const { asked, server } = await api("exists");
    await using _ = server;
    await using site = await ourselves();
    await appendFile(join(site.repository, "dist", "main.js"), "\n// by hand\n");
    await site.commit();
    const run = await tagged(site, `v${version}`, server.origin);
    expect(run.exitCode).toBe(1);
    expect(run.log).toContain("dist/ is not what src/ gives (main.js)");
    expect(asked).toEqual([]);
  });

  test("is not made of a tag that package.json contradicts", async () => {
    const { asked, server } = await api("exists");
    await using _ = server;
    await using site = await ourselves();
    const run = await tagged(site, "v77.0.0", server.origin);
    expect(run.exitCode).toBe(1);
    expect(run.log).toContain(`the tag is v77.0.0 and package.json says ${version}`);
    expect(asked).toEqual([]);
  });

  test("goes to npm where the owner has set that up", async () => {
    const { server } = await api("exists");
    await using _ = server;
    await using site = await ourselves();
    const run = await tagged(site, `v${version}`, server.origin, "true");
    expect([failures(run), run.exitCode]).toEqual([[], 0]);
    expect(run.log).toContain("npm publish --access public");
  });
});
