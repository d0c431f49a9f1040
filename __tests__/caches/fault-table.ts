/** Owns the table of faults: what each must come to, and which kind of cache cannot have one, and why. The suites and docs/faults.md are made of it. */

/** Where nobody, or somebody else, answers. What TLS is to HTTP, the host's key is to SSH. */
export const NOWHERE = ["unknown host", "refused", "never answers", "TLS error"] as const;
/** What the cache says, and must not be believed, or not be misread. */
export const SPOILT = [
  "401",
  "403",
  "404 for nix-cache-info",
  "HTML instead of narinfo",
  "truncated NAR",
  "wrong hash",
  "wrong key name",
  "clock far off",
  "unknown compression",
  "no right to write",
] as const;

export type Nowhere = (typeof NOWHERE)[number];
export type Spoilt = (typeof SPOILT)[number];
export type CacheFault = Nowhere | Spoilt;

/** In the documents; what it means in code stands in contract-faults.ts. */
export const COMES_TO: Readonly<Record<CacheFault, string>> = {
  "unknown host": "named and skipped; what it could have is unknown",
  refused: "named and skipped; what it could have is unknown",
  "never answers": "named and skipped when its time is over; what it could have is unknown",
  "TLS error": "named and skipped; what it could have is unknown",
  "401": "NCP-303, with a hint; unknown, never missing",
  "403":
    "NCP-303, with a hint; unknown, never missing (where the cache let us in before, a miss, as in Nix)",
  "404 for nix-cache-info": "no binary cache (NCP-304); of our own, one that is not written yet",
  "HTML instead of narinfo": "unknown or skipped; never a hit",
  "truncated NAR": "not verified, not pinned",
  "wrong hash": "`mismatch`: not verified, not pinned",
  "wrong key name": "skipped, with the key that nobody trusts; our own is `rejected`",
  "clock far off": "where requests are good for minutes: NCP-332; elsewhere nothing",
  "unknown compression": "a hit; cannot be checked here, and is left to Nix",
  "no right to write": "NCP-303 before anything is built; the cache is still read",
};

export interface FaultKind {
  /** As in the input `cache`. */
  readonly title: string;
  /** The suite that holds the column, below `__tests__/caches/`. */
  readonly suite: string;
  readonly cannotBe: Partial<Readonly<Record<CacheFault, string>>>;
}

const NO_WAY = "there is no network between us and a folder";

const FOLDER: FaultKind["cannotBe"] = {
  "unknown host": NO_WAY,
  refused: NO_WAY,
  "never answers": NO_WAY,
  "TLS error": NO_WAY,
  "401": "a folder asks for no credentials",
  "403": "a folder asks for no credentials",
  "no right to write": "the tests may run as root, who may (file.test.ts has what stops root, too)",
  "clock far off": "nothing in a folder is good for a time",
};

export const FAULT_KINDS = {
  file: { title: "`file://`", suite: "file.test.ts", cannotBe: FOLDER },
  github: { title: "`github`", suite: "github.test.ts", cannotBe: FOLDER },
  http: {
    title: "`http(s)://`",
    suite: "http.test.ts",
    cannotBe: {
      "no right to write": "plain HTTP has no question about writing that does not itself write",
    },
  },
  attic: { title: "`attic:`", suite: "attic.test.ts", cannotBe: {} },
  cachix: { title: "`cachix:`", suite: "cachix.test.ts", cannotBe: {} },
  s3: { title: "`s3://`", suite: "s3.test.ts", cannotBe: {} },
  "ssh-ng": {
    title: "`ssh-ng://`",
    suite: "ssh-ng.test.ts",
    cannotBe: {
      "unknown compression": "a store keeps no compressed NARs",
      "no right to write": "who may open a store there may bring signed paths",
    },
  },
} as const satisfies Readonly<Record<string, FaultKind>>;

/** What only one kind of server does, and which suite has it. */
export const OF_ONE_KIND: readonly (readonly [kind: string, what: string, suite: string])[] = [
  [
    "`http(s)://`",
    "413, 507 and other refusals of a path: its words, for that path alone",
    "http.test.ts",
  ],
  [
    "`http(s)://`",
    "a NAR without an end, a body that trickles, an answer far too long",
    "http-bounds.test.ts",
  ],
  ["`http(s)://`", "a real nginx with WebDAV", "nginx.test.ts"],
  [
    "`attic:`",
    "a token that is garbage, over, or may only pull; 500 from a full disk; chunks as several zstd frames; Celler",
    "attic.test.ts",
  ],
  [
    "`cachix:`",
    "each way of not being let in; other servers of the protocol: no padding, no or other words of rights",
    "cachix-access.test.ts",
  ],
  [
    "`cachix:`",
    "what only an upstream has, lost answers, expired parts, slow completions and pins",
    "cachix-faults.test.ts",
  ],
  ["`s3://`", "a session that is over, a wrong region, moto and versitygw", "s3.test.ts"],
  [
    "`github`",
    "faults of GitHub's service: its client, layers that are gone, uploads that stall",
    "github-client.test.ts",
  ],
  ["`file://`", "a folder that this user may not write to, a full disk", "file.test.ts"],
];
