import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a}from"./chunk-MDI5VDVH.js";import"./chunk-CGZQPGJP.js";import"./chunk-3OKBVCPH.js";export{a as compose};
