/** Owns dist/: bundles the entries, the same bytes on every machine. */

import { rm, writeFile } from "node:fs/promises";
import { build, type Plugin } from "esbuild";
import { licences } from "./licences.ts";

/**
 * @actions/core imports its OIDC client, and with it a whole HTTP stack, at start. We ask for no
 * OIDC token; without it a step starts some 25 ms sooner (docs/adr/0004).
 */
const withoutOidc: Plugin = {
  name: "without-oidc",
  setup(building) {
    building.onResolve({ filter: /\/oidc-utils\.js$/ }, ({ importer }) =>
      importer.includes("@actions/core/") ? { path: "oidc-utils", namespace: "stub" } : undefined,
    );
    building.onLoad({ filter: /.*/, namespace: "stub" }, () => ({
      contents:
        'export class OidcClient { static async getIDToken() { throw new Error("no OIDC here"); } }',
    }));
  },
};

/**
 * @actions/glob says every path that it searches as a debug command, on standard output: there the
 * command line prints its report.
 */
const quietGlob: Plugin = {
  name: "quiet-glob",
  setup(building) {
    building.onResolve({ filter: /^@actions\/core$/ }, ({ importer }) =>
      importer.includes("@actions/glob/") ? { path: "core", namespace: "quiet" } : undefined,
    );
    building.onLoad({ filter: /.*/, namespace: "quiet" }, () => ({
      contents: "export function debug() {} export function info() {}",
    }));
  },
};

/** Bundles the entries into `folder`, which is emptied first: chunk names hold a hash. */
export async function buildTo(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  const { metafile } = await bundle(folder, "write");
  // The repository's package.json says "module"; a copied dist/ has to say so itself.
  await writeFile(`${folder}/package.json`, '{"type":"module"}\n');
  await writeFile(`${folder}/licenses.txt`, await licences(Object.keys(metafile.inputs)));
}

/** Every file that goes into the bundle, relative to the repository. Writes nothing. */
export async function bundledFiles(): Promise<string[]> {
  const { metafile } = await bundle("dist", "look");
  return Object.keys(metafile.inputs);
}

const bundle = (outdir: string, how: "write" | "look") =>
  build({
    entryPoints: {
      main: "src/main.ts",
      post: "src/post.ts",
      // Its process has borne this name since 1.0: what looks for leftovers on a machine knows it by that.
      watch: "src/background-push.ts",
      "github-cache-transfer": "src/github-cache-transfer.ts",
      cli: "src/cli.ts",
    },
    outdir,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    // What package.json's engines say: `using` and the like are written out.
    target: "node22.15",
    minify: true,
    // @actions/cache compares class names at run time; minified ones would not be equal.
    keepNames: true,
    legalComments: "none",
    metafile: true,
    write: how === "write",
    plugins: [withoutOidc, quietGlob],
    banner: {
      // Bundled CommonJS packages call require for Node's own modules.
      js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
    },
  });

if (import.meta.main) await buildTo("dist");
