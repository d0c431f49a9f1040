/** Owns what all rows stand on: one machine, one key, one Nix, and the servers. */

import { execFile, spawn } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { build } from "esbuild";
import { type Machine, startMachine } from "../scripts/machine.ts";
import type { SigningKey } from "../src/domain/signature.ts";
import type { StorePath } from "../src/domain/store-path.ts";
import {
  expression,
  inventedClosure,
  type Member,
  newSigningKey,
  outputMembers,
  writeCache,
} from "./fixture.ts";
import { type Measured, timeProcess } from "./measure.ts";
import type { Site } from "./server.ts";
import { certificate, serveFar } from "./tls.ts";

const run = promisify(execFile);

export interface Served extends AsyncDisposable {
  readonly origins: readonly string[];
}

export interface Cache {
  readonly directory: string;
  readonly root: StorePath;
  readonly members: readonly Member[];
}

/** What the rows are measured over. */
export const NETWORKS = ["TLS + HTTP/2", "plain HTTP"] as const;
export type Network = (typeof NETWORKS)[number];

export interface DerivationCache extends Cache {
  readonly drvPath: StorePath;
}

export class Bench implements AsyncDisposable {
  readonly machine: Machine;
  readonly key: SigningKey;
  /** Of that key, as an input takes it. */
  readonly secret: string;
  readonly nixVersion: string;
  /** Overrides the rows' own number of rounds. */
  readonly rounds: number | undefined;
  private readonly caches = new Map<string, Promise<Cache>>();
  private readonly derived = new Map<number, Promise<DerivationCache>>();
  network: Network = "TLS + HTTP/2";
  private readonly certificate: { readonly key: string; readonly cert: string };
  private homes = 0;
  private jobs = 0;

  private constructor(
    machine: Machine,
    { key, secret }: ReturnType<typeof newSigningKey>,
    nixVersion: string,
    rounds: number | undefined,
    certificateFiles: { readonly key: string; readonly cert: string },
  ) {
    this.certificate = certificateFiles;
    this.machine = machine;
    this.key = key;
    this.secret = secret;
    this.nixVersion = nixVersion;
    this.rounds = rounds;
  }

  static async start(rounds: number | undefined): Promise<Bench> {
    const pair = newSigningKey();
    const { key, secret } = pair;
    const machine = await startMachine({
      configuration: `trusted-public-keys = ${key.publicKey.text}`,
    });
    const version = (await machine.nix("nix", ["--version"])).trim().split(" ").at(-1) ?? "";
    // What runs is what ships: bundled and minified, not read as TypeScript.
    await build({
      // The second is a program of its own beside the first, as in dist/.
      entryPoints: {
        ours: "bench/ours.ts",
        "github-cache-transfer": "src/github-cache-transfer.ts",
      },
      outdir: join(machine.root, "ours"),
      bundle: true,
      splitting: true,
      format: "esm",
      platform: "node",
      target: "node24",
      minify: true,
      banner: {
        js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
      },
      logLevel: "warning",
    });
    await writeFile(join(machine.root, "secret.key"), secret, { mode: 0o600 });
    await writeFile(join(machine.root, "ours", "package.json"), '{"type":"module"}\n');
    return new Bench(machine, pair, version, rounds, await certificate(machine.root));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.machine[Symbol.asyncDispose]();
  }

  folder(name: string): string {
    return join(this.machine.root, name);
  }

  /** A cache of `n` invented paths, of `bytes` bytes each where that is said; made once. */
  closure(n: number, what: "NARs too" | "narinfos only", bytes?: number): Promise<Cache> {
    const name = `closure-${n}-${bytes ?? (what === "NARs too" ? "full" : "narinfos")}`;
    let cache = this.caches.get(name);
    if (!cache) {
      cache = (async () => {
        const { storeDir } = this.machine;
        const members = inventedClosure(n, storeDir);
        writeCache(this.folder(name), storeDir, members, this.key, what, bytes);
        return { directory: this.folder(name), root: members[0]?.path as StorePath, members };
      })();
      this.caches.set(name, cache);
    }
    return cache;
  }

  /** What every process is given: Nix and ours know the servers' certificate. */
  get environment(): Record<string, string> {
    const { cert } = this.certificate;
    // To Node it is one of its own authorities, as those of delivery networks are.
    return { ...this.machine.environment, NIX_SSL_CERT_FILE: cert, NODE_EXTRA_CA_CERTS: cert };
  }

  /** So many derivations in the store, their outputs in a cache; a copy of that store to go back to. */
  derivations(n = 2_051): Promise<DerivationCache> {
    let made = this.derived.get(n);
    if (!made) {
      made = this.derive(n);
      this.derived.set(n, made);
    }
    return made;
  }

  private async derive(n: number): Promise<DerivationCache> {
    const { machine } = this;
    await machine.forget();
    const file = this.folder(`packages-${n}.nix`);
    await writeFile(file, expression(n));
    const drvPath = (await machine.nix("nix-instantiate", [file])).trim() as StorePath;
    const members = await outputMembers(drvPath, machine.storeDir);
    const directory = this.folder(`derivations-cache-${n}`);
    writeCache(directory, machine.storeDir, members, this.key);
    const template = this.folder(`template-${n}`);
    await mkdir(template);
    await run("cp", ["-a", machine.storeDir, this.folder("var"), template]);
    return { directory, drvPath, root: members[0]?.path as StorePath, members };
  }

  /** The store as it was when the derivations were made: no output in it. */
  async fresh(n = 2_051): Promise<void> {
    await this.derivations(n);
    await this.machine.forget();
    const template = this.folder(`template-${n}`);
    await run("cp", ["-a", join(template, "store"), join(template, "var"), this.machine.root]);
  }

  /** A machine whose Nix and whose client remember no answer. */
  private async forgetAnswers(): Promise<Record<string, string>> {
    const home = this.folder(`home-of-run-${this.homes++}`);
    await mkdir(home);
    return { ...this.environment, HOME: home };
  }

  /** A runner empties it before each job: what a step of every round left there is not the next one's to look through. */
  runnerTemp(which: "of a new job" | "of the last job"): string {
    if (which === "of a new job") this.jobs++;
    return this.folder(`runner-temp-${this.jobs}`);
  }

  /** Nix as users run it, with nothing remembered. */
  async nix(args: readonly string[], program = "nix"): Promise<Measured> {
    const environment = await this.forgetAnswers();
    return timeProcess({ command: program, args, environment, cwd: this.machine.root });
  }

  /** A task of bench/ours.ts, as a process of its own; `processor`: its milliseconds of processor time. */
  async ours(
    task: string,
    request: unknown,
    more: Readonly<Record<string, string>> = {},
  ): Promise<Measured & { readonly processor: number }> {
    const environment = { ...(await this.forgetAnswers()), ...more };
    const args = [join(this.machine.root, "ours", "ours.js"), task, JSON.stringify(request)];
    const command = process.execPath;
    const { root } = this.machine;
    const measured = await timeProcess({ command, args, environment, cwd: root });
    const [stdout = "", processor] = measured.stdout.split("processor ");
    return { ...measured, stdout, processor: Number(processor) };
  }

  /** Servers for these folders, over the network that is measured. */
  serve(sites: readonly Site[]): Promise<Served> {
    return this.network === "plain HTTP" ? serveNear(sites) : serveFar(sites, this.certificate);
  }

  /** An empty cache to push to, below a folder that is served. */
  async emptyCache(parent: string, name: string): Promise<void> {
    const directory = join(parent, name);
    await mkdir(directory, { recursive: true });
    await writeFile(
      join(directory, "nix-cache-info"),
      `StoreDir: ${this.machine.storeDir}\nWantMassQuery: 1\nPriority: 40\n`,
    );
  }

  async remove(folder: string): Promise<void> {
    await rm(folder, { recursive: true, force: true });
  }
}

/** All in one process of their own, with a delay before each answer. */
async function serveNear(sites: readonly Site[]): Promise<Served> {
  const child = spawn(process.execPath, [resolve("bench/server.ts"), JSON.stringify(sites)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const [line] = await new Promise<string[]>((done, fail) => {
    createInterface(child.stdout).once("line", (text: string) => done([text]));
    child.once("exit", () => fail(new Error("the server did not start")));
  });
  const ports = JSON.parse(line ?? "[]") as number[];
  return {
    origins: ports.map((port) => `http://127.0.0.1:${port}`),
    async [Symbol.asyncDispose]() {
      const ended = new Promise((done) => child.once("exit", done));
      child.stdin.end();
      await ended;
    },
  };
}
