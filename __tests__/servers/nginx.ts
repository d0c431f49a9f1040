/** Owns a real nginx on loopback over a folder: as a reader's web server, or taking PUTs as well. */

import { mkdir } from "node:fs/promises";
import { temporaryFolder } from "../support/folder.ts";
import { findProgram, freePort, startProgram } from "./program.ts";

export interface Nginx extends AsyncDisposable {
  readonly origin: string;
  /** What it serves. */
  readonly directory: string;
}

export async function startNginx(uploads: "read only" | "takes PUT"): Promise<Nginx> {
  const folder = await temporaryFolder();
  const port = await freePort();
  const directory = folder.at("served");
  await mkdir(directory);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `${kind}_temp_path ${folder.at(`temp-${kind}`)};`,
  );
  const put = "dav_methods PUT; create_full_put_path on; client_max_body_size 0;";
  const configuration = await folder.write(
    "nginx.conf",
    `
      # The folder is its owner's alone.
      ${process.getuid?.() === 0 ? "user root;" : ""}
      daemon off;
      pid ${folder.at("pid")};
      error_log stderr warn;
      events {}
      http {
        access_log off;
        ${temporary.join("\n        ")}
        server {
          listen 127.0.0.1:${port};
          root ${directory};
          location / { ${uploads === "takes PUT" ? put : ""} }
          location /private/ { return 403; }
        }
      }
    `,
  );
  const origin = `http://127.0.0.1:${port}`;
  const nginx = await startProgram(
    await findProgram("nginx"),
    ["-c", configuration, "-p", folder.path, "-e", "stderr"],
    {},
    async () => (await fetch(`${origin}/`)).status > 0,
  );
  return {
    origin,
    directory,
    async [Symbol.asyncDispose]() {
      await nginx[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}
