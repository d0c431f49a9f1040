/** Owns the action's post entry. */

import { post } from "./action/run.ts";

await post();
