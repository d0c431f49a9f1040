/** The action's post entry. */

import { post } from "./action/post.ts";

await post();
