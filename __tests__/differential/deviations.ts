/** Owns the table of deviations: where we say something else than Nix does, and why. docs/decisions.md shows it. */

export interface Deviation {
  /** The comparison it belongs to. */
  readonly kind: string;
  /** A regular expression over what the world is. */
  readonly what: string;
  /** What Nix does there; undefined: whatever it does. */
  readonly nix?: string;
  /** What we say. */
  readonly ours: string;
  readonly reason: "safety" | "unknown is not a miss";
  /** In a sentence, for the document. */
  readonly why: string;
}

export const DEVIATIONS: readonly Deviation[] = [
  {
    kind: "narinfo",
    what: "a wrong FileSize|FileSize of 0",
    nix: "fetches",
    ours: "passes over",
    reason: "safety",
    why: "a NAR that is longer than its FileSize: Nix reads on, and we stop, since it might never end; the verdict is the same, and Nix fetches such a path itself",
  },
  {
    kind: "nix-cache-info",
    what: "an HTML page",
    ours: "b only",
    reason: "unknown is not a miss",
    why: "a page of HTML in place of nix-cache-info: Nix takes it for a cache that says nothing of itself; a login page is no cache, what it would have is unknown, and Nix is not told of it",
  },
  {
    kind: "narinfo",
    what: "an absolute URL of another host|a URL with two slashes before",
    ours: "unknown",
    reason: "safety",
    why: "a NAR that lies on another host than its narinfo is not fetched from there: a cache is not followed to hosts nobody named; the path counts as unknown, and the cache stays",
  },
  {
    kind: "narinfo",
    what: "Compression (nobody knows|in upper case)|one CRLF|NUL in a field",
    ours: "unknown",
    reason: "unknown is not a miss",
    why: "a Compression that no version of Nix writes: 2.8 goes by the NAR's first bytes, 2.26 passes over it, 2.34 stops",
  },
  {
    kind: "narinfo",
    what: "(no|an empty) Compression|Compression that it is not",
    nix: "passes over",
    ours: "fetches",
    reason: "unknown is not a miss",
    why: "a NAR that is compressed otherwise than its narinfo says: 2.8 goes by its first bytes, and so do we, who check its sum; later versions throw it away when they have it, which no dry run knows",
  },
  {
    kind: "narinfo",
    what: "a signature with two blanks before",
    ours: "unknown",
    reason: "unknown is not a miss",
    why: "a Sig that begins with a blank: up to 2.26 its key is one nobody knows, 2.34 passes over the blank",
  },
  {
    kind: "narinfo",
    what: "a reference with a name (that begins with a point|of two points)",
    ours: "unknown",
    reason: "unknown is not a miss",
    why: "a reference whose name is a dot or two: 2.8 takes it, 2.26 does not take the narinfo, and the version between is not known",
  },
  {
    kind: "narinfo",
    what: "(?=.*a reference to itself)(?=.*a (text|flat) CA)",
    ours: "unknown",
    reason: "unknown is not a miss",
    why: "a text or a file that its CA names and that refers to itself, which nobody can make: 2.8 passes over it, 2.26 stops, and the version between is not known",
  },
  {
    kind: "installables",
    what: "[^.]\\.$",
    ours: "refuses",
    reason: "safety",
    why: "an attribute path that ends in a dot: Nix passes over the dot; to us the line is unfinished, and is refused by name before anything runs",
  },
  {
    kind: "installables",
    what: "#\\.",
    ours: "refuses",
    reason: "unknown is not a miss",
    why: "an attribute path that begins with a dot: 2.8 refuses it, later versions look at the flake's top alone; it is refused by name",
  },
  {
    kind: "installables",
    what: '#([a-z0-9_.-]*\\.)?"?(a|%61)-path"?(\\^[^ ]*)?$',
    ours: "refuses",
    reason: "unknown is not a miss",
    why: "an attribute that is a store path as text: 2.8 refuses it, later versions build it; it is refused by name, as no derivation",
  },
  {
    kind: "installables",
    what: "\\.drv/?$",
    nix: "path n0",
    ours: "n0: n0",
    reason: "unknown is not a miss",
    why: "a .drv without outputs: 2.8 takes all its outputs, later versions the file itself; we take the outputs in every version, and .drv^* says the same in all",
  },
  {
    kind: "installables",
    what: "\\.drv/?$",
    nix: "path n-multi",
    ours: "n-multi: n-multi n-multi-dev n-multi-doc",
    reason: "unknown is not a miss",
    why: "a .drv of several outputs without a choice among them: as above",
  },
  {
    kind: "daemon",
    what: "substituters = (allowed|daemon)/[, ]",
    nix: "does not",
    ours: "fetches",
    reason: "unknown is not a miss",
    why: "a substituter that the daemon allows, with a slash at its end that the daemon's own does not have: Nix compares letters; the run and the steps that follow give Nix the address as the daemon has it, and so fetch",
  },
  {
    kind: "builders",
    what: "a file behind a blank, 2\\.8$",
    ours: "can be built",
    reason: "unknown is not a miss",
    why: "`@FILE` behind a blank in `builders`: 2.8 takes it for a host of that name, which it tries, or which lacks the features; later versions read the file, and so do we in every version",
  },
  {
    kind: "builders",
    what: "a file behind a blank, 2\\.8$",
    ours: "cannot",
    reason: "unknown is not a miss",
    why: "the same where nothing in the file can build it: 2.8 tries a host called `@FILE`, and fails",
  },
  {
    kind: "graphs",
    what: ".",
    nix: "crashes",
    ours: "builds",
    reason: "unknown is not a miss",
    why: "2.26 may end at an assertion of its own where one of several outputs is fetched, and another's closure has a hole: 2.8 and 2.34 build there",
  },
  {
    kind: "servers",
    what: "in (x-gzip|deflate|zstd)|as identity",
    nix: "stops",
    ours: "fetches",
    reason: "unknown is not a miss",
    why: "answers in x-gzip, deflate or zstd, or said to be `identity`, that nobody asked for: 2.8 and 2.26 stop at some of them, 2.34 reads them all, and so do we in every version",
  },
  {
    kind: "realisations",
    what: "an unreadable realisation",
    ours: "unknown",
    reason: "unknown is not a miss",
    why: "a realisation that is no JSON: Nix ends there, and what the cache would have had is unknown",
  },
];
