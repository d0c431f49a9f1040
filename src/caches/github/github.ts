/** The cache `github`: a binary cache in a folder that action/ fills from GitHub's cache, and saves there. */

import { pathToFileURL } from "node:url";
import { UserError } from "../../domain/errors.ts";
import { fileKind } from "../file/file.ts";
import type { CacheKind } from "../kind.ts";

/** There is one alone: nothing stands in its address. */
type GithubAddress = "github";

export const githubKind: CacheKind<GithubAddress> = {
  facts: {
    kind: "github",
    token: "not needed",
    readers: "this job or machine",
    keeper: "GitHub",
    staging: "never",
  },
  options: {},
  form: "github",
  begins: ["github"],
  parse: () => "github",
  place: (address) => address,
  name: () => undefined,
  page: () => undefined,
  open(_address, request) {
    const directory = request.githubDirectory;
    if (directory === undefined || request.role !== "own") {
      throw new UserError("NCP-103", "github: GitHub's cache is there for `cache` in a job alone", {
        hint: "elsewhere, write file:///DIRECTORY or another kind of cache",
      });
    }
    const { pin, pins, ...cache } = fileKind.open(
      { url: pathToFileURL(directory), directory },
      request,
    );
    // An entry is dropped after a week without use, whatever a pin in it says (docs/adr/0007).
    return cache;
  },
};
