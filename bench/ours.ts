/** Owns our side of the bench: one task of the engine a process, over the real caches and the real Nix. */

import { mkdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openAt } from "../__tests__/support/open-cache.ts";
import { githubRecords } from "../src/action/github-records.ts";
import { DEFAULTS, parseInputs } from "../src/action/inputs.ts";
import { PATIENCE } from "../src/caches/guard.ts";
import { sealed } from "../src/caches/records.ts";
import { compose } from "../src/compose.ts";
import { can } from "../src/domain/cache.ts";
import { mapLimited } from "../src/domain/limit.ts";
import type { Log } from "../src/domain/ports.ts";
import { parsePublicKey } from "../src/domain/signature.ts";
import type { StorePath } from "../src/domain/store-path.ts";
import { push } from "../src/engine/apply/push.ts";
import { FactFinder } from "../src/engine/survey/facts.ts";
import { Lookup } from "../src/engine/survey/lookup.ts";
import { processEnvironment } from "../src/host/environment.ts";
import { HttpClient } from "../src/host/http-client.ts";
import { CarriedEvaluation } from "../src/nix/carried-evaluation.ts";
import { type NixCommand, nixCommand } from "../src/nix/command.ts";
import { fingerprint } from "../src/nix/eval-cache.ts";

const signal = new AbortController().signal;
const quiet: Log = { group() {}, endGroup() {}, info() {}, debug() {} };
/** Only why something failed, which is shown where the task does. */
const reasons: Log = { ...quiet, debug: (text) => console.error(text) };

interface LookupRequest {
  readonly url: string;
  readonly publicKey: string;
  readonly storeDir: string;
  readonly root: StorePath;
}

/** Asks for a closure: nothing but the engine's lookup through a cache. */
async function lookup({ url, publicKey, storeDir, root }: LookupRequest): Promise<string> {
  const http = new HttpClient(processEnvironment());
  const key = parsePublicKey(publicKey);
  const cache = openAt(url, { http, role: "substituter", storeDir, publicKeys: key ? [key] : [] });
  const facts = new FactFinder(new Lookup([{ cache, role: "upstream" }], signal), () => {
    throw new Error("no derivations here");
  });
  const availability = await facts.path(root);
  http.close();
  return `${availability} ${facts.answers.size}`;
}

interface ClientRequest {
  readonly url: string;
  /** With a name a line. */
  readonly names: string;
}

/** Asks for every file by name: nothing but the client of HTTP. */
async function client({ url, names }: ClientRequest): Promise<string> {
  const http = new HttpClient(processEnvironment());
  const all = (await readFile(names, "utf8")).trim().split("\n");
  const answers = await mapLimited(all, PATIENCE.parallel, async (name) => {
    const where = new URL(name, `${url}/`);
    return (await http.request({ method: "GET", url: where, signal, deadline: 15_000 })).status;
  });
  http.close();
  return `${answers.filter((status) => status === 200).length}`;
}

interface RunRequest {
  readonly inputs: Readonly<Record<string, string>>;
  readonly roots?: readonly StorePath[];
  /** A file with the secret key: it has no place in an argument list. */
  readonly keyFile?: string;
}

async function composed({ inputs, keyFile }: RunRequest) {
  const signingKey = keyFile ? await readFile(keyFile, "utf8") : "";
  const { job, secrets } = parseInputs({ ...DEFAULTS, ...inputs, "signing-key": signingKey });
  const environment = processEnvironment();
  const workspace = process.cwd();
  const platform = process.platform;
  const folder = join(tmpdir(), "nix-cache-preflight-bench");
  const request = {
    job,
    secrets,
    environment,
    workspace,
    folder,
    code: "ours" as const,
    needs: "store and checkout" as const,
    platform,
    log: quiet,
    signal,
  };
  return { job, made: await compose(request) };
}

/** Pushes the closure of the roots to our own cache. */
async function pushAll(request: RunRequest): Promise<string> {
  const { job, made } = await composed(request);
  await using composing = made;
  const { own, nix } = composing.world;
  if (!nix || !can(own, "push")) throw new Error("this cache cannot be pushed to");
  await own.describe(signal);
  const asking = new Lookup([{ cache: own, role: "own" }], signal);
  const done = await push(job, own, asking, nix, request.roots ?? [], () => undefined, signal);
  for (const error of done.failed.values()) throw error;
  return `pushed ${done.pushed.length}`;
}

interface EvaluationRequest {
  readonly key: string;
  readonly version: string;
  readonly storeDir: string;
  readonly workspace: string;
}

/** Takes over what an earlier job evaluated: from GitHub's cache into this store and this home. */
async function evaluation(request: EvaluationRequest): Promise<string> {
  const { key, version, storeDir, workspace } = request;
  const environment = processEnvironment();
  const folder = join(tmpdir(), "nix-cache-preflight-bench");
  await mkdir(folder, { recursive: true });
  const store = githubRecords({ environment, folder, log: reasons }, []);
  if (!store) throw new Error("this job has no cache of GitHub's");
  const command = nixCommand(environment, workspace);
  const spent: string[] = [];
  const timed = async <T>(what: string, work: Promise<T>): Promise<T> => {
    const begun = performance.now();
    const value = await work;
    spent.push(`${what} ${(performance.now() - begun).toFixed(0)} ms`);
    return value;
  };
  const nix: NixCommand = {
    ...command,
    run: (program, args, options) =>
      timed(`${program} ${args[0]}`, command.run(program, args, options)),
  };
  const inner = sealed(store, undefined);
  const carried = new CarriedEvaluation(
    {
      ...{ nix, version, storeDir, realStoreDir: storeDir, environment, log: reasons },
      ...{
        folder,
        inputs: new Set<string>(),
        found: "believed",
        takesAway: "nothing",
      },
      store: { ...inner, read: (name, end) => timed("restore", inner.read(name, end)) },
      key: async () => {
        const name = await timed("nix flake metadata", fingerprint(nix, version, signal));
        return name === undefined ? undefined : { key, fingerprint: name };
      },
    },
    signal,
  );
  const kept = await carried.kept();
  if (!kept) throw new Error("no evaluation was taken over");
  return `of it ${spent.join(", ")}`;
}

const [task, text = "{}"] = process.argv.slice(2);
const request: unknown = JSON.parse(text);
const tasks: Readonly<Record<string, () => Promise<string>>> = {
  lookup: () => lookup(request as LookupRequest),
  client: () => client(request as ClientRequest),
  evaluation: () => evaluation(request as EvaluationRequest),
  push: () => pushAll(request as RunRequest),
};
const chosen = tasks[task ?? ""];
if (!chosen) throw new Error(`no task ${task}`);
console.log(await chosen());
const { user, system } = process.cpuUsage();
console.log(`processor ${(user + system) / 1000}`);
