/** Owns certificates for loopback servers: self-signed, made here, since no program need be there to make one. */

import { generateKeyPairSync, sign } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

interface Loopback {
  readonly pair: Certificate;
  /** With this a client of ours takes it for good. */
  readonly environment: { readonly NIX_SSL_CERT_FILE: string };
}

let loopback: Loopback | undefined;

/** Of `localhost`, the same for all servers of a test file. */
export function loopbackCertificate(): Loopback {
  if (loopback) return loopback;
  const pair = certificateFor("localhost");
  const file = join(mkdtempSync(join(tmpdir(), "ncp-authority-")), "ca.pem");
  writeFileSync(file, pair.cert);
  loopback = { pair, environment: { NIX_SSL_CERT_FILE: file } };
  return loopback;
}

/** X.509 version 3 over Ed25519 (RFC 5280, RFC 8410) for one name. */
export function certificateFor(host: string): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const algorithm = der(0x30, Buffer.from("06032b6570", "hex"));
  const commonName = Buffer.from("0603550403", "hex");
  const name = der(0x30, der(0x31, der(0x30, commonName, der(0x0c, Buffer.from(host)))));
  const time = (text: string) => der(0x17, Buffer.from(text));
  // subjectAltName with one dNSName, and basicConstraints with CA, so that it may sign itself.
  const names = extension("0603551d11", der(0x30, der(0x82, Buffer.from(host))));
  const isCa = extension("0603551d13", der(0x30, Buffer.from("0101ff", "hex")));
  const content = der(
    0x30,
    der(0xa0, Buffer.from("020102", "hex")),
    Buffer.from("020101", "hex"),
    algorithm,
    name,
    der(0x30, time("200101000000Z"), time("491231235959Z")),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, der(0x30, names, isCa)),
  );
  const signature = der(0x03, Buffer.from([0]), sign(null, content, privateKey));
  const bytes = der(0x30, content, algorithm, signature).toString("base64");
  const lines = bytes.match(/.{1,64}/g) ?? [];
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`,
  };
}

function extension(oid: string, value: Buffer): Buffer {
  return der(0x30, Buffer.from(oid, "hex"), der(0x04, value));
}

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size =
    length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
