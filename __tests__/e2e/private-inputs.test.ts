/** Owns the proof that private inputs are fetched with the job's credentials, and that their lack is told as that. */

import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect, type Server } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { type FileServer, fileServer } from "../servers/files.ts";
import type { Outcome } from "../servers/http.ts";
import { certificateFor } from "../support/certificate.ts";
import { FORK, NIX, type Step, startJob, type TestJob, told } from "./job.ts";

const run = promisify(execFile);
const SECRET = "hunter2-of-the-host";
const BASIC = `Basic ${Buffer.from(`me:${SECRET}`).toString("base64")}`;

const LIBRARY = `{ outputs = _: { make = name: derivation {
  inherit name; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo > $out" ]; }; }; }`;

/** A repository as a web server shows it that knows nothing of git, behind a login. */
async function privateRepository(job: TestJob): Promise<FileServer & { readonly rev: string }> {
  const { machine } = job;
  const work = join(machine.root, "library");
  const site = join(machine.root, "site");
  await mkdir(work);
  await writeFile(join(work, "flake.nix"), LIBRARY);
  const env = {
    ...machine.environment,
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_CONFIG_SYSTEM: "/dev/null",
  };
  const git = async (...args: string[]) =>
    (await run("git", args, { cwd: work, env })).stdout.trim();
  const me = ["-c", "user.name=me", "-c", "user.email=me@example.org"];
  await git("init", "--quiet", "--initial-branch=main");
  await git("add", ".");
  await git(...me, "commit", "--quiet", "-m", "x");
  await git("clone", "--quiet", "--bare", work, join(site, "library.git"));
  await git("--git-dir", join(site, "library.git"), "update-server-info");
  await run("tar", ["-czf", join(site, "library.tar.gz"), "-C", machine.root, "library/flake.nix"]);
  const server = await fileServer(site);
  server.instead = async (url, headers): Promise<Outcome | undefined> => {
    if (headers.authorization !== BASIC) {
      return { status: 401, headers: { "www-authenticate": 'Basic realm="private"' } };
    }
    // Git asks for a program's answer, and takes the file.
    const [path = "", question] = url.split("?");
    return question === undefined
      ? undefined
      : { status: 200, body: await readFile(join(site, path)) };
  };
  return Object.assign(server, { rev: await git("rev-parse", "HEAD") });
}

/** What api.github.com has for whoever brings a token, behind a proxy through which all hosts are this one. */
async function pretendGitHub(archive: Uint8Array) {
  const { key, cert } = certificateFor("api.github.com");
  const asked: string[] = [];
  const api = createTlsServer({ key, cert }, ({ url, headers }, response) => {
    asked.push(`${url} ${headers.authorization}`);
    response.writeHead(headers.authorization ? 200 : 404).end(archive);
  });
  api.on("tlsClientError", () => undefined);
  const proxy = createServer();
  proxy.on("connect", (_, near) => {
    const far = connect(portOf(api), "127.0.0.1", () => {
      near.write("HTTP/1.1 200 Connection established\r\n\r\n");
      far.pipe(near).pipe(far);
    });
    for (const one of [near, far]) one.on("error", () => [near, far].map((end) => end.destroy()));
  });
  for (const one of [api, proxy]) {
    await new Promise<void>((resolve) => one.listen(0, "127.0.0.1", resolve));
  }
  return {
    certificate: cert,
    asked,
    proxy: `http://127.0.0.1:${portOf(proxy)}`,
    async [Symbol.asyncDispose]() {
      for (const one of [api, proxy]) {
        one.closeAllConnections();
        one.close();
      }
    },
  };
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

async function uses(job: TestJob, input: string): Promise<void> {
  await writeFile(
    join(job.workspace, "flake.nix"),
    `{ inputs.library.url = "${input}"; outputs = { library, ... }: { packages.x86_64-linux.default = library.make "made-1"; }; }`,
  );
}

function codes({ annotations }: Step): string[] {
  return annotations.flatMap(({ message }) => message.match(/NCP-\d+/g) ?? []);
}

const CHECK = { mode: "check", cache: "none", targets: "path:.#default", "fail-on": "none" };

describe(`private inputs, on ${NIX}`, () => {
  test("by git come with git's own configuration; without, it is said what is wanting", async () => {
    await using job = await startJob(undefined);
    await using site = await privateRepository(job);
    await uses(job, `git+${site.origin}/library.git?ref=main&rev=${site.rev}`);
    const without = await job.main(CHECK);
    expect(codes(without)).toContain("NCP-137");
    expect(told(without).join("\n")).toContain("could not read Username");
    const environment = {
      ...job.machine.environment,
      GIT_CONFIG_COUNT: "1",
      GIT_CONFIG_KEY_0: `http.${site.origin}/.extraHeader`,
      GIT_CONFIG_VALUE_0: `Authorization: ${BASIC}`,
    };
    const step = await job.main(CHECK, { environment });
    expect(step.outputs["missing"]).toContain("made-1");
    expect(step.raw).not.toContain(BASIC);
  });

  test("by git come by a credential helper that reads a variable, where pass-env names it", async () => {
    await using job = await startJob(undefined);
    await using site = await privateRepository(job);
    await uses(job, `git+${site.origin}/library.git?ref=main&rev=${site.rev}`);
    const environment = {
      ...job.machine.environment,
      LIBRARY_TOKEN: SECRET,
      GIT_CONFIG_COUNT: "1",
      GIT_CONFIG_KEY_0: "credential.helper",
      GIT_CONFIG_VALUE_0: '!f() { echo username=me; echo "password=$LIBRARY_TOKEN"; }; f',
    };
    const named = { ...CHECK, "pass-env": "LIBRARY_TOKEN" };
    expect(codes(await job.main(CHECK, { environment }))).toContain("NCP-137");
    expect(codes(await job.main(named, { ...FORK, environment }))).toContain("NCP-137");
    const step = await job.main(named, { environment });
    expect(step.outputs["missing"]).toContain("made-1");
    expect(step.raw).not.toContain(SECRET);
  });

  test("by HTTP come with the netrc file that Nix is configured with", async () => {
    await using job = await startJob(undefined);
    await using site = await privateRepository(job);
    await uses(job, `${site.origin}/library.tar.gz`);
    const without = await job.main(CHECK);
    expect(codes(without)).toContain("NCP-137");
    const netrc = join(job.machine.root, "netrc");
    await writeFile(netrc, `machine 127.0.0.1 login me password ${SECRET}\n`, { mode: 0o600 });
    const conf = join(job.machine.root, "etc", "nix.conf");
    await writeFile(conf, `${await readFile(conf, "utf8")}netrc-file = ${netrc}\n`);
    const step = await job.main(CHECK);
    expect(step.outputs["missing"]).toContain("made-1");
    expect(step.raw).not.toContain(SECRET);
  });

  test("of GitHub come with the access-tokens of Nix's configuration", async () => {
    await using job = await startJob(undefined);
    await using site = await privateRepository(job);
    const archive = await readFile(join(job.machine.root, "site", "library.tar.gz"));
    await using github = await pretendGitHub(archive);
    await uses(job, `github:acme/library/${site.rev}`);
    const authority = join(job.machine.root, "ca.pem");
    await writeFile(authority, github.certificate);
    const environment = {
      ...job.machine.environment,
      NIX_CONFIG: `access-tokens = github.com=${SECRET}`,
      NIX_SSL_CERT_FILE: authority,
      https_proxy: github.proxy,
    };
    const step = await job.main(CHECK, { environment });
    expect(step.outputs["missing"]).toContain("made-1");
    expect(github.asked).toEqual([`/repos/acme/library/tarball/${site.rev} token ${SECRET}`]);
    expect(step.raw).not.toContain(SECRET);
  });

  test("that cannot be had are not tried for for each member of a set", async () => {
    await using job = await startJob(undefined);
    await using site = await privateRepository(job);
    const set = `builtins.listToAttrs (builtins.genList (n: { name = "m\${toString n}"; value = library.make "m"; }) 12)`;
    await writeFile(
      join(job.workspace, "flake.nix"),
      `{ inputs.library.url = "${site.origin}/library.tar.gz"; outputs = { library, ... }: { packages.x86_64-linux = ${set}; }; }`,
    );
    site.instead = undefined;
    await job.machine.nix("nix", ["flake", "lock", `path:${job.workspace}`]);
    await job.machine.forget();
    let asked = 0;
    site.instead = () => {
      asked++;
      return { status: 404 };
    };
    const step = await job.main({ ...CHECK, targets: "path:.#packages.SYSTEM.*" });
    expect(told(step).join("\n")).toContain("do not evaluate");
    expect(asked).toBeLessThan(12);
  });

  test("a host that limits how often it is asked is called that", async () => {
    await using job = await startJob(undefined);
    await using site = await privateRepository(job);
    await uses(job, `${site.origin}/library.tar.gz`);
    const body = Buffer.from('{"message":"API rate limit exceeded for 192.0.2.1."}');
    site.instead = () => ({ status: 403, body });
    const step = await job.main(CHECK);
    expect(codes(step)).toContain("NCP-135");
    expect(told(step).join("\n")).toContain("access-tokens = github.com=TOKEN");
  });
});
