import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{b as o}from"./chunk-LLWZAXE3.js";import"./chunk-ZVHGUZPB.js";await o();
