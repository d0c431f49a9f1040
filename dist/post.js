import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{b as o}from"./chunk-S6MID4G4.js";await o();
