/** The network as users have it: nginx with TLS and HTTP/2 over the same folders, and a long way before it. */

import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";
import type { Site } from "./server.ts";

const run = promisify(execFile);

/** The files of a certificate for 127.0.0.1, which vouches for itself; P-256, as delivery networks have. */
export async function certificate(folder: string): Promise<{ key: string; cert: string }> {
  const [key, cert] = [join(folder, "key.pem"), join(folder, "ca.pem")];
  await run("openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
    ...["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
    ...["-keyout", key, "-out", cert],
  ]);
  return { key, cert };
}

export interface FarServed extends AsyncDisposable {
  readonly origins: readonly string[];
}

export async function serveFar(
  sites: readonly Site[],
  { key, cert }: { readonly key: string; readonly cert: string },
): Promise<FarServed> {
  const folder = await mkdtemp(join(tmpdir(), "ncp-bench-nginx-"));
  const ports = await Promise.all(sites.map(freePort));
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `${kind}_temp_path ${join(folder, kind)};`,
  );
  const servers = sites.map(
    ({ directory }, index) => `
    server {
      listen 127.0.0.1:${ports[index]} ssl http2;
      root ${directory};
      location / { dav_methods PUT; create_full_put_path on; client_max_body_size 0; }
    }`,
  );
  await mkdir(join(folder, "logs"));
  const file = join(folder, "nginx.conf");
  await writeFile(
    file,
    `${process.getuid?.() === 0 ? "user root;" : ""}
    daemon off; worker_processes 1; worker_rlimit_nofile 8192; pid ${join(folder, "pid")};
    error_log stderr crit;
    events { worker_connections 4096; }
    http {
      access_log off; sendfile on; tcp_nodelay on; keepalive_requests 100000; open_file_cache max=20000;
      ssl_certificate ${cert}; ssl_certificate_key ${key}; ssl_protocols TLSv1.3;
      http2_max_concurrent_streams 128;
      ${temporary.join("\n")}
      ${servers.join("\n")}
    }`,
  );
  const nginx = spawn("nginx", ["-c", file, "-p", folder, "-e", "stderr"], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  await wait(300);
  const way = JSON.stringify({ ports, journey: sites[0]?.delay ?? 0 });
  const relay = spawn(process.execPath, [resolve("bench/relay.ts"), way], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const line = await new Promise<string>((done, fail) => {
    createInterface(relay.stdout).once("line", done);
    relay.once("exit", () => fail(new Error("the relay did not start")));
  });
  return {
    origins: (JSON.parse(line) as number[]).map((port) => `https://127.0.0.1:${port}`),
    async [Symbol.asyncDispose]() {
      const ended = [nginx, relay].map((one) => new Promise((done) => one.once("exit", done)));
      relay.stdin.end();
      nginx.kill("SIGTERM");
      await Promise.all(ended);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address ? address.port : 0;
      server.close(() => done(port));
    });
  });
}
