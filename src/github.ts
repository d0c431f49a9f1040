/** Owns the entry of the process that runs GitHub's own cache client. */

import { serve } from "./action/github-process.ts";

await serve();
