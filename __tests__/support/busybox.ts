/** Owns a stand-in for BusyBox's tar, as Alpine has it: it takes none of GNU's long options but for --version. */

import { chmod } from "node:fs/promises";
import type { Folder } from "./folder.ts";

/** Source: BusyBox 1.37, archival/tar.c: an unknown option is told with the usage, and ends with 1. */
const PROGRAM = `#!/bin/sh
case "$*" in *--version*) echo "tar (busybox) 1.37.0"; exit 0 ;; esac
echo "tar: unrecognized option: posix" >&2
echo "BusyBox v1.37.0 (2025-08-05 16:40:33 UTC) multi-call binary." >&2
exit 1
`;

/** Its file, in a folder that has nothing else. */
export async function busyboxTar(folder: Folder): Promise<string> {
  const file = await folder.write("busybox/tar", PROGRAM);
  await chmod(file, 0o755);
  return file;
}
