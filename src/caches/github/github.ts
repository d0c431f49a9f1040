/** The cache `github`: a binary cache in a folder that action/ fills from GitHub's cache, and saves there. */

import { pathToFileURL } from "node:url";
import { UserError } from "../../domain/errors.ts";
import { fileKind } from "../file/file.ts";
import type { CacheKind } from "../kind.ts";

export const githubKind: CacheKind<"github"> = {
  kind: "github",
  open(_location, request) {
    const directory = request.githubDirectory;
    if (directory === undefined || request.role !== "own") {
      throw new UserError("NCP-103", "github: GitHub's cache is there for `cache` in a job alone", {
        hint: "elsewhere, write file:///DIRECTORY or another kind of cache",
      });
    }
    const { pin, pins, ...cache } = fileKind.open(
      { kind: "file", url: pathToFileURL(directory), directory },
      request,
    );
    // An entry is dropped after a week without use, whatever a pin in it says (docs/adr/0007).
    return cache;
  },
};
