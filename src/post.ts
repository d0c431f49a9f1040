/** Owns the action's post entry. */

import { post } from "./action/end.ts";

await post();
