/** Owns dist/: bundles the entries, the same bytes on every machine. */

import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { build, type Plugin } from "esbuild";
import { licences } from "./licences.ts";

/**
 * @actions/core imports its OIDC client, and with it a whole HTTP stack, at start; and what it knows of the platform,
 * with what runs commands. We ask for neither; without them a step starts some 30 ms sooner (docs/adr/0004).
 */
const lightCore: Plugin = {
  name: "light-core",
  setup(building) {
    building.onResolve({ filter: /\/(oidc-utils|platform)\.js$/ }, ({ importer, path }) =>
      importer.includes("@actions/core/")
        ? { path: path.replace("./", ""), namespace: "stub" }
        : undefined,
    );
    building.onLoad({ filter: /.*/, namespace: "stub" }, ({ path }) => ({
      contents:
        path === "oidc-utils.js"
          ? 'export class OidcClient { static async getIDToken() { throw new Error("no OIDC here"); } }'
          : "export {};",
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

/**
 * What is wanted later and together is loaded as one: the world, and behind it all that a run does and tells in it.
 * Else each of these files is the root of chunks of its own, and every chunk more is a file to find and to link.
 */
const TOGETHER: Readonly<Record<string, readonly string[]>> = {
  action: [
    "action/background-push.ts",
    "action/install-nix.ts",
    "action/main.ts",
    "action/post.ts",
  ],
  world: ["compose.ts", "compose-setup.ts"],
  terminal: ["cli/display.ts", "cli/setup.ts", "cli/terminal-report.ts"],
  work: [
    "action/check-runs.ts",
    "engine/background-push.ts",
    "engine/post.ts",
    "engine/result.ts",
    "engine/run.ts",
    "report/audit-section.ts",
    "report/headline.ts",
    "report/json.ts",
    "report/post-page.ts",
    "report/rebuilds.ts",
    "report/summary.ts",
    "report/text.ts",
  ],
};

const together: Plugin = {
  name: "together",
  setup(building) {
    const groupOf = new Map(
      Object.entries(TOGETHER).flatMap(([group, files]) =>
        files.map((file) => [resolve("src", file), group] as const),
      ),
    );
    building.onResolve({ filter: /^\.\.?\// }, ({ kind, path, resolveDir }) => {
      const group = kind === "dynamic-import" && groupOf.get(join(resolveDir, path));
      return group ? { path: group, namespace: "together" } : undefined;
    });
    building.onLoad({ filter: /.*/, namespace: "together" }, async ({ path }) => {
      const files = (TOGETHER[path] ?? []).map((file) => `./src/${file}`);
      await refuseShared(files);
      const contents = files.map((file) => `export * from "${file}";`).join("\n");
      return { contents, resolveDir: resolve(".") };
    });
  },
};

/** Of two that export one name neither is exported, and nobody says so before it is called. */
async function refuseShared(files: readonly string[]): Promise<void> {
  const owners = new Map<string, string>();
  for (const file of files) {
    const text = await readFile(file, "utf8");
    for (const [, name = ""] of text.matchAll(
      /^export (?:async )?(?:function|const|class) (\w+)/gm,
    )) {
      const other = owners.get(name);
      if (other) throw new Error(`${other} and ${file} both export ${name}, and are loaded as one`);
      owners.set(name, file);
    }
  }
}

/**
 * Bundles the entries into `folder`, which is never without them: a file is replaced whole, where it is another at all,
 * and what nothing imports any more goes last. Chunk names hold a hash, so that the same sources change nothing; of
 * others, a process that is half way may miss a chunk that it had not yet loaded.
 */
export async function buildTo(folder: string): Promise<void> {
  const bundles = await bundled(folder);
  await mkdir(folder, { recursive: true });
  const files = new Map<string, Uint8Array>([
    ...bundles.flatMap(({ outputFiles }) =>
      outputFiles.map(({ path, contents }) => [basename(path), contents] as const),
    ),
    // The repository's package.json says "module"; a copied dist/ has to say so itself.
    ["package.json", Buffer.from('{"type":"module"}\n')],
    ["licenses.txt", Buffer.from(await licences(inputsOf(bundles)))],
  ]);
  const isEntry = (name: string) => Object.hasOwn(ENTRIES, name.replace(/\.js$/, ""));
  // The entries name the chunks: they come when those are there.
  for (const name of [...files.keys()].sort((a, b) => Number(isEntry(a)) - Number(isEntry(b)))) {
    await put(join(folder, name), files.get(name) ?? new Uint8Array());
  }
  for (const name of await readdir(folder)) {
    if (!files.has(name)) await rm(join(folder, name), { recursive: true });
  }
}

async function put(file: string, contents: Uint8Array): Promise<void> {
  const before = await readFile(file).catch(() => undefined);
  if (before?.equals(contents)) return;
  const mode = Buffer.from(contents.subarray(0, 2)).toString() === "#!" ? 0o755 : 0o644;
  await writeFile(`${file}.new`, contents, { mode });
  await rename(`${file}.new`, file);
}

/** Every file that goes into the bundle, relative to the repository. Writes nothing. */
export async function bundledFiles(): Promise<string[]> {
  return inputsOf(await bundled("dist"));
}

type Bundle = Awaited<ReturnType<typeof bundle>>;

const inputsOf = (bundles: readonly Bundle[]) => [
  ...new Set(bundles.flatMap(({ metafile }) => Object.keys(metafile.inputs))),
];

/** The programs of a job and the command line share their parts; the client of GitHub's cache is a program of its own. */
const SHARING = {
  main: "src/main.ts",
  post: "src/post.ts",
  // Its process has borne this name since 1.0: what looks for leftovers on a machine knows it by that.
  watch: "src/background-push.ts",
  cli: "src/cli.ts",
};
const ALONE = { "github-cache-transfer": "src/github-cache-transfer.ts" };
const ENTRIES = { ...SHARING, ...ALONE };

const bundled = (outdir: string) =>
  Promise.all([SHARING, ALONE].map((entryPoints) => bundle(outdir, entryPoints)));

const bundle = (outdir: string, entryPoints: Readonly<Record<string, string>>) =>
  build({
    entryPoints,
    outdir,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    // What package.json's engines say: `using` and the like are written out.
    target: "node22.15",
    minify: true,
    // To name every function again takes 4 ms of a start. @actions/cache needs it: it compares class names.
    keepNames: entryPoints === ALONE,
    legalComments: "none",
    metafile: true,
    write: false,
    plugins: [lightCore, quietGlob, together],
    banner: {
      // Bundled CommonJS packages call require for Node's own modules.
      js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
    },
  });

if (import.meta.main) await buildTo("dist");
