/** Owns what a release asks of GitHub, answer by answer. */

import { describe, expect, test } from "@jest/globals";
import { release } from "../scripts/release.ts";
import { json, listen, readJson } from "./servers/http.ts";

/** Runs a release against an API that answers so; what was asked. */
async function ask(answers: Readonly<Record<string, number>>): Promise<string[]> {
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
});
