/** Owns how the Cachix stand-in refuses a malformed request: 400, and a sentence that says what is wrong. */

import { HttpError, json } from "./http.ts";

export function refuse(why: string): never {
  throw new HttpError(json(400, { error: why }));
}

/** `value` as an object with these fields, none missing and none besides. */
export function exactFields<Name extends string>(
  value: unknown,
  names: readonly Name[],
  what: string,
): Readonly<Record<Name, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return refuse(`${what} is not an object`);
  }
  const fields = new Set(Object.keys(value));
  for (const name of names) {
    if (!fields.delete(name)) refuse(`${what}: ${name} is missing`);
  }
  const [extra] = fields;
  if (extra !== undefined) refuse(`${what}: ${extra} is unknown`);
  return value as Readonly<Record<Name, unknown>>;
}

export function isNatural(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
