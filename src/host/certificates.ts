/** Owns whose certificates are accepted: Node's own authorities, and those that Nix is told to trust. */

import { readFileSync } from "node:fs";
import type { SecureContext } from "node:tls";
import { describeError, UserError } from "../domain/errors.ts";
import type { Environment } from "./environment.ts";

/** Where Nix looks where nothing names a file. Source: getDefaultSSLCertFile in its libstore. */
const BUNDLES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/nix/var/nix/profiles/default/etc/ssl/certs/ca-bundle.crt",
];

/** A server that is not who it says, in OpenSSL's and Node's words. */
const REJECTED = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|HOSTNAME_MISMATCH/;
/** Of these, what another authority would mend. */
const UNKNOWN = /UNABLE_TO|SELF_SIGNED/;

const ONE = /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[^-]+-----END (?:TRUSTED )?CERTIFICATE-----/g;

export class Certificates {
  private readonly environment: Environment;
  private readonly setting: string | undefined;
  private everyone: SecureContext | undefined;
  private unreadable = "";

  /** `setting`: `ssl-cert-file` of Nix's configuration. */
  constructor(environment: Environment, setting?: string) {
    this.environment = environment;
    this.setting = setting || undefined;
  }

  /**
   * All authorities: Node's (NODE_EXTRA_CA_CERTS among them), the system's, and those of the file that
   * Nix goes by. Read only for a server that is not of Node's own: to read 150 of them takes 50 ms.
   */
  get all(): SecureContext {
    this.everyone ??= this.read();
    return this.everyone;
  }

  private read(): SecureContext {
    const tls = process.getBuiltinModule("node:tls");
    const { NIX_SSL_CERT_FILE, SSL_CERT_FILE } = this.environment;
    const named = this.setting || NIX_SSL_CERT_FILE || SSL_CERT_FILE;
    const files = (named ? [named] : BUNDLES).flatMap((file) => {
      try {
        return [readFileSync(file, "utf8")];
      } catch (error) {
        if (named) this.unreadable = ` (${file} cannot be read: ${describeError(error)})`;
        return [];
      }
    });
    const all = [
      ...tls.getCACertificates("default"),
      ...files.flatMap((text) => text.match(ONE) ?? []),
    ];
    if (files.length === 0) all.push(...tls.getCACertificates("system"));
    // Most stand in both, and each one that is read takes its time.
    return tls.createSecureContext({ ca: [...new Set(all.map((one) => one.trim()))] });
  }

  /** Whether a server that was rejected may be one that only the files vouch for. */
  mayKnow(error: unknown): boolean {
    return UNKNOWN.test(codeOf(error));
  }

  /** The user's error for a certificate that is not accepted; undefined where it was something else. */
  explain(error: unknown, { origin }: URL): UserError | undefined {
    const code = codeOf(error);
    if (!REJECTED.test(code)) return undefined;
    return new UserError(
      "NCP-333",
      `the certificate of ${origin} is not accepted: ${describeError(error)} (${code})`,
      {
        hint: UNKNOWN.test(code)
          ? `where a company's own authority signed it, name its file as ssl-cert-file in nix.conf, or in NIX_SSL_CERT_FILE: Nix needs it as well${this.unreadable}`
          : "it is the server's to renew, or its name is another; no setting here makes it good",
      },
    );
  }
}

function codeOf(error: unknown): string {
  return String((error as NodeJS.ErrnoException | undefined)?.code ?? "");
}
