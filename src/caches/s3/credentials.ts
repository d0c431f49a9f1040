/** AWS credentials from where AWS's own tools leave them: variables, then the shared file. */

import { join } from "node:path";
import { readIfThere } from "../../host/disk.ts";
import type { Environment } from "../../host/environment.ts";

export interface AwsCredentials {
  readonly keyId: string;
  readonly secret: string;
  readonly sessionToken: string | undefined;
}

/**
 * The environment's, unless a profile is named; else that profile's of ~/.aws/credentials. Undefined:
 * there are none, and requests go unsigned. Roles of machines and web identities are not asked for:
 * the step that makes credentials of them (aws-actions/configure-aws-credentials) sets the variables.
 */
export async function awsCredentials(
  environment: Environment,
  profile: string | undefined,
): Promise<AwsCredentials | undefined> {
  const keyId = environment["AWS_ACCESS_KEY_ID"];
  const secret = environment["AWS_SECRET_ACCESS_KEY"];
  if (profile === undefined && keyId && secret) {
    return { keyId, secret, sessionToken: environment["AWS_SESSION_TOKEN"] || undefined };
  }
  const file =
    environment["AWS_SHARED_CREDENTIALS_FILE"] ||
    join(environment["HOME"] ?? "/root", ".aws", "credentials");
  const text = await readIfThere(file);
  return text === undefined
    ? undefined
    : fromFile(text, profile ?? (environment["AWS_PROFILE"] || "default"));
}

/** `[profile]` and `name = value` lines. */
function fromFile(text: string, profile: string): AwsCredentials | undefined {
  const found = new Map<string, string>();
  let section = "";
  for (const line of text.split("\n")) {
    const head = /^\s*\[\s*([^\]]+?)\s*\]/.exec(line)?.[1];
    if (head !== undefined) section = head;
    const [, name, value] = /^\s*([a-z_]+)\s*=\s*(\S+)\s*$/.exec(line) ?? [];
    if (section === profile && name && value) found.set(name, value);
  }
  const keyId = found.get("aws_access_key_id");
  const secret = found.get("aws_secret_access_key");
  if (!keyId || !secret) return undefined;
  return { keyId, secret, sessionToken: found.get("aws_session_token") };
}
