/** Owns catching what a call throws, as the tests of errors want it: the error itself. */

import { UserError } from "../../src/domain/errors.ts";

/** What `task` throws, when that is an error for the user; anything else fails the test. */
export function userError(task: () => unknown): UserError {
  try {
    task();
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** Everything of the error that a user gets to see. */
export function whole(error: UserError): string {
  return `${error.code} ${error.message} ${error.hint ?? ""} ${error.stack ?? ""} ${String(error.cause ?? "")}`;
}

/** As `userError`, of what is waited for. */
export async function laterError(task: () => Promise<unknown>): Promise<UserError> {
  try {
    await task();
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
