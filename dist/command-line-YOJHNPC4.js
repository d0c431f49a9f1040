import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{c as z,d as Y,e as X,j as V,k as K}from"./chunk-CL4T435J.js";import{a as R}from"./chunk-OG7Y7DLN.js";import"./chunk-RVPKJJ2E.js";import{A as D,D as G,E as H,l as L,r as P,s as A}from"./chunk-HXCOPA3A.js";import{p as f,q as x,r as W,u as F}from"./chunk-VHDNFJQ4.js";import"./chunk-56WKOO2S.js";import"./chunk-ZXYTGNXG.js";import{q as U}from"./chunk-6OVTTZK5.js";import{k as w,t as M}from"./chunk-QHEH3WJJ.js";import{e as b}from"./chunk-3PKAT62M.js";import{a as d,b as y}from"./chunk-EEURBZNN.js";import{a as i,f as S,g as I}from"./chunk-QA55TPRG.js";import{homedir as fe}from"node:os";import{join as ne}from"node:path";import{parseArgs as le}from"node:util";var h=["bash","zsh","fish"],p="nix-cache-preflight";function q(e,t){switch(e){case"bash":return ae(t);case"zsh":return ce(t);case"fish":return pe(t);default:return e}}i(q,"completionScript");var O=Object.entries(W).filter(([e])=>e!=="mode"),_=["json","help","version"],k="nix --extra-experimental-features 'nix-command flakes' build";function ae({options:e,commands:t}){let o=O.map(([s,n])=>`    --${s}) words="${n.join(" ")}" ;;`);return`# bash completion for ${p}: eval "$(${p} completion bash)"
_nix_cache_preflight() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words=
  case $prev in
${o.join(`
`)}
    completion) words="${h.join(" ")}" ;;
    --*) case $prev in ${_.map(s=>`--${s}`).join("|")}) ;; *) return ;; esac ;;
  esac
  if [ -z "$words" ]; then
    if [ "$COMP_CWORD" -eq 1 ]; then words="${[...f,...t].join(" ")}"
    elif [ "\${cur#-}" != "$cur" ]; then words="${[...e,..._].map(s=>`--${s}`).join(" ")}"
    else words=$(NIX_GET_COMPLETIONS=6 ${k} "$cur" 2> /dev/null | tail -n +2 | cut -f 1)
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _nix_cache_preflight ${p}
`}i(ae,"bash");function ce({options:e,commands:t}){let o=new Map(O.map(([n,r])=>[n,r.join(" ")])),s=e.map(n=>{let r=o.get(n);return`    '--${n}[input ${n}]:value:${r===void 0?"":`(${r})`}'`});return`#compdef ${p}
# zsh completion for ${p}: eval "$(${p} completion zsh)"
_nix_cache_preflight_targets() {
  local -a found
  found=(\${(f)"$(NIX_GET_COMPLETIONS=6 ${k} "$words[CURRENT]" 2> /dev/null | tail -n +2 | cut -f 1)"})
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
    ${_.map(n=>`'--${n}'`).join(" ")} \\
${s.join(` \\
`)}
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _nix_cache_preflight "$@"
else compdef _nix_cache_preflight ${p}
fi
`}i(ce,"zsh");function pe({options:e,commands:t}){let o=new Map(O.map(([n,r])=>[n,r.join(" ")])),s=e.map(n=>{let r=o.get(n);return`complete -c ${p} -l ${n} -x${r===void 0?"":` -a "${r}"`}`});return`# fish completion for ${p}: ${p} completion fish | source
complete -c ${p} -f
complete -c ${p} -n __fish_use_subcommand -a "${[...f,...t].join(" ")}"
complete -c ${p} -n "__fish_seen_subcommand_from completion" -a "${h.join(" ")}"
complete -c ${p} -n "__fish_seen_subcommand_from ${f.join(" ")}" -a "(NIX_GET_COMPLETIONS=6 ${k} (commandline -ct) 2> /dev/null | tail -n +2 | cut -f 1)"
${_.map(n=>`complete -c ${p} -l ${n}`).join(`
`)}
${s.join(`
`)}
`}i(pe,"fish");var j={token:"NIX_CACHE_PREFLIGHT_TOKEN","signing-key":"NIX_CACHE_PREFLIGHT_SIGNING_KEY"},de=new Set(["targets","mode","token","signing-key","install-nix"]),g=Object.keys(x).filter(e=>!de.has(e)),v=["setup","completion"],C=[...f,...v];function B(e,t){let{values:o,positionals:s}=ue(e);if(o.help===!0)return{kind:"help",asked:"yes"};if(o.version===!0)return{kind:"version"};let[n,...r]=s;if(n===void 0)return{kind:"help",asked:"no"};if(n==="help")return{kind:"help",asked:"yes"};if(!C.includes(n))throw new d("NCP-640",`"${n}" is not a command.${w(n,C)}`,{hint:`say one of ${C.join(", ")}, or --help`});if(n==="completion")return{kind:"completion",shell:me(r)};let c=o.json===!0?"json":"text";if(n==="setup"){if(r[0]!==void 0)throw new d("NCP-640",`setup: "${r[0]}" is one word too many`,{hint:"write --cache CACHE, or --substituters 'URL PUBLIC-KEY'"});return{kind:"setup",inputs:J(o,t),format:c}}return{kind:"run",inputs:{...J(o,t),mode:n,targets:r.join(`
`)},format:c}}i(B,"parseCommand");function ue(e){let t=Object.fromEntries(g.map(o=>[o,{type:"string"}]));try{return le({args:[...e],allowPositionals:!0,options:{...t,json:{type:"boolean"},help:{type:"boolean",short:"h"},version:{type:"boolean"}}})}catch(o){let s=String(o).replace(/^TypeError[^:]*: /,""),n=/^Unknown option '-*([^']*)'/.exec(s)?.[1],r=[...g,"json","help","version"],c=n===void 0?"":w(n,r),l=n===void 0?s:`there is no option --${n}.${c}`;throw new d("NCP-640",l,{hint:"--help lists all options"})}}i(ue,"parsed");function J(e,t){let o=Object.fromEntries(g.flatMap(n=>{let r=e[n];return typeof r=="string"?[[n,r]]:[]}));if(o.cache?.trim()==="github")throw new d("NCP-103","--cache github: GitHub's cache is there for its jobs alone",{hint:"write file:///DIRECTORY or another kind of cache; without one, none is written to"});let s=Object.fromEntries(Object.entries(j).map(([n,r])=>[n,t[r]??""]));return{...x,cache:"none",...o,...s}}i(J,"inputsOf");function me([e="",...t]){let o=h.find(n=>n===e);if(o&&t.length===0)return o;let s=e===""?"completion: for which shell?":`completion: "${[e,...t].join(" ")}" is not a shell it knows.`;throw new d("NCP-640",`${s}${w(e,h)}`,{hint:`write completion ${h.join(", completion ")}`})}i(me,"shellNamed");async function Q(e,t){let{setUp:o}=await import("./compose-setup-OS6P3K5Y.js");t.log.group("Set up");try{return await o({...e,...t,workspace:process.cwd(),platform:process.platform})}finally{t.log.endGroup()}}i(Q,"setup");function Z({file:e,caches:t,added:o,troubles:s}){let{substituters:n,publicKeys:r}=o,c=n.length+r.length>0,l=[...n.map(a=>`  substituter ${a}: added`),...r.map(a=>`  key ${a}: added`),...t.filter(({url:a})=>!n.includes(a)).map(({url:a})=>`  substituter ${a}: was there already`),...s.flatMap(a=>[`error ${a.code}: ${y(a)}`,...a.hint===void 0?[]:[`  \u2192 ${a.hint}`]])],m=c?`${b(n.length,"substituter")} and ${b(r.length,"key")} added to ${e}`:`nothing to add: ${e} is as it should be`;return[...l,m].flatMap(a=>a.split(`
`)).map(L)}i(Z,"setupLines");function ee({file:e,caches:t,added:o,troubles:s}){return{file:e,caches:t,added:o,errors:s.map(n=>({code:n.code,message:y(n),hint:n.hint??null}))}}i(ee,"setupJson");async function nn(e){let t=M(),o,s;try{o=B(e,t),s="inputs"in o?F(o.inputs):void 0}catch(n){return te(n,e.includes("--json")?"json":"text"),2}switch(o.kind){case"help":return process.stdout.write(Se()),o.asked==="yes"?0:2;case"version":return process.stdout.write(`${U}
`),0;case"completion":return process.stdout.write(q(o.shell,{options:g,commands:v})),0;case"setup":case"run":return s?he(o,s,t):2;default:return o}}i(nn,"main");async function he(e,t,o){let s=new AbortController,n=i(u=>{s.signal.aborted&&process.exit(1),s.abort(new d("NCP-501",`interrupted by ${u}`,{hint:"what was finished is kept; running it again goes on from there"}))},"interrupt");process.on("SIGINT",n),process.on("SIGTERM",n);let{signal:r}=s,c=ye(o);try{var l=[];try{let u=S(l,await ge(o));let se={environment:o,folder:c,log:u.log,signal:r};if(e.kind==="setup"){let $=await Q(t,se);return u.end(),e.format==="json"?N(ee($)):process.stdout.write(`${Z($).join(`
`)}
`),$.troubles.length>0?1:0}let{compose:re}=await import("./compose-F7D3V2JV.js");let ie=S(l,await re({...t,environment:o,workspace:process.cwd(),folder:c,needs:"store and checkout",platform:process.platform,log:u.log,signal:r}),!0);let E=await R(t.job,$e(t.trust),ie.world,r);u.end();e.format==="json"?N(P(E)):_e(E,process.stdout);return A(E).some(({level:$})=>$==="error")?1:0}catch(m){var a=m,oe=!0}finally{var T=I(l,a,oe);T&&await T}}catch(u){return te(u,e.format),1}finally{process.off("SIGINT",n),process.off("SIGTERM",n)}}i(he,"work");async function ge(e){if(z(process.stderr,e)){let{display:t}=await import("./display-RHDXUZTG.js");return t(process.stderr,e)}return{log:K(t=>process.stderr.write(`${t}
`)),end:i(()=>{},"end"),[Symbol.dispose]:()=>{}}}i(ge,"openLog");function $e(e){return e==="read-only"?{kind:"read-only",why:"--trust read-only was asked for"}:{kind:"write",pins:"keep",why:"on the command line"}}i($e,"commandLineTrust");function ye(e){let t=e.HOME??fe();return ne(e.XDG_STATE_HOME||ne(t,".local","state"),"nix-cache-preflight")}i(ye,"stateFolder");function te(e,t){let o=e instanceof d,s=o?e.code:"NCP-649",n=o?y(e):`a fault of nix-cache-preflight: ${e instanceof Error?e.stack??e.message:String(e)}`,r=o?e.hint:"please report it, with this text and the command";t==="json"&&N({error:{code:s,message:n,hint:r??null}}),process.stderr.write(`error ${s}: ${n}
${r?`  \u2192 ${r}
`:""}`)}i(te,"tell");function N(e){process.stdout.write(`${JSON.stringify(e,null,2)}
`)}i(N,"print");var we=[[/^error\b/,"red"],[/^warning\b/,"yellow"],[/^notice\b/,"dim"],[/^ {2}→/,"cyan"],[/^ {2}\S.*: (missing|failed)/,"yellow"],[/^ {2}\S.*: (own|upstream|cached now)/,"green"]];function _e(e,t){let o=X(t),s=i((c,l)=>{let m=t.isTTY?V(c,Y(t)):c;t.write(`${l===void 0?m:o(l,m)}
`)},"print"),[n="",...r]=G(e);s(n,"bold");for(let c of[...r,...H(e)])s(c,we.find(([l])=>l.test(c))?.[1]);s(D(e))}i(_e,"showRun");var Ee=80;function Se(){return`nix-cache-preflight COMMAND [TARGET \u2026] [--OPTION VALUE \u2026]

  check      what is cached, and what would another machine have to build?
  prefetch   and fetch what is cached
  warm       and build what is missing, push, verify and pin it
  audit      is what was pushed and pinned still there?
  setup      add --cache and --substituters to your Nix configuration, for good
  completion bash|zsh|fish

TARGET is an installable (.#name, nixpkgs#bws, '.#packages.SYSTEM.*'); without
one, every package of the flake here. Attributes follow: 'nixpkgs#bws pin=bws'.
Options are the action's inputs, with its defaults, but for --cache (none):
${be(g.map(e=>`--${e}`))}
  --json (the report on standard output)  --version  --help
Secrets: ${Object.values(j).join(", ")}.
Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`}i(Se,"helpText");function be(e){let t=[];for(let o of e){let s=t.at(-1);s!==void 0&&s.length+1+o.length<=Ee?t[t.length-1]=`${s} ${o}`:t.push(`  ${o}`)}return t.join(`
`)}i(be,"wrapped");export{Se as helpText,nn as main,_e as showRun};
