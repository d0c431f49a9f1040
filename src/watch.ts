/** Owns the entry of the process that pushes while the job runs. */

import { background } from "./action/watch.ts";

await background();
