/** The action's main entry: a small file that any Node can read, and behind it the step. */

import { startStep } from "./host/node-version.ts";

await startStep("main", () => import("./action/main.ts").then(({ main }) => main()));
