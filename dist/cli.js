#!/usr/bin/env node
import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{c as I,d as T,e as S,g as w,n as R,p as C,q as O}from"./chunk-SY2DQSMV.js";import{J as m,K as y,M as L,a as s,b,c as k,d as l,e as N,o as $,q as j,s as v}from"./chunk-FVOPK75C.js";import{parseArgs as A}from"node:util";var G={token:"NIX_CACHE_PREFLIGHT_TOKEN","signing-key":"NIX_CACHE_PREFLIGHT_SIGNING_KEY"},P=new Set(["targets","mode","token","signing-key","install-nix"]),E=Object.keys(y).filter(n=>!P.has(n)),_=`nix-cache-preflight MODE [TARGET \u2026] [--INPUT VALUE \u2026]

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
${M(E.map(n=>`--${n}`))}
Secrets come from the environment: ${Object.values(G).join(", ")}.

Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`;function M(n){let t=[];for(let r of n){let i=t.at(-1);i!==void 0&&i.length+r.length<84?t[t.length-1]+=` ${r}`:t.push(`  ${r}`)}return t.join(`
`)}s(M,"wrapped");function F(n,t){let r=Object.fromEntries(E.map(o=>[o,{type:"string"}])),{values:i,positionals:c}=A({args:[...n],allowPositionals:!0,options:{...r,json:{type:"boolean"},help:{type:"boolean",short:"h"}}});if(i.help||c.length===0)return"help";let[a="",...d]=c;if(!m.some(o=>o===a))throw new l("NCP-101",`"${a}" is not a mode.${$(a,m)}`,{hint:`say one of ${m.join(", ")}, or --help`});let u=i,f=Object.fromEntries(E.flatMap(o=>{let e=u[o];return typeof e=="string"?[[o,e]]:[]})),h=Object.fromEntries(Object.entries(G).map(([o,e])=>[o,t[e]??""]));return{inputs:{...y,cache:"none",...f,...h,mode:a,targets:d.join(`
`)},format:i.json?"json":"text"}}s(F,"parseCommand");function H(n){return n==="read-only"?{kind:"read-only",why:"--trust read-only was asked for"}:{kind:"write",pins:"keep",why:"at a desk"}}s(H,"deskTrust");var U={group:s(n=>process.stderr.write(`${w(n)}
`),"group"),endGroup:s(()=>{},"endGroup"),info:s(n=>process.stderr.write(`  ${w(n)}
`),"info"),debug:s(()=>{},"debug")};async function Y(n){let t=new AbortController,r=s(e=>t.abort(new l("NCP-501",`interrupted by ${e}`)),"interrupt");process.once("SIGINT",r),process.once("SIGTERM",r);let i=j(),c,a;try{if(c=F(n,i),c==="help")return process.stdout.write(_),n.length===0?2:0;a=L(c.inputs)}catch(e){return x(e),2}try{var d=[];try{let e=b(d,await v({...a,environment:i,workspace:process.cwd(),platform:process.platform,log:U,signal:t.signal}),!0);let p=await I(a.job,H(a.trust),e.world,t.signal);if(c.format==="json")process.stdout.write(`${JSON.stringify(T(p),null,2)}
`);else{for(let g of[...C(p),...O(p)])process.stdout.write(`${g}
`);process.stdout.write(`${R(p)}
`)}return S(p).some(({level:g})=>g==="error")?1:0}catch(u){var f=u,h=!0}finally{var o=k(d,f,h);o&&await o}}catch(e){return x(e),1}}s(Y,"cli");function x(n){let t=n instanceof l&&n.hint?`
  ${n.hint}`:"",r=n instanceof l?` ${n.code}`:"";process.stderr.write(`error${r}: ${N(n)}${t}
`)}s(x,"tell");process.exitCode=await Y(process.argv.slice(2));
