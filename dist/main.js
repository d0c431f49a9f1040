import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a as U,b as w,c as rt,d as it,e as T,g as lt,l as ut,n as pt,o as ht,q as yt,r as $t,s as wt,t as bt,u as xt,v as Rt}from"./chunk-53MEMCMI.js";import{a as H}from"./chunk-32TG5HZY.js";import{c as ot,f as st,g as at,h as ct,k as ft,m as dt}from"./chunk-HZZU6VEJ.js";import{a as W,b as et}from"./chunk-VV54P7BB.js";import{A as q,B as Q,C as Z,D as tt,E as nt,r as X,s as N,t as O,u as K,w as p,x as y,y as V,z as Y}from"./chunk-G6GDW5EI.js";import"./chunk-4ABTRHNB.js";import{d as P,e as mt,f as gt}from"./chunk-64EP7LJC.js";import{P as J,S as z,T as D,u as b,w as B,x as v}from"./chunk-HER4SMRH.js";import{a as S,b as E}from"./chunk-PRTB6RIE.js";import{a as I,i as F,j as G,s as M}from"./chunk-RJC22BYP.js";import{a,f as _,g as j}from"./chunk-QA55TPRG.js";import{mkdir as sn}from"node:fs/promises";import{delimiter as an,join as cn}from"node:path";var It=1024*1024,vt=30,Ft=2e3;function Nt(t){let n=[`## Nix Cache Preflight

**${p(V(t))}**`,Mt(t),Bt(t),Wt(t),Ht(t),Jt(t),zt(t),Ut(t),Xt(t)].filter(e=>e!=="");return Gt(n)}a(Nt,"summary");function Gt(t){let n=`

_The page was too long and is cut; the JSON report holds everything._
`,e="";for(let r of t){let o=e===""?r:`${e}

${r}`;if(Buffer.byteLength(o)>It-n.length)return e+n;e=o}return`${e}
`}a(Gt,"joined");function Mt(t){let n=N(t).filter(({level:o})=>o!=="notice");if(n.length===0)return"";let e=n.slice(0,20).map(({level:o,code:i,message:s,hint:c})=>{let f=o==="error"?"\u274C":"\u26A0\uFE0F",d=s.split(`
`).slice(0,3).join(" ").slice(0,600);return`- ${f} ${p(d)}${i?` (${i})`:""}${c?`<br>${p(c)}`:""}`}),r=n.length>20?`
- and ${n.length-20} more, in the report`:"";return e.join(`
`)+r}a(Mt,"findings");function Bt(t){let{survey:n}=t;if(n.targets.length===0)return"";let r=[...n.targets].sort((o,i)=>Number(O(t,o))-Number(O(t,i))).map(o=>{let i=Z(n,o),s=O(t,o)?"\u2705":o.verdict.kind==="missing"?"\u{1F528}":"\u2754",c=p(Y(n,o.verdict)),f=o.local==="here"?"yes":"";return`| ${s} | ${y(o.name)} | ${c} | ${f} | ${i===void 0?"":b(i)} |`});return`### Targets

${x(`| | target | on a fresh machine | here | size |
|-|-|-|-|-:|`,r)}`}a(Bt,"targets");function Wt({survey:t}){let n=[...t.derivations.values()].filter(({kind:r})=>r==="source");if(n.length===0)return"";let e=n.map(({name:r,heavy:o,wantedBy:i,system:s})=>`| ${y(r)} | ${o==="heavy"?"heavy":""} | ${v(i.length,"target")} | ${p(s)} |`);return`### In no cache

${x(`| derivation | weight | wanted by | system |
|-|-|-|-|`,e)}`}a(Wt,"missing");function x(t,n){let e=n.slice(0,vt),r=n.slice(vt,Ft),o=n.length-e.length-r.length,i=r.length===0?"":`

<details><summary>${r.length} more</summary>

${t}
${r.join(`
`)}

</details>`;return`${t}
${e.join(`
`)}${i}${o>0?`

and ${o} more, in the report`:""}`}a(x,"table");function Ht({outcome:t}){let{steps:n,verified:e,pinned:r}=t;if(n.length===0)return"";let o=nt(t),i=n.map(({what:f,begin:d,end:l})=>`| ${p(f)} | ${B((l-d)/1e3)} |`),s=e.map(({target:f,outcome:d,detail:l,paths:h})=>{let m=r.find($=>$.target===f),u=m?`pin ${y(m.name)} ${m.state}`:"",g=`${p(d)}${l?` (${p(l)})`:""}`;return`| ${d==="verified"?"\u2705":"\u26A0\uFE0F"} | ${y(f)} | ${g} | ${h} | ${u} |`}),c=s.length>0?`

### Read back

${x(`| | target | outcome | paths | pin |
|-|-|-|-:|-|`,s)}`:"";return`### Done

${o.length>0?`${p(o.join(", "))}.

`:""}${x(`| step | time |
|-|-:|`,i)}${c}`}a(Ht,"done");function Jt({plan:t,survey:n}){if(n.trust.kind!=="read-only")return"";let e=`This run is read-only: ${p(n.trust.why)}.`;if(t.withheld.length===0)return e;let r=t.withheld.map(({target:o,paths:i})=>`| ${y(o)} | ${i.length} |`);return`${e} It would have pushed:

${x(`| target | roots |
|-|-:|`,r)}`}a(Jt,"withheld");function zt({plan:t,job:n}){let{fileSystems:e,unknownBuilds:r}=t.room;if(e.length===0)return"";let o=e.map(s=>{let c=s.needs.map(({what:f,bytes:d})=>`${f} ${b(d)}`).join(", ");return`| ${y(s.fileSystem.mountPoint)} | ${Dt(s)} | ${b(s.fileSystem.freeBytes)} | ${p(c)} | ${b(s.bytesAfter)} |`}),i=r>0?`

${v(r,"build")} of unknown size; say space= on its target.`:"";return`### Room

${x(`| file system | | free | this run needs | after |
|-|-|-:|-|-:|`,o)}

${b(n.minFree)} is to stay free.${i}`}a(zt,"room");function Dt({fileSystem:t,bytesNeeded:n}){let{totalBytes:e,freeBytes:r}=t;if(e<=0)return"";let o=a(c=>Math.max(0,Math.round(c/e*20)),"part"),i=Math.min(20,o(e-r)),s=Math.min(20-i,n>0?Math.max(1,o(n)):0);return"\u2588".repeat(i)+"\u2592".repeat(s)+"\u2591".repeat(20-i-s)}a(Dt,"bar");function Ut({survey:t}){if(t.tiers.length===0)return"";let n=t.tiers.map(e=>{let{name:r,role:o,state:i,count:s}=e,[c,f]=i.kind==="reachable"?[`${Math.round(i.milliseconds)} ms`,i.priority]:["",""];return`| ${y(r)} | ${o} | ${q(e)} | ${c} | ${f} | ${s.hits} of ${s.asked} | ${b(s.bytes)} |`});return`### Caches

${x(`| cache | role | | answers in | priority | hits | their size |
|-|-|-|-:|-:|-:|-:|`,n)}`}a(Ut,"tiers");function Xt({survey:t}){let n=t.recalled===void 0?"":`; ${p(Q(t.recalled))}`;return`Cache key: ${y(t.key.key)}${n}.`}a(Xt,"key");import{rm as Kt}from"node:fs/promises";import{join as Vt}from"node:path";async function kt(t,n,e,r){if(t.cache.kind!=="github"||process.platform==="win32")return{record:void 0,notices:[]};try{return await qt(await Yt(t,n,e),e,r)}catch(o){r.throwIfAborted();let i={kind:"failed",detail:E(o)};return{record:void 0,notices:[T(i,"nothing")]}}}a(kt,"restoreGithub");async function Yt(t,n,{environment:e}){return pt({job:t,keyFiles:await mt(n,t.keyFiles),platform:process.platform,arch:process.arch,storeDir:e.NIX_STORE_DIR||"/nix/store"})}a(Yt,"layersFor");async function qt(t,n,e){let r=await at(n),{keys:o,trouble:i}=await lt(t,r,e),s=new Set,c=[];for(let[f,d]of t.entries()){let{kind:l,folder:h,key:m}=d,u=o[f],g=Vt(r.directory,h);if(u===void 0){await Kt(g,{recursive:!0,force:!0}),c.push({kind:l,folder:h,key:m});continue}let $=await ut(g,st(n.folder));for(let C of $)s.add(C);c.push({kind:l,folder:h,key:m,...ht(d,u)?{holds:[...$]}:{}}),n.log.info(`github: ${v($.size,"path")} restored from ${u}`)}return{record:{version:1,layers:c,restored:[...s]},notices:i?[T(i,s.size>0?"a part":"nothing")]:[]}}a(qt,"restoreLayers");function St({targets:t}){let n=[];for(let{wanted:e}of t)if(e?.kind==="derivation")n.push(e.drvPath);else if(e?.kind!=="path")return;return n}a(St,"derivationsOf");import{access as Qt,mkdtemp as Zt,readdir as tn}from"node:fs/promises";import{delimiter as nn,join as R}from"node:path";var Ct={version:"2.31.4",base:new URL("https://releases.nixos.org/nix/nix-2.31.4/"),sha256:{"x86_64-linux":"a21fde5116b1f28ef4990cc9fdb2b5002cff43bbd85171e199f2e72b7fc0b9fa","aarch64-linux":"3fdef0c5638853dc78136d27583984e42d16d5e9c1d9569eb0fbec8aed966daf","x86_64-darwin":"e06a1e30b05c707f5c554d213eb60b3282521998d1656d3e05868ff2abc870f6","aarch64-darwin":"f023e8ed587cfd17809e6825aa46520f99b8e3c8c5c6faf3e308f84a839e2e13"}},Et="nix-tarball",en=15*6e4;async function Pt(t){for(let n of(t.PATH??"").split(nn)){if(n==="")continue;if(await Qt(R(n,"nix")).then(()=>!0,()=>!1))return!0}return!1}a(Pt,"hasNix");async function Tt(t){let{release:n,environment:e,log:r,signal:o}=t,i=rn(t),s=n.sha256[i];if(s===void 0)throw new S("NCP-201",`install-nix: there is no release of Nix for ${i} here`,{hint:"put a step that installs Nix before this one"});let c=await on(t,i,s),d=await(await import("./tool-cache-5MPG57Y7.js")).extractTar(c,await Zt(R(t.folder,"nix-")),"xJ"),[l=""]=await tn(d),h=t.platform==="darwin"?"--daemon":"--no-daemon";r.info(`installing Nix ${n.version} for ${i}`);let{code:m,stderr:u}=await gt(R(d,l,"install"),[h,"--yes","--no-channel-add","--no-modify-profile"],{env:z(e,{NIX_CONFIG:`build-users-group =
${e.NIX_CONFIG??""}`}),signal:o,deadline:en,onErrorLine:a(g=>r.info(g),"onErrorLine")});if(m!==0)throw new S("NCP-201",`install-nix: Nix's installer ended with ${m}: ${u}`);return["/nix/var/nix/profiles/default/bin",R(e.HOME??"",".nix-profile/bin")]}a(Tt,"installNix");async function on({release:t,environment:n,log:e},r,o){let i=await import("./tool-cache-5MPG57Y7.js"),{version:s,base:c}=t,f=`nix-${s}-${r}.tar.xz`,d=r.split("-")[0]??r,l=(n.RUNNER_TOOL_CACHE??"")!=="",h=l?i.find(Et,s,d):"";if(h!==""){let g=R(h,f);if(await P(g)===o)return g;throw Ot(`the tool cache's ${g}`,o)}let m=new URL(f,c).href;e.info(`downloading ${m}`);let u=await i.downloadTool(m);if(await P(u)!==o)throw Ot(m,o);return l?R(await i.cacheFile(u,f,Et,s,d),f):u}a(on,"fetchTarball");function Ot(t,n){return new S("NCP-201",`install-nix: ${t} has not the SHA-256 ${n}`,{hint:"it is damaged or was changed, and is not used: remove it, or install Nix in a step of its own"})}a(Ot,"mismatch");function rn({platform:t,arch:n}){return`${n==="arm64"?"aarch64":n==="x64"?"x86_64":n}-${t}`}a(rn,"systemOf");function At(){return $t(async t=>{var $=[];try{let n=await ft(D());it(n);let e=dt(n);let{job:r}=n;w.info(`nix-cache-preflight: ${r.mode}, cache ${r.cacheName}, ${e.kind} (${e.why})`);let o=await fn(n,t);let i=kt(r,o.workspace,{...o,log:w},t);i.catch(()=>{});let{compose:s}=await wt();let c=_($,await s({...o,platform:process.platform,log:w,signal:t}),!0);let f=await c.storeNames();let{record:d,notices:l}=await i;let h={...c.world,notices:[...c.world.notices,...l]};let m=await W(r,e,h,t);await dn(m,o);if(d){let k=St(m.survey);await ct({...d,...k?{derivations:k}:{}},o.folder)}let u=m.survey.targets.flatMap(({name:k,outputs:L,pinName:jt})=>L?[{name:k,outputs:L,pinName:jt}]:[]);let g=H(r,e,c.world)?await ot({environment:o.environment,storeNames:[...await c.storeNames()]},o.folder):void 0;M(xt,await Rt({trust:e,memory:{targets:u,storeNames:f},watcher:g},o.folder,bt(o)));yt(N(m))}catch(C){var Lt=C,_t=!0}finally{var A=j($,Lt,_t);A&&await A}})}a(At,"main");async function fn(t,n){let{environment:e,folder:r,job:o}=t,{platform:i,arch:s}=process;if(o.installNix!=="install"||i==="win32"||await Pt(e))return t;await sn(r,{recursive:!0});let c=await Tt({release:Ct,environment:e,platform:i,arch:s,folder:r,log:w,signal:n});for(let d of c)F(d);let f=[...c,e.PATH??""].join(an);return{...t,environment:{...e,PATH:f}}}a(fn,"withNix");async function dn(t,{folder:n}){let e=cn(n,"report.json");await J(e,`${JSON.stringify(X(t),null,2)}
`);for(let[r,o]of Object.entries(K(t,e)))G(r,o);for(let r of et(t))w.info(r);for(let r of U(N(t)))rt(r);await I.addRaw(Nt(t)).write().catch(r=>w.info(`the job summary was not written: ${E(r)}`)),w.info(tt(t))}a(dn,"tell");await At();
