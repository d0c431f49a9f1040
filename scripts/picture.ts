/** Owns pictures of job summaries: rendered as GitHub renders them, light and dark. */

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const TOOLS = resolve("scripts/picture-tools/node_modules");
/** As wide as a README shows it, in CSS pixels: what is made smaller cannot be read. */
const WIDTH = 830;
const THEMES = { light: "default", dark: "dark" } as const;

const [given, out = "docs/images/summary"] = process.argv.slice(2);
const markdown = await readFile(given ?? (await demoSummary()), "utf8");
await mkdir(dirname(out), { recursive: true });
for (const mode of ["light", "dark"] as const) {
  await picture(await htmlPage(markdown, mode), `${out}-${mode}.png`);
}

/** The pages of the demo's first two runs: the incident, and its repair. */
async function demoSummary(): Promise<string> {
  // A place that looks the same on every machine.
  const cache = join(tmpdir(), "binary-cache");
  await run("node", ["scripts/demo.ts", "--cache", cache], { maxBuffer: 64 * 1024 * 1024 });
  await rm(cache, { recursive: true, force: true });
  const pages = await Promise.all(
    ["1-check.md", "2-warm.md"].map((name) => readFile(resolve("demo-out", name), "utf8")),
  );
  const both = resolve("demo-out", "picture.md");
  await writeFile(both, pages.join("\n\n"));
  return both;
}

async function htmlPage(text: string, mode: keyof typeof THEMES): Promise<string> {
  const extensions = ["table", "strikethrough", "autolink", "tagfilter", "tasklist"];
  const args = ["--unsafe", "--github-pre-lang", ...extensions.flatMap((one) => ["-e", one])];
  const parsing = run("cmark-gfm", args, { maxBuffer: 64 * 1024 * 1024 });
  parsing.child.stdin?.end(text);
  const [{ stdout: body }, css] = await Promise.all([
    parsing,
    readFile(join(TOOLS, "github-markdown-css", `github-markdown-${mode}.css`), "utf8"),
  ]);
  return `<!doctype html>
<meta charset="utf-8">
<style>${css}
  html { scrollbar-width: none; }
  body { margin: 0; }
  .markdown-body { padding: 24px 32px; min-width: 0; }
  .mermaid { text-align: center; }
</style>
<body><article class="markdown-body">${body}</article>
<script src="file://${join(TOOLS, "mermaid/dist/mermaid.min.js")}"></script>
<script>
  for (const pre of document.querySelectorAll("pre[lang=mermaid]")) {
    const drawing = document.createElement("div");
    drawing.className = "mermaid";
    drawing.textContent = pre.textContent;
    pre.replaceWith(drawing);
  }
  mermaid.initialize({ startOnLoad: false, theme: ${JSON.stringify(THEMES[mode])} });
  mermaid.run().catch((error) => { document.body.dataset.error = String(error); })
    .finally(() => { document.body.dataset.height = String(Math.ceil(document.querySelector("article").getBoundingClientRect().height)); });
</script>`;
}

/** Two visits: the first tells how high the page is. */
async function picture(html: string, file: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "ncp-picture-"));
  try {
    const page = join(folder, "page.html");
    await writeFile(page, html);
    const { stdout: dom } = await chromium(folder, 800, ["--dump-dom", page]);
    const error = /data-error="([^"]*)"/.exec(dom)?.[1];
    if (error !== undefined) throw new Error(`the timeline cannot be drawn: ${error}`);
    const height = Number(/data-height="(\d+)"/.exec(dom)?.[1]);
    if (!Number.isInteger(height)) throw new Error("the page was not drawn to its end");
    await chromium(folder, height, [`--screenshot=${resolve(file)}`, page]);
    console.log(`${file}: ${WIDTH} × ${height}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function chromium(folder: string, height: number, args: readonly string[]) {
  return run(
    "chromium",
    [
      "--headless",
      // A page of our own, in a container that often allows no sandbox.
      "--no-sandbox",
      "--disable-gpu",
      "--hide-scrollbars",
      "--allow-file-access-from-files",
      `--user-data-dir=${join(folder, "profile")}`,
      "--force-device-scale-factor=2",
      "--virtual-time-budget=20000",
      `--window-size=${WIDTH},${height}`,
      ...args,
    ],
    { maxBuffer: 64 * 1024 * 1024 },
  );
}
