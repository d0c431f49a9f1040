/** Owns the row `unchanged`: the second run of a step for which nothing changed. */

import type { Row } from "../row.ts";

export const unchanged: Row = {
  name: "unchanged",
  length: "short",
  async run() {
    return [
      {
        row: "unchanged",
        what: "nothing changed since the last verified run",
        peerIs: "the same run without its memo",
        unit: "none",
        ours: undefined,
        peer: undefined,
        ratio: undefined,
        rounds: 0,
        goal: { kind: "milliseconds", atMost: 1_000 },
        note: "not built yet: there is no memo",
      },
    ];
  },
};
