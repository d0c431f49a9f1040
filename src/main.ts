/** Owns the action's main entry. */

import { main } from "./action/run.ts";

await main();
