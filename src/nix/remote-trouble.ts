/** Owns what ssh and Nix say of a store elsewhere that cannot be used, put into words of our own. */

import { UserError } from "../domain/errors.ts";
import { nixMessage } from "./command.ts";

interface Trouble {
  readonly pattern: RegExp;
  readonly code: UserError["code"];
  readonly what: string;
  readonly hint: string;
}

/** Source: OpenSSH's ssh.c, sshconnect.c and auth messages; Nix's ssh-store.cc and remote-store.cc. */
const TROUBLES: readonly Trouble[] = [
  {
    pattern: /Permission denied \(/,
    code: "NCP-303",
    what: "the host refuses our SSH key",
    hint: "give one that it knows: ssh-agent, ~/.ssh, NIX_SSHOPTS='-i FILE', or ?ssh-key=FILE in the address",
  },
  {
    pattern: /Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED/,
    code: "NCP-331",
    what: "the host's key is not one that is known here",
    hint: "compare it, then put it into ~/.ssh/known_hosts, or into ?base64-ssh-public-host-key=… of the address",
  },
  {
    pattern: /don't know how to open Nix store/,
    code: "NCP-330",
    what: "this Nix cannot open such a store",
    hint: "a newer Nix can",
  },
  {
    pattern: /is not in the Nix store/,
    code: "NCP-304",
    what: "it is another store's: its store folder is not this machine's",
    hint: "use a cache for this store folder",
  },
  {
    pattern: /lacks a signature by a trusted key|lacks a valid signature/,
    code: "NCP-305",
    what: "the host takes signed paths only, and not this signature",
    hint: "give signing-key, and its public key to the host's trusted-public-keys; or make our user a trusted user there",
  },
  {
    pattern:
      /command not found|nix-daemon: not found|No such file or directory|protocol mismatch|exec request failed/,
    code: "NCP-304",
    what: "there is no Nix behind this address",
    hint: "install Nix there, or name it with ?remote-program=FILE in the address",
  },
  {
    pattern:
      /Could not resolve hostname|Connection refused|timed out|No route to host|Network is unreachable|Connection (closed|reset)|Broken pipe/i,
    code: "NCP-302",
    what: "the host does not answer",
    hint: "what only it has counts as unknown, not as missing",
  },
];

/** `stderr` of a Nix command that failed, as an error that begins with the cache's `name`. */
export function remoteTrouble(name: string, stderr: string): UserError {
  const found = TROUBLES.find(({ pattern }) => pattern.test(stderr));
  const said = linesOfSsh(stderr) || nixMessage(stderr);
  if (!found) return new UserError("NCP-302", `${name}: ${said}`);
  return new UserError(found.code, `${name}: ${found.what} (${said})`, { hint: found.hint });
}

/** What stands before Nix's own errors is ssh's, and says more. */
function linesOfSsh(stderr: string): string {
  const lines = stderr
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !/^(error|warning):|^@+|^Warning: Permanently/.test(line));
  return lines.slice(-3).join("; ").slice(0, 500);
}
