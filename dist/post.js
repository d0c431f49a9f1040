import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{b as t}from"./chunk-QMW5ZKL6.js";import"./chunk-QA55TPRG.js";await t("post",()=>import("./post-B6V7RP3P.js").then(({post:o})=>o()));
