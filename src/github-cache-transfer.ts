/** The entry of the process that runs GitHub's own cache client. */

import { serve } from "./caches/github/transfer.ts";

await serve();
