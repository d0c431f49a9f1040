/** Owns GitHub's REST API as far as check runs ask it: as strict as the real one on tokens and bodies. */

import { HttpError, json, type LoopbackServer, listen, type Outcome, readJson } from "./http.ts";

export interface CheckRunThere {
  readonly id: number;
  name: string;
  head_sha: string;
  status: string;
  conclusion: string;
  details_url: string;
  output: { readonly title: string; readonly summary: string };
}

export interface GithubChecks extends LoopbackServer {
  readonly runs: Map<number, CheckRunThere>;
  /** `METHOD path`, in order of arrival. */
  readonly requests: string[];
  /** Most requests that were under way at a time. */
  readonly most: () => number;
  /** Asked first; an answer is given instead of the right one. */
  instead: ((method: string, path: string) => Outcome | undefined) | undefined;
}

const CONCLUSIONS = new Set(
  "action_required cancelled failure neutral success skipped timed_out".split(" "),
);
const KNOWN = new Set(
  "name head_sha details_url external_id status started_at conclusion completed_at output actions".split(
    " ",
  ),
);

/** `rights`: of each token, what its job's `permissions` say of `checks`. */
export async function githubChecks(
  repository: string,
  rights: Readonly<Record<string, "read" | "write">>,
): Promise<GithubChecks> {
  const runs = new Map<number, CheckRunThere>();
  const requests: string[] = [];
  const state: Pick<GithubChecks, "instead"> = { instead: undefined };
  let underWay = 0;
  let most = 0;
  const answer = async (request: Parameters<Parameters<typeof listen>[0]>[0]): Promise<Outcome> => {
    const { method = "", url: path = "", headers } = request;
    requests.push(`${method} ${path}`);
    const other = state.instead?.(method, path);
    if (other !== undefined) return other;
    const right = rights[/^Bearer (.+)$/.exec(headers.authorization ?? "")?.[1] ?? ""];
    if (right === undefined) return json(401, { message: "Bad credentials", status: "401" });
    const [, of, number] = /^\/repos\/([^/]+\/[^/]+)\/check-runs(?:\/(\d+))?$/.exec(path) ?? [];
    if (of !== repository) return json(404, { message: "Not Found", status: "404" });
    if (right !== "write") {
      return json(403, { message: "Resource not accessible by integration", status: "403" });
    }
    if (!headers["user-agent"]) return json(403, { message: "Request forbidden: no User-Agent" });
    const body = checked(await readJson(request, { limit: 1_000_000 }), method === "POST");
    if (method === "POST" && number === undefined) {
      const made = { ...body, id: 4_000_000_000 + runs.size } as CheckRunThere;
      runs.set(made.id, made);
      return json(201, made);
    }
    const known = runs.get(Number(number));
    if (method !== "PATCH" || !known) return json(404, { message: "Not Found", status: "404" });
    Object.assign(known, body);
    return json(200, known);
  };
  const server = await listen(async (request) => {
    underWay++;
    most = Math.max(most, underWay);
    try {
      return await answer(request);
    } finally {
      underWay--;
    }
  });
  return {
    ...server,
    runs,
    requests,
    most: () => most,
    get instead() {
      return state.instead;
    },
    set instead(instead) {
      state.instead = instead;
    },
  };
}

/** Throws 422 for what the API's schema does not take. */
function checked(body: unknown, isNew: boolean): Partial<CheckRunThere> {
  const bad = (why: string): never => {
    throw new HttpError(json(422, { message: `Invalid request.\n\n${why}`, status: "422" }));
  };
  if (typeof body !== "object" || body === null) return bad("not an object");
  const fields = body as Record<string, unknown>;
  for (const name of Object.keys(fields)) if (!KNOWN.has(name)) bad(`"${name}" is not permitted`);
  if (isNew && (typeof fields["name"] !== "string" || fields["name"] === "")) {
    bad('"name" wasn\'t supplied.');
  }
  if (isNew && !/^[0-9a-f]{40}$/.test(String(fields["head_sha"]))) bad("No commit found for SHA");
  if (fields["status"] === "completed" && !CONCLUSIONS.has(String(fields["conclusion"]))) {
    bad("conclusion is not included in the list");
  }
  if (!URL.canParse(String(fields["details_url"]))) bad("details_url is no URL");
  const output = fields["output"] as Record<string, unknown> | undefined;
  for (const name of ["title", "summary"]) {
    const text = output?.[name];
    if (typeof text !== "string" || text === "" || text.length > 65_535) bad(`output.${name}`);
  }
  return fields as Partial<CheckRunThere>;
}
