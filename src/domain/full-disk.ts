/** Owns telling a full disk by what is said of it: as libc, SQLite and Nix put it. */

export function isFullDisk(message: string): boolean {
  return /No space left on device|ENOSPC|database or disk is full|Disk quota exceeded/i.test(
    message,
  );
}
