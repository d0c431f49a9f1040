/** The action's main entry. */

import { main } from "./action/main.ts";

await main();
