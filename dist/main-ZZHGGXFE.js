import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{d as X,e as V,f as K,k as q}from"./chunk-HXW2ISWF.js";import{a as L,b as G,c as H}from"./chunk-HUPBYS5A.js";import{B as P,C as D,K as A,M as U}from"./chunk-HHBZJIZH.js";import{a as w,f as W}from"./chunk-52L2DNC6.js";import{l as f,m as k,n as F,p as z}from"./chunk-QNOZ3XJ3.js";import{a as Y}from"./chunk-C3PGIKES.js";import"./chunk-SBD3R72Y.js";import{O as M,u as _}from"./chunk-FXRX2ONF.js";import{e as x}from"./chunk-CPCBO6QW.js";import{a as d,b as y}from"./chunk-6AZHYHFA.js";import{a as i,f as b,g as R}from"./chunk-QA55TPRG.js";import{homedir as Se}from"node:os";import{join as re}from"node:path";import{parseArgs as fe}from"node:util";var h=["bash","zsh","fish"],c="nix-cache-preflight";function J(e,t){switch(e){case"bash":return de(t);case"zsh":return ue(t);case"fish":return me(t);default:return e}}i(J,"completionScript");var O=Object.entries(F).filter(([e])=>e!=="mode"),S=["json","help","version"],j="nix --extra-experimental-features 'nix-command flakes' build";function de({options:e,commands:t}){let o=O.map(([s,n])=>`    --${s}) words="${n.join(" ")}" ;;`);return`# bash completion for ${c}: eval "$(${c} completion bash)"
_nix_cache_preflight() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words=
  case $prev in
${o.join(`
`)}
    completion) words="${h.join(" ")}" ;;
    --*) case $prev in ${S.map(s=>`--${s}`).join("|")}) ;; *) return ;; esac ;;
  esac
  if [ -z "$words" ]; then
    if [ "$COMP_CWORD" -eq 1 ]; then words="${[...f,...t].join(" ")}"
    elif [ "\${cur#-}" != "$cur" ]; then words="${[...e,...S].map(s=>`--${s}`).join(" ")}"
    else words=$(NIX_GET_COMPLETIONS=6 ${j} "$cur" 2> /dev/null | tail -n +2 | cut -f 1)
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _nix_cache_preflight ${c}
`}i(de,"bash");function ue({options:e,commands:t}){let o=new Map(O.map(([n,r])=>[n,r.join(" ")])),s=e.map(n=>{let r=o.get(n);return`    '--${n}[input ${n}]:value:${r===void 0?"":`(${r})`}'`});return`#compdef ${c}
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
    ${S.map(n=>`'--${n}'`).join(" ")} \\
${s.join(` \\
`)}
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _nix_cache_preflight "$@"
else compdef _nix_cache_preflight ${c}
fi
`}i(ue,"zsh");function me({options:e,commands:t}){let o=new Map(O.map(([n,r])=>[n,r.join(" ")])),s=e.map(n=>{let r=o.get(n);return`complete -c ${c} -l ${n} -x${r===void 0?"":` -a "${r}"`}`});return`# fish completion for ${c}: ${c} completion fish | source
complete -c ${c} -f
complete -c ${c} -n __fish_use_subcommand -a "${[...f,...t].join(" ")}"
complete -c ${c} -n "__fish_seen_subcommand_from completion" -a "${h.join(" ")}"
complete -c ${c} -n "__fish_seen_subcommand_from ${f.join(" ")}" -a "(NIX_GET_COMPLETIONS=6 ${j} (commandline -ct) 2> /dev/null | tail -n +2 | cut -f 1)"
${S.map(n=>`complete -c ${c} -l ${n}`).join(`
`)}
${s.join(`
`)}
`}i(me,"fish");var T={token:"NIX_CACHE_PREFLIGHT_TOKEN","signing-key":"NIX_CACHE_PREFLIGHT_SIGNING_KEY"},he=new Set(["targets","mode","token","signing-key","install-nix"]),g=Object.keys(k).filter(e=>!he.has(e)),N=["setup","completion"],C=[...f,...N];function Q(e,t){let{values:o,positionals:s}=ge(e);if(o.help===!0)return{kind:"help",asked:"yes"};if(o.version===!0)return{kind:"version"};let[n,...r]=s;if(n===void 0)return{kind:"help",asked:"no"};if(n==="help")return{kind:"help",asked:"yes"};if(!C.includes(n))throw new d("NCP-640",`"${n}" is not a command.${_(n,C)}`,{hint:`say one of ${C.join(", ")}, or --help`});if(n==="completion")return{kind:"completion",shell:$e(r)};let p=o.json===!0?"json":"text";if(n==="setup"){if(r[0]!==void 0)throw new d("NCP-640",`setup: "${r[0]}" is one word too many`,{hint:"write --cache CACHE, or --substituters 'URL PUBLIC-KEY'"});return{kind:"setup",inputs:B(o,t),format:p}}return{kind:"run",inputs:{...B(o,t),mode:n,targets:r.join(`
`)},format:p}}i(Q,"parseCommand");function ge(e){let t=Object.fromEntries(g.map(o=>[o,{type:"string"}]));try{return fe({args:[...e],allowPositionals:!0,options:{...t,json:{type:"boolean"},help:{type:"boolean",short:"h"},version:{type:"boolean"}}})}catch(o){let s=String(o).replace(/^TypeError[^:]*: /,""),n=/^Unknown option '-*([^']*)'/.exec(s)?.[1],r=[...g,"json","help","version"],p=n===void 0?"":_(n,r),l=n===void 0?s:`there is no option --${n}.${p}`;throw new d("NCP-640",l,{hint:"--help lists all options"})}}i(ge,"parsed");function B(e,t){let o=Object.fromEntries(g.flatMap(n=>{let r=e[n];return typeof r=="string"?[[n,r]]:[]}));if(o.cache?.trim()==="github")throw new d("NCP-103","--cache github: GitHub's cache is there for its jobs alone",{hint:"write file:///DIRECTORY or another kind of cache; without one, none is written to"});let s=Object.fromEntries(Object.entries(T).map(([n,r])=>[n,t[r]??""]));return{...k,cache:"none",...o,...s}}i(B,"inputsOf");function $e([e="",...t]){let o=h.find(n=>n===e);if(o&&t.length===0)return o;let s=e===""?"completion: for which shell?":`completion: "${[e,...t].join(" ")}" is not a shell it knows.`;throw new d("NCP-640",`${s}${_(e,h)}`,{hint:`write completion ${h.join(", completion ")}`})}i($e,"shellNamed");var ye=80;function Z(){return`nix-cache-preflight COMMAND [TARGET \u2026] [--OPTION VALUE \u2026]

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
Secrets: ${Object.values(T).join(", ")}.
Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`}i(Z,"helpText");function we(e){let t=[];for(let o of e){let s=t.at(-1);s!==void 0&&s.length+1+o.length<=ye?t[t.length-1]=`${s} ${o}`:t.push(`  ${o}`)}return t.join(`
`)}i(we,"wrapped");function ee(e){return{group:i(t=>e(w(t)),"group"),endGroup:i(()=>{},"endGroup"),info:i(t=>{for(let o of t.split(`
`))e(`  ${w(o)}`)},"info"),debug:i(()=>{},"debug"),watch:U(t=>e(`  ${t}`),W)}}i(ee,"plainLog");async function te(e,t){let{setUp:o}=await import("./set-up-MDEA6G7T.js");t.log.group("Set up");try{return await o({...e,...t,workspace:process.cwd(),platform:process.platform})}finally{t.log.endGroup()}}i(te,"setup");function ne({file:e,caches:t,added:o,troubles:s}){let{substituters:n,publicKeys:r}=o,p=n.length+r.length>0,l=[...n.map(a=>`  substituter ${a}: added`),...r.map(a=>`  key ${a}: added`),...t.filter(({url:a})=>!n.includes(a)).map(({url:a})=>`  substituter ${a}: was there already`),...s.flatMap(a=>[`error ${a.code}: ${y(a)}`,...a.hint===void 0?[]:[`  \u2192 ${a.hint}`]])],m=p?`${x(n.length,"substituter")} and ${x(r.length,"key")} added to ${e}`:`nothing to add: ${e} is as it should be`;return[...l,m].flatMap(a=>a.split(`
`)).map(w)}i(ne,"setupLines");function oe({file:e,caches:t,added:o,troubles:s}){return{file:e,caches:t,added:o,errors:s.map(n=>({code:n.code,message:y(n),hint:n.hint??null}))}}i(oe,"setupJson");var _e=[[/^error\b/,"red"],[/^warning\b/,"yellow"],[/^notice\b/,"dim"],[/^ {2}→/,"cyan"],[/^ {2}\S.*: (missing|failed)/,"yellow"],[/^ {2}\S.*: (own|upstream|cached now)/,"green"]];function se(e,t){let o=K(t),s=i((p,l)=>{let m=t.isTTY?q(p,V(t)):p;t.write(`${l===void 0?m:o(l,m)}
`)},"print"),[n="",...r]=G(e);s(n,"bold");for(let p of[...r,...H(e)])s(p,_e.find(([l])=>l.test(p))?.[1]);s(A(e))}i(se,"showRun");async function $t(e){let t=M(),o,s;try{o=Q(e,t),s="inputs"in o?z(o.inputs):void 0}catch(n){return ie(n,e.includes("--json")?"json":"text"),2}switch(o.kind){case"help":return process.stdout.write(Z()),o.asked==="yes"?0:2;case"version":return process.stdout.write(`${Y}
`),0;case"completion":return process.stdout.write(J(o.shell,{options:g,commands:N})),0;case"setup":case"run":return s?Ee(o,s,t):2;default:return o}}i($t,"main");async function Ee(e,t,o){let s=new AbortController,n=i(u=>s.abort(new d("NCP-501",`interrupted by ${u}`,{hint:"what was finished is kept; running it again goes on from there"})),"interrupt");process.once("SIGINT",n),process.once("SIGTERM",n);let{signal:r}=s,p=ke(o);try{var l=[];try{let u=b(l,await be(o));let pe={environment:o,folder:p,log:u.log,signal:r};if(e.kind==="setup"){let $=await te(t,pe);return u[Symbol.dispose](),e.format==="json"?v(oe($)):process.stdout.write(`${ne($).join(`
`)}
`),$.troubles.length>0?1:0}let{compose:ce}=await import("./compose-YM66V6FZ.js");let le=b(l,await ce({...t,environment:o,workspace:process.cwd(),folder:p,platform:process.platform,log:u.log,signal:r}),!0);let E=await L(t.job,xe(t.trust),le.world,r);u[Symbol.dispose]();e.format==="json"?v(P(E)):se(E,process.stdout);return D(E).some(({level:$})=>$==="error")?1:0}catch(m){var a=m,ae=!0}finally{var I=R(l,a,ae);I&&await I}}catch(u){return ie(u,e.format),1}finally{process.off("SIGINT",n),process.off("SIGTERM",n)}}i(Ee,"work");async function be(e){if(X(process.stderr,e)){let{display:t}=await import("./display-5DI6WVL2.js");return t(process.stderr,e)}return{log:ee(t=>process.stderr.write(`${t}
`)),[Symbol.dispose]:()=>{}}}i(be,"openLog");function xe(e){return e==="read-only"?{kind:"read-only",why:"--trust read-only was asked for"}:{kind:"write",pins:"keep",why:"at a desk"}}i(xe,"deskTrust");function ke(e){let t=e.HOME??Se();return re(e.XDG_STATE_HOME||re(t,".local","state"),"nix-cache-preflight")}i(ke,"stateFolder");function ie(e,t){let o=e instanceof d,s=o?e.code:"NCP-649",n=o?y(e):`a fault of nix-cache-preflight: ${e instanceof Error?e.stack??e.message:String(e)}`,r=o?e.hint:"please report it, with this text and the command";t==="json"&&v({error:{code:s,message:n,hint:r??null}}),process.stderr.write(`error ${s}: ${n}
${r?`  \u2192 ${r}
`:""}`)}i(ie,"tell");function v(e){process.stdout.write(`${JSON.stringify(e,null,2)}
`)}i(v,"print");export{$t as main};
