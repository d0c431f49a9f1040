#!/usr/bin/env node
import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a as T,b as v,c as I,e as S,f as C}from"./chunk-VTMLFGPS.js";import{r as w,z as R}from"./chunk-YFS5E4MT.js";import{l as u,m as y,o as O}from"./chunk-ZMPFVH2T.js";import{b as G}from"./chunk-3PBCL6WH.js";import"./chunk-64EP7LJC.js";import{T as $,z as N}from"./chunk-HER4SMRH.js";import{a as p,b as k}from"./chunk-PRTB6RIE.js";import{a as o,f as b,g as j}from"./chunk-QA55TPRG.js";import{homedir as _}from"node:os";import{join as x}from"node:path";import{parseArgs as P}from"node:util";var A={token:"NIX_CACHE_PREFLIGHT_TOKEN","signing-key":"NIX_CACHE_PREFLIGHT_SIGNING_KEY"},H=new Set(["targets","mode","token","signing-key","install-nix"]),E=Object.keys(y).filter(t=>!H.has(t)),M=`nix-cache-preflight MODE [TARGET \u2026] [--INPUT VALUE \u2026]

  check      what is cached, and what would another machine have to build?
  prefetch   and fetch what is cached
  warm       and build what is missing, push, verify and pin it
  audit      is what was pushed and pinned still there?

TARGET is an installable (.#name, nixpkgs#bws, .#packages.SYSTEM.*), by default every
package of the flake here. Its attributes follow it in one word: 'nixpkgs#bws pin=bws'.

  --json     the report as JSON on standard output
  --help     this text

Every input of the action is an option, with the same values and defaults, but for
--cache, which is none unless given:
${F(E.map(t=>`--${t}`))}
Secrets come from the environment: ${Object.values(A).join(", ")}.

Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`;function F(t){let e=[];for(let s of t){let i=e.at(-1);i!==void 0&&i.length+s.length<84?e[e.length-1]+=` ${s}`:e.push(`  ${s}`)}return e.join(`
`)}o(F,"wrapped");function D(t,e){let s=Object.fromEntries(E.map(r=>[r,{type:"string"}])),{values:i,positionals:c}=P({args:[...t],allowPositionals:!0,options:{...s,json:{type:"boolean"},help:{type:"boolean",short:"h"}}});if(i.help||c.length===0)return"help";let[a="",...d]=c;if(!u.some(r=>r===a))throw new p("NCP-101",`"${a}" is not a mode.${N(a,u)}`,{hint:`say one of ${u.join(", ")}, or --help`});let f=i,m=Object.fromEntries(E.flatMap(r=>{let n=f[r];return typeof n=="string"?[[r,n]]:[]}));if(m.cache?.trim()==="github")throw new p("NCP-103","--cache github: GitHub's cache is there for its jobs alone",{hint:"write file:///DIRECTORY or another kind of cache; without one, none is written to"});let h=Object.fromEntries(Object.entries(A).map(([r,n])=>[r,e[n]??""]));return{inputs:{...y,cache:"none",...m,...h,mode:a,targets:d.join(`
`)},format:i.json?"json":"text"}}o(D,"parseCommand");function U(t){return t==="read-only"?{kind:"read-only",why:"--trust read-only was asked for"}:{kind:"write",pins:"keep",why:"at a desk"}}o(U,"deskTrust");function Y(t){let e=t.HOME??_();return x(t.XDG_STATE_HOME||x(e,".local","state"),"nix-cache-preflight")}o(Y,"stateFolder");var J={group:o(t=>process.stderr.write(`${w(t)}
`),"group"),endGroup:o(()=>{},"endGroup"),info:o(t=>process.stderr.write(`  ${w(t)}
`),"info"),debug:o(()=>{},"debug")};async function X(t){let e=new AbortController,s=o(n=>e.abort(new p("NCP-501",`interrupted by ${n}`)),"interrupt");process.once("SIGINT",s),process.once("SIGTERM",s);let i=$(),c,a;try{if(c=D(t,i),c==="help")return process.stdout.write(M),t.length===0?2:0;a=O(c.inputs)}catch(n){return L(n),2}try{var d=[];try{let n=b(d,await G({...a,environment:i,workspace:process.cwd(),folder:Y(i),platform:process.platform,log:J,signal:e.signal}),!0);let l=await T(a.job,U(a.trust),n.world,e.signal);if(c.format==="json")process.stdout.write(`${JSON.stringify(v(l),null,2)}
`);else{for(let g of[...S(l),...C(l)])process.stdout.write(`${g}
`);process.stdout.write(`${R(l)}
`)}return I(l).some(({level:g})=>g==="error")?1:0}catch(f){var m=f,h=!0}finally{var r=j(d,m,h);r&&await r}}catch(n){return L(n),1}}o(X,"cli");function L(t){let e=t instanceof p&&t.hint?`
  ${t.hint}`:"",s=t instanceof p?` ${t.code}`:"";process.stderr.write(`error${s}: ${k(t)}${e}
`)}o(L,"tell");process.exitCode=await X(process.argv.slice(2));
