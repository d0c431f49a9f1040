import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{b as o}from"./chunk-I3WXUXNT.js";import"./chunk-KV2EGWMQ.js";import"./chunk-UR6QIJAD.js";import"./chunk-ZVU3JTHA.js";await o();
