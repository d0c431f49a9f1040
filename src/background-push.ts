/** The entry of the process that pushes while the job runs. */

import { background } from "./action/background-push.ts";

await background();
