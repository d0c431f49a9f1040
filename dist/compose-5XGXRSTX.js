import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a}from"./chunk-BO2WQPEQ.js";import"./chunk-U42BAXFX.js";export{a as compose};
