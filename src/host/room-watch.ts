/** Owns watching free space while something runs: one look after the other, until it is low or over. */

import type { Disk, RoomWatch } from "../domain/ports.ts";

/** Milliseconds; a fast disk takes some hundred megabytes in the time. */
const BETWEEN = 250;

export function roomWatch(disk: Disk): RoomWatch {
  return {
    watch(directories, floor, low) {
      let timer: NodeJS.Timeout | undefined;
      let state: "watching" | "over" = "watching";
      const next = () => {
        if (state === "watching") timer = setTimeout(look, BETWEEN).unref();
      };
      const look = async () => {
        for (const directory of directories) {
          // What cannot be asked was told by the room plan.
          const fileSystem = await disk.fileSystem(directory).catch(() => undefined);
          if (state === "over") return;
          if (fileSystem && fileSystem.freeBytes < floor) {
            state = "over";
            return low(fileSystem);
          }
        }
        next();
      };
      next();
      return {
        [Symbol.dispose]() {
          state = "over";
          clearTimeout(timer);
        },
      };
    },
  };
}
