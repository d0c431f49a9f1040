// Starts the longest test files first: one that begins last would keep a worker busy when all others are done.
import Sequencer from "@jest/test-sequencer";

/** Longest first, as a run of November 2026 took them; the others follow in Jest's own order. */
const LONGEST = [
  "e2e/workflows",
  "e2e/github",
  "e2e/substituters",
  "e2e/documented",
  "e2e/read-only",
  "e2e/interrupt",
  "differential/differential",
  "e2e/disk-full",
  "e2e/post",
  "e2e/configure",
  "e2e/incident",
  "e2e/rebuilds",
  "e2e/machine-faults",
  "e2e/faults-cachix",
  "e2e/verify",
  "e2e/command-line",
  "e2e/verdicts",
  "e2e/remote-stores",
  "caches/s3",
  "caches/github-client",
  "caches/ssh-ng",
  "caches/attic",
  "fuzz/patterns",
  "nix/record-key",
  "fuzz/workflows",
];

export default class LongestFirst extends Sequencer {
  sort(tests) {
    const place = ({ path }) => {
      const at = LONGEST.findIndex((name) => path.endsWith(`/${name}.test.ts`));
      return at < 0 ? LONGEST.length : at;
    };
    return super.sort(tests).sort((a, b) => place(a) - place(b));
  }
}
