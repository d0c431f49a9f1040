import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{b as t}from"./chunk-QMW5ZKL6.js";import"./chunk-QA55TPRG.js";await t("main",()=>import("./main-JKYQIRJO.js").then(({main:a})=>a()));
