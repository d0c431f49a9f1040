import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{d as X,e as V,f as K,k as q}from"./chunk-HXW2ISWF.js";import{a as M,b as G,c as H}from"./chunk-LA2B4UAX.js";import{F as P,G as D,O as A,S as U}from"./chunk-Z4F3IWLO.js";import{a as w,f as W}from"./chunk-ZAT4L6IX.js";import{o as f,p as k,q as F,s as z}from"./chunk-IVNDL7A4.js";import"./chunk-VINNQ3WB.js";import{a as Y}from"./chunk-DN4CXJEM.js";import"./chunk-7SXPISRI.js";import"./chunk-26KLBPFM.js";import{D as L,s as _}from"./chunk-FFZXRWJ3.js";import{e as x}from"./chunk-JDFFJGUJ.js";import{a as d,b as $}from"./chunk-QD5BYUI3.js";import{a as r,f as b,g as R}from"./chunk-QA55TPRG.js";import{homedir as Ee}from"node:os";import{join as re}from"node:path";import{parseArgs as fe}from"node:util";var h=["bash","zsh","fish"],c="nix-cache-preflight";function J(e,t){switch(e){case"bash":return de(t);case"zsh":return ue(t);case"fish":return me(t);default:return e}}r(J,"completionScript");var O=Object.entries(F).filter(([e])=>e!=="mode"),E=["json","help","version"],j="nix --extra-experimental-features 'nix-command flakes' build";function de({options:e,commands:t}){let o=O.map(([s,n])=>`    --${s}) words="${n.join(" ")}" ;;`);return`# bash completion for ${c}: eval "$(${c} completion bash)"
_nix_cache_preflight() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words=
  case $prev in
${o.join(`
`)}
    completion) words="${h.join(" ")}" ;;
    --*) case $prev in ${E.map(s=>`--${s}`).join("|")}) ;; *) return ;; esac ;;
  esac
  if [ -z "$words" ]; then
    if [ "$COMP_CWORD" -eq 1 ]; then words="${[...f,...t].join(" ")}"
    elif [ "\${cur#-}" != "$cur" ]; then words="${[...e,...E].map(s=>`--${s}`).join(" ")}"
    else words=$(NIX_GET_COMPLETIONS=6 ${j} "$cur" 2> /dev/null | tail -n +2 | cut -f 1)
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _nix_cache_preflight ${c}
`}r(de,"bash");function ue({options:e,commands:t}){let o=new Map(O.map(([n,i])=>[n,i.join(" ")])),s=e.map(n=>{let i=o.get(n);return`    '--${n}[input ${n}]:value:${i===void 0?"":`(${i})`}'`});return`#compdef ${c}
# zsh completion for ${c}: eval "$(${c} completion zsh)"
_nix_cache_preflight_targets() {
  local -a found
  found=(\${(f)"$(NIX_GET_COMPLETIONS=6 ${j} "$words[CURRENT]" 2> /dev/null | tail -n +2 | cut -f 1)"})
  compadd -- $found
}
_nix_cache_preflight_rest() {
  if [[ $words[2] == completion ]]; then compadd -- ${h.join(" ")}
  else _nix_cache_preflight_targets
  fi
}
_nix_cache_preflight() {
  _arguments -S \\
    '1:command:(${[...f,...t].join(" ")})' \\
    '*:target:_nix_cache_preflight_rest' \\
    ${E.map(n=>`'--${n}'`).join(" ")} \\
${s.join(` \\
`)}
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _nix_cache_preflight "$@"
else compdef _nix_cache_preflight ${c}
fi
`}r(ue,"zsh");function me({options:e,commands:t}){let o=new Map(O.map(([n,i])=>[n,i.join(" ")])),s=e.map(n=>{let i=o.get(n);return`complete -c ${c} -l ${n} -x${i===void 0?"":` -a "${i}"`}`});return`# fish completion for ${c}: ${c} completion fish | source
complete -c ${c} -f
complete -c ${c} -n __fish_use_subcommand -a "${[...f,...t].join(" ")}"
complete -c ${c} -n "__fish_seen_subcommand_from completion" -a "${h.join(" ")}"
complete -c ${c} -n "__fish_seen_subcommand_from ${f.join(" ")}" -a "(NIX_GET_COMPLETIONS=6 ${j} (commandline -ct) 2> /dev/null | tail -n +2 | cut -f 1)"
${E.map(n=>`complete -c ${c} -l ${n}`).join(`
`)}
${s.join(`
`)}
`}r(me,"fish");var v={token:"NIX_CACHE_PREFLIGHT_TOKEN","signing-key":"NIX_CACHE_PREFLIGHT_SIGNING_KEY"},he=new Set(["targets","mode","token","signing-key","install-nix"]),g=Object.keys(k).filter(e=>!he.has(e)),T=["setup","completion"],C=[...f,...T];function Q(e,t){let{values:o,positionals:s}=ge(e);if(o.help===!0)return{kind:"help",asked:"yes"};if(o.version===!0)return{kind:"version"};let[n,...i]=s;if(n===void 0)return{kind:"help",asked:"no"};if(n==="help")return{kind:"help",asked:"yes"};if(!C.includes(n))throw new d("NCP-640",`"${n}" is not a command.${_(n,C)}`,{hint:`say one of ${C.join(", ")}, or --help`});if(n==="completion")return{kind:"completion",shell:ye(i)};let p=o.json===!0?"json":"text";if(n==="setup"){if(i[0]!==void 0)throw new d("NCP-640",`setup: "${i[0]}" is one word too many`,{hint:"write --cache CACHE, or --substituters 'URL PUBLIC-KEY'"});return{kind:"setup",inputs:B(o,t),format:p}}return{kind:"run",inputs:{...B(o,t),mode:n,targets:i.join(`
`)},format:p}}r(Q,"parseCommand");function ge(e){let t=Object.fromEntries(g.map(o=>[o,{type:"string"}]));try{return fe({args:[...e],allowPositionals:!0,options:{...t,json:{type:"boolean"},help:{type:"boolean",short:"h"},version:{type:"boolean"}}})}catch(o){let s=String(o).replace(/^TypeError[^:]*: /,""),n=/^Unknown option '-*([^']*)'/.exec(s)?.[1],i=[...g,"json","help","version"],p=n===void 0?"":_(n,i),l=n===void 0?s:`there is no option --${n}.${p}`;throw new d("NCP-640",l,{hint:"--help lists all options"})}}r(ge,"parsed");function B(e,t){let o=Object.fromEntries(g.flatMap(n=>{let i=e[n];return typeof i=="string"?[[n,i]]:[]}));if(o.cache?.trim()==="github")throw new d("NCP-103","--cache github: GitHub's cache is there for its jobs alone",{hint:"write file:///DIRECTORY or another kind of cache; without one, none is written to"});let s=Object.fromEntries(Object.entries(v).map(([n,i])=>[n,t[i]??""]));return{...k,cache:"none",...o,...s}}r(B,"inputsOf");function ye([e="",...t]){let o=h.find(n=>n===e);if(o&&t.length===0)return o;let s=e===""?"completion: for which shell?":`completion: "${[e,...t].join(" ")}" is not a shell it knows.`;throw new d("NCP-640",`${s}${_(e,h)}`,{hint:`write completion ${h.join(", completion ")}`})}r(ye,"shellNamed");var $e=80;function Z(){return`nix-cache-preflight COMMAND [TARGET \u2026] [--OPTION VALUE \u2026]

  check      what is cached, and what would another machine have to build?
  prefetch   and fetch what is cached
  warm       and build what is missing, push, verify and pin it
  audit      is what was pushed and pinned still there?
  setup      add --cache and --substituters to your Nix configuration, for good
  completion bash|zsh|fish

TARGET is an installable (.#name, nixpkgs#bws, '.#packages.SYSTEM.*'); without
one, every package of the flake here. Attributes follow: 'nixpkgs#bws pin=bws'.
Options are the action's inputs, with its defaults, but for --cache (none):
${we(g.map(e=>`--${e}`))}
  --json (the report on standard output)  --version  --help
Secrets: ${Object.values(v).join(", ")}.
Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`}r(Z,"helpText");function we(e){let t=[];for(let o of e){let s=t.at(-1);s!==void 0&&s.length+1+o.length<=$e?t[t.length-1]=`${s} ${o}`:t.push(`  ${o}`)}return t.join(`
`)}r(we,"wrapped");function ee(e){return{group:r(t=>e(w(t)),"group"),endGroup:r(()=>{},"endGroup"),info:r(t=>{for(let o of t.split(`
`))e(`  ${w(o)}`)},"info"),debug:r(()=>{},"debug"),watch:U(t=>e(`  ${t}`),W)}}r(ee,"plainLog");async function te(e,t){let{setUp:o}=await import("./set-up-QVNI636O.js");t.log.group("Set up");try{return await o({...e,...t,workspace:process.cwd(),platform:process.platform})}finally{t.log.endGroup()}}r(te,"setup");function ne({file:e,caches:t,added:o,troubles:s}){let{substituters:n,publicKeys:i}=o,p=n.length+i.length>0,l=[...n.map(a=>`  substituter ${a}: added`),...i.map(a=>`  key ${a}: added`),...t.filter(({url:a})=>!n.includes(a)).map(({url:a})=>`  substituter ${a}: was there already`),...s.flatMap(a=>[`error ${a.code}: ${$(a)}`,...a.hint===void 0?[]:[`  \u2192 ${a.hint}`]])],m=p?`${x(n.length,"substituter")} and ${x(i.length,"key")} added to ${e}`:`nothing to add: ${e} is as it should be`;return[...l,m].flatMap(a=>a.split(`
`)).map(w)}r(ne,"setupLines");function oe({file:e,caches:t,added:o,troubles:s}){return{file:e,caches:t,added:o,errors:s.map(n=>({code:n.code,message:$(n),hint:n.hint??null}))}}r(oe,"setupJson");var _e=[[/^error\b/,"red"],[/^warning\b/,"yellow"],[/^notice\b/,"dim"],[/^ {2}→/,"cyan"],[/^ {2}\S.*: (missing|failed)/,"yellow"],[/^ {2}\S.*: (own|upstream|cached now)/,"green"]];function se(e,t){let o=K(t),s=r((p,l)=>{let m=t.isTTY?q(p,V(t)):p;t.write(`${l===void 0?m:o(l,m)}
`)},"print"),[n="",...i]=G(e);s(n,"bold");for(let p of[...i,...H(e)])s(p,_e.find(([l])=>l.test(p))?.[1]);s(A(e))}r(se,"showRun");async function yt(e){let t=L(),o,s;try{o=Q(e,t),s="inputs"in o?z(o.inputs):void 0}catch(n){return ie(n,e.includes("--json")?"json":"text"),2}switch(o.kind){case"help":return process.stdout.write(Z()),o.asked==="yes"?0:2;case"version":return process.stdout.write(`${Y}
`),0;case"completion":return process.stdout.write(J(o.shell,{options:g,commands:T})),0;case"setup":case"run":return s?Se(o,s,t):2;default:return o}}r(yt,"main");async function Se(e,t,o){let s=new AbortController,n=r(u=>{s.signal.aborted&&process.exit(1),s.abort(new d("NCP-501",`interrupted by ${u}`,{hint:"what was finished is kept; running it again goes on from there"}))},"interrupt");process.on("SIGINT",n),process.on("SIGTERM",n);let{signal:i}=s,p=ke(o);try{var l=[];try{let u=b(l,await be(o));let pe={environment:o,folder:p,log:u.log,signal:i};if(e.kind==="setup"){let y=await te(t,pe);return u.end(),e.format==="json"?N(oe(y)):process.stdout.write(`${ne(y).join(`
`)}
`),y.troubles.length>0?1:0}let{compose:ce}=await import("./compose-UPBDDKWZ.js");let le=b(l,await ce({...t,environment:o,workspace:process.cwd(),folder:p,platform:process.platform,log:u.log,signal:i}),!0);let S=await M(t.job,xe(t.trust),le.world,i);u.end();e.format==="json"?N(P(S)):se(S,process.stdout);return D(S).some(({level:y})=>y==="error")?1:0}catch(m){var a=m,ae=!0}finally{var I=R(l,a,ae);I&&await I}}catch(u){return ie(u,e.format),1}finally{process.off("SIGINT",n),process.off("SIGTERM",n)}}r(Se,"work");async function be(e){if(X(process.stderr,e)){let{display:t}=await import("./display-JM32WQF7.js");return t(process.stderr,e)}return{log:ee(t=>process.stderr.write(`${t}
`)),end:r(()=>{},"end"),[Symbol.dispose]:()=>{}}}r(be,"openLog");function xe(e){return e==="read-only"?{kind:"read-only",why:"--trust read-only was asked for"}:{kind:"write",pins:"keep",why:"at a desk"}}r(xe,"deskTrust");function ke(e){let t=e.HOME??Ee();return re(e.XDG_STATE_HOME||re(t,".local","state"),"nix-cache-preflight")}r(ke,"stateFolder");function ie(e,t){let o=e instanceof d,s=o?e.code:"NCP-649",n=o?$(e):`a fault of nix-cache-preflight: ${e instanceof Error?e.stack??e.message:String(e)}`,i=o?e.hint:"please report it, with this text and the command";t==="json"&&N({error:{code:s,message:n,hint:i??null}}),process.stderr.write(`error ${s}: ${n}
${i?`  \u2192 ${i}
`:""}`)}r(ie,"tell");function N(e){process.stdout.write(`${JSON.stringify(e,null,2)}
`)}r(N,"print");export{yt as main};
