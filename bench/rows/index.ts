/** Owns the register of rows, in the order of the table. */

import type { Row } from "../row.ts";
import { developed } from "./develop.ts";
import { evaluation } from "./evaluation.ts";
import { lookup } from "./lookup.ts";
import { memoryLarge, memoryPaths, memoryPush } from "./memory.ts";
import { post } from "./post.ts";
import { prefetch1, prefetch3 } from "./prefetch.ts";
import { prefetchWays } from "./prefetch-ways.ts";
import { fetchLarge, pushLarge, pushSmall } from "./push.ts";
import { pushAttic, pushCachix } from "./push-protocols.ts";
import { forecast, rebuilds } from "./rebuilds.ts";
import { record } from "./record.ts";
import { scaling } from "./scaling.ts";
import { server } from "./server.ts";
import { start } from "./start.ts";
import { targets } from "./targets.ts";
import { unchanged } from "./unchanged.ts";
import { everyday1, everyday3, verdicts1, verdicts3 } from "./verdicts.ts";

export const ROWS: readonly Row[] = [
  server,
  start,
  lookup,
  everyday1,
  everyday3,
  verdicts1,
  verdicts3,
  prefetch1,
  prefetch3,
  prefetchWays,
  pushSmall,
  pushCachix,
  pushAttic,
  pushLarge,
  fetchLarge,
  unchanged,
  evaluation,
  developed,
  record,
  rebuilds,
  forecast,
  post,
  memoryPaths,
  memoryPush,
  memoryLarge,
  scaling,
  targets,
];
