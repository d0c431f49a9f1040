// Turns one TypeScript file into ESM for Jest; types are checked by `npm run typecheck`, not here.
import { transformSync } from "esbuild";

export default {
  process(source, path) {
    const { code, map } = transformSync(source, {
      loader: "ts",
      format: "esm",
      target: "node24",
      sourcefile: path,
      sourcemap: "external",
    });
    return { code, map };
  },
};
