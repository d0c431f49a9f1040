/** The action's post entry: a small file that any Node can read, and behind it the step's end. */

import { startStep } from "./host/node-version.ts";

await startStep("post", () => import("./action/post.ts").then(({ post }) => post()));
