/** Owns dist/licenses.txt: the licence of every package that the bundle holds. */

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

interface PackageFile {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
  readonly author?: string | { readonly name: string };
}

/** Between two packages. */
export const RULE = `\n${"-".repeat(72)}\n\n`;

/**
 * `inputs` are the bundle's, relative to the repository: `node_modules/zod/v4/mini/index.js`. Rejects
 * where a package has no licence text that may be passed on.
 */
export async function licences(inputs: readonly string[]): Promise<string> {
  const parts = packageFolders(inputs).map(async (folder) => {
    const text = await readFile(join(folder, "package.json"), "utf8");
    const { name, version, license, author } = JSON.parse(text) as PackageFile;
    const terms = (await shipped(folder)) || standard(name, license, author);
    return `${name} ${version} (${license})\n\n${terms}\n`;
  });
  return (await Promise.all(parts)).join(RULE);
}

/** A package's own folder for each file of it, also of one below another's node_modules. */
export function packageFolders(inputs: readonly string[]): string[] {
  const folders = inputs.flatMap(
    (input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0] ?? [],
  );
  return [...new Set(folders)].sort();
}

/** Apache-2.0 asks for a NOTICE, too, where there is one. */
async function shipped(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) =>
    /^(licen[cs]e|copying|notice)(\.(md|txt))?$/i.test(name),
  );
  const texts = await Promise.all(names.sort().map((name) => readFile(join(folder, name), "utf8")));
  return texts.map((one) => one.trim()).join("\n\n");
}

/** For a package that says MIT and forgot the file. */
function standard(
  name: string,
  license: string | undefined,
  author: PackageFile["author"] = "its authors",
): string {
  if (license !== "MIT") {
    throw new Error(`${name} (${license}) brings no licence text: it cannot be bundled`);
  }
  return `${MIT_HEAD}\n\nCopyright (c) ${typeof author === "string" ? author : author.name}\n\n${MIT}`;
}

const MIT_HEAD = "The MIT License (the package names it and brings no text of its own)";

/** https://spdx.org/licenses/MIT.html */
const MIT = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction, including
without limitation the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the
following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT
LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO
EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER
IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR
THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;
