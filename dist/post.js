import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{b as t}from"./chunk-NPI4O4VM.js";import"./chunk-25ONR23F.js";await t("post",()=>import("./action-3HP3OBSX.js").then(({post:o})=>o()));
