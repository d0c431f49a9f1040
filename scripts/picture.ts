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

/** A phone held upright. */
const PHONE = 390;

const [given, out = "docs/images/summary", ...names] = process.argv.slice(2);
if (given === "--pages") {
  const { writePages } = await import("./picture-pages.ts");
  for await (const name of writePages(out, names)) {
    const page = join(out, name);
    await draw(await readFile(`${page}.md`, "utf8"), page);
    await picture(
      await htmlPage(await readFile(`${page}.md`, "utf8"), "light", "open"),
      `${page}-open.png`,
      PHONE,
    );
  }
} else {
  await mkdir(dirname(out), { recursive: true });
  await draw(await readFile(given ?? (await demoSummary()), "utf8"), out);
}

/** Light, dark, and on a phone where it is no picture of the documents. */
async function draw(markdown: string, at: string): Promise<void> {
  for (const mode of ["light", "dark"] as const) {
    await picture(await htmlPage(markdown, mode), `${at}-${mode}.png`, WIDTH);
  }
  if (given !== undefined)
    await picture(await htmlPage(markdown, "light"), `${at}-phone.png`, PHONE);
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

async function htmlPage(
  text: string,
  mode: keyof typeof THEMES,
  folds: "open" | "closed" = "closed",
): Promise<string> {
  const extensions = ["table", "strikethrough", "autolink", "tagfilter", "tasklist"];
  const args = ["--unsafe", "--github-pre-lang", ...extensions.flatMap((one) => ["-e", one])];
  const parsing = run("cmark-gfm", args, { maxBuffer: 64 * 1024 * 1024 });
  parsing.child.stdin?.end(text);
  const [{ stdout: parsed }, css] = await Promise.all([
    parsing,
    readFile(join(TOOLS, "github-markdown-css", `github-markdown-${mode}.css`), "utf8"),
  ]);
  const body = folds === "open" ? parsed.replaceAll("<details>", "<details open>") : parsed;
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
async function picture(text: string, file: string, width: number): Promise<void> {
  // A window has a least width of its own while it is only measured.
  const html = text.replace("body { margin: 0; }", `body { margin: 0; width: ${width}px; }`);
  const folder = await mkdtemp(join(tmpdir(), "ncp-picture-"));
  try {
    const page = join(folder, "page.html");
    await writeFile(page, html);
    const { stdout: dom } = await chromium(folder, width, 800, ["--dump-dom", page]);
    const error = /data-error="([^"]*)"/.exec(dom)?.[1];
    if (error !== undefined) throw new Error(`the timeline cannot be drawn: ${error}`);
    const height = Number(/data-height="(\d+)"/.exec(dom)?.[1]);
    if (!Number.isInteger(height)) throw new Error("the page was not drawn to its end");
    await chromium(folder, width, height, [`--screenshot=${resolve(file)}`, page]);
    console.log(`${file}: ${width} × ${height}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function chromium(folder: string, width: number, height: number, args: readonly string[]) {
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
      `--window-size=${width},${height}`,
      ...args,
    ],
    { maxBuffer: 64 * 1024 * 1024 },
  );
}
