#!/usr/bin/env node
import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{D as R,F as C,G as m,H as y,J as O,a as s,b,c as k,d as p,e as N,g as $,h as j,i as v,t as I,u as T,v as S,x as w}from"./chunk-CF5P3HV3.js";import{parseArgs as L}from"node:util";var G={token:"NIX_CACHE_PREFLIGHT_TOKEN","signing-key":"NIX_CACHE_PREFLIGHT_SIGNING_KEY"},A=new Set(["targets","mode","token","signing-key","install-nix"]),E=Object.keys(y).filter(t=>!A.has(t)),P=`nix-cache-preflight MODE [TARGET \u2026] [--INPUT VALUE \u2026]

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
${_(E.map(t=>`--${t}`))}
Secrets come from the environment: ${Object.values(G).join(", ")}.

Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`;function _(t){let n=[];for(let r of t){let i=n.at(-1);i!==void 0&&i.length+r.length<84?n[n.length-1]+=` ${r}`:n.push(`  ${r}`)}return n.join(`
`)}s(_,"wrapped");function M(t,n){let r=Object.fromEntries(E.map(o=>[o,{type:"string"}])),{values:i,positionals:c}=L({args:[...t],allowPositionals:!0,options:{...r,json:{type:"boolean"},help:{type:"boolean",short:"h"}}});if(i.help||c.length===0)return"help";let[a="",...l]=c;if(!m.some(o=>o===a))throw new p("NCP-101",`"${a}" is not a mode.${$(a,m)}`,{hint:`say one of ${m.join(", ")}, or --help`});let u=i,f=Object.fromEntries(E.flatMap(o=>{let e=u[o];return typeof e=="string"?[[o,e]]:[]})),h=Object.fromEntries(Object.entries(G).map(([o,e])=>[o,n[e]??""]));return{inputs:{...y,cache:"none",...f,...h,mode:a,targets:l.join(`
`)},format:i.json?"json":"text"}}s(M,"parseCommand");function F(t){return t==="read-only"?{kind:"read-only",why:"--trust read-only was asked for"}:{kind:"write",pins:"keep",why:"at a desk"}}s(F,"deskTrust");var H={group:s(t=>process.stderr.write(`${w(t)}
`),"group"),endGroup:s(()=>{},"endGroup"),info:s(t=>process.stderr.write(`  ${w(t)}
`),"info"),debug:s(()=>{},"debug")};async function U(t){let n=new AbortController,r=s(e=>n.abort(new p("NCP-501",`interrupted by ${e}`)),"interrupt");process.once("SIGINT",r),process.once("SIGTERM",r);let i=j(),c,a;try{if(c=M(t,i),c==="help")return process.stdout.write(P),t.length===0?2:0;a=O(c.inputs)}catch(e){return x(e),2}try{var l=[];try{let e=b(l,await v({...a,environment:i,workspace:process.cwd(),platform:process.platform,log:H,signal:n.signal}),!0);let d=await I(a.job,F(a.trust),e.world,n.signal);if(c.format==="json")process.stdout.write(`${JSON.stringify(T(d),null,2)}
`);else{for(let g of C(d))process.stdout.write(`${g}
`);process.stdout.write(`${R(d)}
`)}return S(d).some(({level:g})=>g==="error")?1:0}catch(u){var f=u,h=!0}finally{var o=k(l,f,h);o&&await o}}catch(e){return x(e),1}}s(U,"cli");function x(t){let n=t instanceof p&&t.hint?`
  ${t.hint}`:"",r=t instanceof p?` ${t.code}`:"";process.stderr.write(`error${r}: ${N(t)}${n}
`)}s(x,"tell");process.exitCode=await U(process.argv.slice(2));
