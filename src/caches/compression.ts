/** Owns the option `compression` of a cache's address, as Nix has it. */

import { UserError } from "../domain/errors.ts";
import type { Compression } from "../host/compress.ts";

export function parseCompression(url: URL): Compression {
  const text = url.searchParams.get("compression") ?? "zstd";
  if (text === "zstd" || text === "xz" || text === "none") return text;
  throw new UserError("NCP-103", `cache: "${url.href}": compression=${text} is not known here`, {
    hint: "write compression=zstd (the default), xz or none",
  });
}
