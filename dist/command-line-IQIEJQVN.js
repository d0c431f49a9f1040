import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{c as z,d as Y,e as X,j as V,k as K}from"./chunk-NUIOEVAU.js";import{a as R}from"./chunk-7QAKG53X.js";import"./chunk-5C3FZHME.js";import{A,D as G,E as H,l as P,r as L,s as D}from"./chunk-ALWQ3RER.js";import{p as f,q as k,r as W,t as F}from"./chunk-6TCPJPZR.js";import"./chunk-V2HNE37X.js";import"./chunk-ZXYTGNXG.js";import{q as U}from"./chunk-URHNZUQN.js";import{k as w,t as M}from"./chunk-WPRSSRIB.js";import{e as b}from"./chunk-3PKAT62M.js";import{a as d,b as y}from"./chunk-EEURBZNN.js";import{a as i,f as S,g as I}from"./chunk-QA55TPRG.js";import{homedir as fe}from"node:os";import{join as te}from"node:path";import{parseArgs as le}from"node:util";var h=["bash","zsh","fish"],p="nix-cache-preflight";function q(e,n){switch(e){case"bash":return ae(n);case"zsh":return ce(n);case"fish":return pe(n);default:return e}}i(q,"completionScript");var x=Object.entries(W).filter(([e])=>e!=="mode"),_=["json","help","version"],O="nix --extra-experimental-features 'nix-command flakes' build";function ae({options:e,commands:n}){let o=x.map(([s,t])=>`    --${s}) words="${t.join(" ")}" ;;`);return`# bash completion for ${p}: eval "$(${p} completion bash)"
_nix_cache_preflight() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words=
  case $prev in
${o.join(`
`)}
    completion) words="${h.join(" ")}" ;;
    --*) case $prev in ${_.map(s=>`--${s}`).join("|")}) ;; *) return ;; esac ;;
  esac
  if [ -z "$words" ]; then
    if [ "$COMP_CWORD" -eq 1 ]; then words="${[...f,...n].join(" ")}"
    elif [ "\${cur#-}" != "$cur" ]; then words="${[...e,..._].map(s=>`--${s}`).join(" ")}"
    else words=$(NIX_GET_COMPLETIONS=6 ${O} "$cur" 2> /dev/null | tail -n +2 | cut -f 1)
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _nix_cache_preflight ${p}
`}i(ae,"bash");function ce({options:e,commands:n}){let o=new Map(x.map(([t,r])=>[t,r.join(" ")])),s=e.map(t=>{let r=o.get(t);return`    '--${t}[input ${t}]:value:${r===void 0?"":`(${r})`}'`});return`#compdef ${p}
# zsh completion for ${p}: eval "$(${p} completion zsh)"
_nix_cache_preflight_targets() {
  local -a found
  found=(\${(f)"$(NIX_GET_COMPLETIONS=6 ${O} "$words[CURRENT]" 2> /dev/null | tail -n +2 | cut -f 1)"})
  compadd -- $found
}
_nix_cache_preflight_rest() {
  if [[ $words[2] == completion ]]; then compadd -- ${h.join(" ")}
  else _nix_cache_preflight_targets
  fi
}
_nix_cache_preflight() {
  _arguments -S \\
    '1:command:(${[...f,...n].join(" ")})' \\
    '*:target:_nix_cache_preflight_rest' \\
    ${_.map(t=>`'--${t}'`).join(" ")} \\
${s.join(` \\
`)}
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _nix_cache_preflight "$@"
else compdef _nix_cache_preflight ${p}
fi
`}i(ce,"zsh");function pe({options:e,commands:n}){let o=new Map(x.map(([t,r])=>[t,r.join(" ")])),s=e.map(t=>{let r=o.get(t);return`complete -c ${p} -l ${t} -x${r===void 0?"":` -a "${r}"`}`});return`# fish completion for ${p}: ${p} completion fish | source
complete -c ${p} -f
complete -c ${p} -n __fish_use_subcommand -a "${[...f,...n].join(" ")}"
complete -c ${p} -n "__fish_seen_subcommand_from completion" -a "${h.join(" ")}"
complete -c ${p} -n "__fish_seen_subcommand_from ${f.join(" ")}" -a "(NIX_GET_COMPLETIONS=6 ${O} (commandline -ct) 2> /dev/null | tail -n +2 | cut -f 1)"
${_.map(t=>`complete -c ${p} -l ${t}`).join(`
`)}
${s.join(`
`)}
`}i(pe,"fish");var C={token:"NIX_CACHE_PREFLIGHT_TOKEN","signing-key":"NIX_CACHE_PREFLIGHT_SIGNING_KEY"},de=new Set(["targets","mode","token","signing-key","install-nix"]),g=Object.keys(k).filter(e=>!de.has(e)),v=["setup","completion"],j=[...f,...v];function B(e,n){let{values:o,positionals:s}=ue(e);if(o.help===!0)return{kind:"help",asked:"yes"};if(o.version===!0)return{kind:"version"};let[t,...r]=s;if(t===void 0)return{kind:"help",asked:"no"};if(t==="help")return{kind:"help",asked:"yes"};if(!j.includes(t))throw new d("NCP-640",`"${t}" is not a command.${w(t,j)}`,{hint:`say one of ${j.join(", ")}, or --help`});if(t==="completion")return{kind:"completion",shell:me(r)};let c=o.json===!0?"json":"text";if(t==="setup"){if(r[0]!==void 0)throw new d("NCP-640",`setup: "${r[0]}" is one word too many`,{hint:"write --cache CACHE, or --substituters 'URL PUBLIC-KEY'"});return{kind:"setup",inputs:J(o,n),format:c}}return{kind:"run",inputs:{...J(o,n),mode:t,targets:r.join(`
`)},format:c}}i(B,"parseCommand");function ue(e){let n=Object.fromEntries(g.map(o=>[o,{type:"string"}]));try{return le({args:[...e],allowPositionals:!0,options:{...n,json:{type:"boolean"},help:{type:"boolean",short:"h"},version:{type:"boolean"}}})}catch(o){let s=String(o).replace(/^TypeError[^:]*: /,""),t=/^Unknown option '-*([^']*)'/.exec(s)?.[1],r=[...g,"json","help","version"],c=t===void 0?"":w(t,r),l=t===void 0?s:`there is no option --${t}.${c}`;throw new d("NCP-640",l,{hint:"--help lists all options"})}}i(ue,"parsed");function J(e,n){let o=Object.fromEntries(g.flatMap(t=>{let r=e[t];return typeof r=="string"?[[t,r]]:[]}));if(o.cache?.trim()==="github")throw new d("NCP-103","--cache github: GitHub's cache is there for its jobs alone",{hint:"write file:///DIRECTORY or another kind of cache; without one, none is written to"});let s=Object.fromEntries(Object.entries(C).map(([t,r])=>[t,n[r]??""]));return{...k,cache:"none",...o,...s}}i(J,"inputsOf");function me([e="",...n]){let o=h.find(t=>t===e);if(o&&n.length===0)return o;let s=e===""?"completion: for which shell?":`completion: "${[e,...n].join(" ")}" is not a shell it knows.`;throw new d("NCP-640",`${s}${w(e,h)}`,{hint:`write completion ${h.join(", completion ")}`})}i(me,"shellNamed");async function Q(e,n){let{setUp:o}=await import("./compose-setup-DAAUNISM.js");n.log.group("Set up");try{return await o({...e,...n,workspace:process.cwd(),platform:process.platform})}finally{n.log.endGroup()}}i(Q,"setup");function Z({file:e,caches:n,added:o,troubles:s}){let{substituters:t,publicKeys:r}=o,c=t.length+r.length>0,l=[...t.map(a=>`  substituter ${a}: added`),...r.map(a=>`  key ${a}: added`),...n.filter(({url:a})=>!t.includes(a)).map(({url:a})=>`  substituter ${a}: was there already`),...s.flatMap(a=>[`error ${a.code}: ${y(a)}`,...a.hint===void 0?[]:[`  \u2192 ${a.hint}`]])],m=c?`${b(t.length,"substituter")} and ${b(r.length,"key")} added to ${e}`:`nothing to add: ${e} is as it should be`;return[...l,m].flatMap(a=>a.split(`
`)).map(P)}i(Z,"setupLines");function ee({file:e,caches:n,added:o,troubles:s}){return{file:e,caches:n,added:o,errors:s.map(t=>({code:t.code,message:y(t),hint:t.hint??null}))}}i(ee,"setupJson");async function tt(e){let n=M(),o,s;try{o=B(e,n),s="inputs"in o?F(o.inputs):void 0}catch(t){return ne(t,e.includes("--json")?"json":"text"),2}switch(o.kind){case"help":return process.stdout.write(Se()),o.asked==="yes"?0:2;case"version":return process.stdout.write(`${U}
`),0;case"completion":return process.stdout.write(q(o.shell,{options:g,commands:v})),0;case"setup":case"run":return s?he(o,s,n):2;default:return o}}i(tt,"main");async function he(e,n,o){let s=new AbortController,t=i(u=>{s.signal.aborted&&process.exit(1),s.abort(new d("NCP-501",`interrupted by ${u}`,{hint:"what was finished is kept; running it again goes on from there"}))},"interrupt");process.on("SIGINT",t),process.on("SIGTERM",t);let{signal:r}=s,c=ye(o);try{var l=[];try{let u=S(l,await ge(o));let se={environment:o,folder:c,log:u.log,signal:r};if(e.kind==="setup"){let $=await Q(n,se);return u.end(),e.format==="json"?N(ee($)):process.stdout.write(`${Z($).join(`
`)}
`),$.troubles.length>0?1:0}let{compose:re}=await import("./compose-PHHDTLL5.js");let ie=S(l,await re({...n,environment:o,workspace:process.cwd(),folder:c,platform:process.platform,log:u.log,signal:r}),!0);let E=await R(n.job,$e(n.trust),ie.world,r);u.end();e.format==="json"?N(L(E)):_e(E,process.stdout);return D(E).some(({level:$})=>$==="error")?1:0}catch(m){var a=m,oe=!0}finally{var T=I(l,a,oe);T&&await T}}catch(u){return ne(u,e.format),1}finally{process.off("SIGINT",t),process.off("SIGTERM",t)}}i(he,"work");async function ge(e){if(z(process.stderr,e)){let{display:n}=await import("./display-YLC76TXM.js");return n(process.stderr,e)}return{log:K(n=>process.stderr.write(`${n}
`)),end:i(()=>{},"end"),[Symbol.dispose]:()=>{}}}i(ge,"openLog");function $e(e){return e==="read-only"?{kind:"read-only",why:"--trust read-only was asked for"}:{kind:"write",pins:"keep",why:"at a desk"}}i($e,"deskTrust");function ye(e){let n=e.HOME??fe();return te(e.XDG_STATE_HOME||te(n,".local","state"),"nix-cache-preflight")}i(ye,"stateFolder");function ne(e,n){let o=e instanceof d,s=o?e.code:"NCP-649",t=o?y(e):`a fault of nix-cache-preflight: ${e instanceof Error?e.stack??e.message:String(e)}`,r=o?e.hint:"please report it, with this text and the command";n==="json"&&N({error:{code:s,message:t,hint:r??null}}),process.stderr.write(`error ${s}: ${t}
${r?`  \u2192 ${r}
`:""}`)}i(ne,"tell");function N(e){process.stdout.write(`${JSON.stringify(e,null,2)}
`)}i(N,"print");var we=[[/^error\b/,"red"],[/^warning\b/,"yellow"],[/^notice\b/,"dim"],[/^ {2}→/,"cyan"],[/^ {2}\S.*: (missing|failed)/,"yellow"],[/^ {2}\S.*: (own|upstream|cached now)/,"green"]];function _e(e,n){let o=X(n),s=i((c,l)=>{let m=n.isTTY?V(c,Y(n)):c;n.write(`${l===void 0?m:o(l,m)}
`)},"print"),[t="",...r]=G(e);s(t,"bold");for(let c of[...r,...H(e)])s(c,we.find(([l])=>l.test(c))?.[1]);s(A(e))}i(_e,"showRun");var Ee=80;function Se(){return`nix-cache-preflight COMMAND [TARGET \u2026] [--OPTION VALUE \u2026]

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
Secrets: ${Object.values(C).join(", ")}.
Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`}i(Se,"helpText");function be(e){let n=[];for(let o of e){let s=n.at(-1);s!==void 0&&s.length+1+o.length<=Ee?n[n.length-1]=`${s} ${o}`:n.push(`  ${o}`)}return n.join(`
`)}i(be,"wrapped");export{Se as helpText,tt as main,_e as showRun};
