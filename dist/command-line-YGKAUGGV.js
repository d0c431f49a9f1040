import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{c as Y,d as X,e as V,j as K,k as q}from"./chunk-PF47ZCGA.js";import{a as M}from"./chunk-HSBL2577.js";import"./chunk-W2PWWAEY.js";import{A as G,D as H,E as U,l as P,r as A,s as D}from"./chunk-2ZZTDLWF.js";import{n as f,r as x,s as F,v as z}from"./chunk-YS6FIUYO.js";import"./chunk-ORCEEVL5.js";import"./chunk-ZXYTGNXG.js";import{q as W}from"./chunk-BAUEWYXS.js";import{k as w,t as L}from"./chunk-EDEYPFIP.js";import{e as b}from"./chunk-MUDSWLKL.js";import{a as d,b as $,e as R}from"./chunk-NSTQQOFZ.js";import{a as i,f as S,g as I}from"./chunk-QA55TPRG.js";import{homedir as he}from"node:os";import{join as te}from"node:path";import{parseArgs as de}from"node:util";var h=["bash","zsh","fish"],p="nix-cache-preflight";function J(e,o){switch(e){case"bash":return ce(o);case"zsh":return pe(o);case"fish":return le(o);default:return e}}i(J,"completionScript");var O=Object.entries(F).filter(([e])=>e!=="mode"),_=["json","help","version"],k="nix --extra-experimental-features 'nix-command flakes' build";function ce({options:e,commands:o}){let t=O.map(([r,n])=>`    --${r}) words="${n.join(" ")}" ;;`);return`# bash completion for ${p}: eval "$(${p} completion bash)"
_nix_cache_preflight() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words=
  case $prev in
${t.join(`
`)}
    completion) words="${h.join(" ")}" ;;
    --*) case $prev in ${_.map(r=>`--${r}`).join("|")}) ;; *) return ;; esac ;;
  esac
  if [ -z "$words" ]; then
    if [ "$COMP_CWORD" -eq 1 ]; then words="${[...f,...o].join(" ")}"
    elif [ "\${cur#-}" != "$cur" ]; then words="${[...e,..._].map(r=>`--${r}`).join(" ")}"
    else words=$(NIX_GET_COMPLETIONS=6 ${k} "$cur" 2> /dev/null | tail -n +2 | cut -f 1)
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _nix_cache_preflight ${p}
`}i(ce,"bash");function pe({options:e,commands:o}){let t=new Map(O.map(([n,s])=>[n,s.join(" ")])),r=e.map(n=>{let s=t.get(n);return`    '--${n}[input ${n}]:value:${s===void 0?"":`(${s})`}'`});return`#compdef ${p}
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
    '1:command:(${[...f,...o].join(" ")})' \\
    '*:target:_nix_cache_preflight_rest' \\
    ${_.map(n=>`'--${n}'`).join(" ")} \\
${r.join(` \\
`)}
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _nix_cache_preflight "$@"
else compdef _nix_cache_preflight ${p}
fi
`}i(pe,"zsh");function le({options:e,commands:o}){let t=new Map(O.map(([n,s])=>[n,s.join(" ")])),r=e.map(n=>{let s=t.get(n);return`complete -c ${p} -l ${n} -x${s===void 0?"":` -a "${s}"`}`});return`# fish completion for ${p}: ${p} completion fish | source
complete -c ${p} -f
complete -c ${p} -n __fish_use_subcommand -a "${[...f,...o].join(" ")}"
complete -c ${p} -n "__fish_seen_subcommand_from completion" -a "${h.join(" ")}"
complete -c ${p} -n "__fish_seen_subcommand_from ${f.join(" ")}" -a "(NIX_GET_COMPLETIONS=6 ${k} (commandline -ct) 2> /dev/null | tail -n +2 | cut -f 1)"
${_.map(n=>`complete -c ${p} -l ${n}`).join(`
`)}
${r.join(`
`)}
`}i(le,"fish");var j={token:"NIX_CACHE_PREFLIGHT_TOKEN","signing-key":"NIX_CACHE_PREFLIGHT_SIGNING_KEY"},ue=new Set(["targets","mode","token","signing-key","install-nix"]),g=Object.keys(x).filter(e=>!ue.has(e)),v=["setup","completion"],C=[...f,...v];function Q(e,o){let{values:t,positionals:r}=me(e);if(t.help===!0)return{kind:"help",asked:"yes"};if(t.version===!0)return{kind:"version"};let[n,...s]=r;if(n===void 0)return{kind:"help",asked:"no"};if(n==="help")return{kind:"help",asked:"yes"};if(!C.includes(n))throw new d("NCP-640",`"${n}" is not a command.${w(n,C)}`,{hint:`say one of ${C.join(", ")}, or --help`});if(n==="completion")return{kind:"completion",shell:fe(s)};let a=t.json===!0?"json":"text";if(n==="setup"){if(s[0]!==void 0)throw new d("NCP-640",`setup: "${s[0]}" is one word too many`,{hint:"write --cache CACHE, or --substituters 'URL PUBLIC-KEY'"});return{kind:"setup",inputs:B(t,o),format:a}}return{kind:"run",inputs:{...B(t,o),mode:n,targets:s.join(`
`)},format:a}}i(Q,"parseCommand");function me(e){let o=Object.fromEntries(g.map(t=>[t,{type:"string"}]));try{return de({args:[...e],allowPositionals:!0,options:{...o,json:{type:"boolean"},help:{type:"boolean",short:"h"},version:{type:"boolean"}}})}catch(t){let r=String(t).replace(/^TypeError[^:]*: /,""),n=/^Unknown option '-*([^']*)'/.exec(r)?.[1],s=[...g,"json","help","version"],a=n===void 0?"":w(n,s),l=n===void 0?r:`there is no option --${n}.${a}`;throw new d("NCP-640",l,{hint:"--help lists all options"})}}i(me,"parsed");function B(e,o){let t=Object.fromEntries(g.flatMap(n=>{let s=e[n];return typeof s=="string"?[[n,s]]:[]}));if(t.cache?.trim()==="github")throw new d("NCP-103","--cache github: GitHub's cache is there for its jobs alone",{hint:"write file:///DIRECTORY or another kind of cache; without one, none is written to"});let r=Object.fromEntries(Object.entries(j).map(([n,s])=>[n,o[s]??""]));return{...x,cache:"none",...t,...r}}i(B,"inputsOf");function fe([e="",...o]){let t=h.find(n=>n===e);if(t&&o.length===0)return t;let r=e===""?"completion: for which shell?":`completion: "${[e,...o].join(" ")}" is not a shell it knows.`;throw new d("NCP-640",`${r}${w(e,h)}`,{hint:`write completion ${h.join(", completion ")}`})}i(fe,"shellNamed");async function Z(e,o){let{setUp:t}=await import("./compose-setup-OZ3QZJGL.js");o.log.group("Set up");try{return await t({...e,...o,workspace:process.cwd(),platform:process.platform})}finally{o.log.endGroup()}}i(Z,"setup");function ee({file:e,caches:o,added:t,troubles:r}){let{substituters:n,publicKeys:s}=t,a=n.length+s.length>0,l=[...n.map(c=>`  substituter ${c}: added`),...s.map(c=>`  key ${c}: added`),...o.filter(({url:c})=>!n.includes(c)).map(({url:c})=>`  substituter ${c}: was there already`),...r.flatMap(c=>[`error ${c.code}: ${$(c)}`,...c.hint===void 0?[]:[`  \u2192 ${c.hint}`]])],m=a?`${b(n.length,"substituter")} and ${b(s.length,"key")} added to ${e}`:`nothing to add: ${e} is as it should be`;return[...l,m].flatMap(c=>c.split(`
`)).map(P)}i(ee,"setupLines");function ne({file:e,caches:o,added:t,troubles:r}){return{file:e,caches:o,added:t,errors:r.map(n=>({code:n.code,message:$(n),hint:n.hint??null}))}}i(ne,"setupJson");async function tn(e){let o=L(),t,r;try{t=Q(e,o),r="inputs"in t?z(t.inputs):void 0}catch(n){return oe(n,e.includes("--json")?"json":"text"),2}switch(t.kind){case"help":return process.stdout.write(be()),t.asked==="yes"?0:2;case"version":return process.stdout.write(`${W}
`),0;case"completion":return process.stdout.write(J(t.shell,{options:g,commands:v})),0;case"setup":case"run":return r?ge(t,r,o):2;default:return t}}i(tn,"main");async function ge(e,o,t){let r=new AbortController,n=i(u=>{r.signal.aborted&&process.exit(1),r.abort(new d("NCP-501",`interrupted by ${u}`,{hint:"what was finished is kept; running it again goes on from there"}))},"interrupt");process.on("SIGINT",n),process.on("SIGTERM",n);let{signal:s}=r,a=we(t);try{var l=[];try{let u=S(l,await ye(t));let se={environment:t,folder:a,log:u.log,signal:s};if(e.kind==="setup"){let y=await Z(o,se);return u.end(),e.format==="json"?T(ne(y)):process.stdout.write(`${ee(y).join(`
`)}
`),y.troubles.length>0?1:0}let{compose:ie}=await import("./compose-CCJW63MA.js");let ae=S(l,await ie({...o,environment:t,workspace:process.cwd(),folder:a,needs:"store and checkout",platform:process.platform,log:u.log,signal:s}),!0);let E=await M(o.job,$e(o.trust),ae.world,s);u.end();e.format==="json"?T(A(E)):Ee(E,process.stdout);return D(E).some(({level:y})=>y==="error")?1:0}catch(m){var c=m,re=!0}finally{var N=I(l,c,re);N&&await N}}catch(u){return oe(u,e.format),1}finally{process.off("SIGINT",n),process.off("SIGTERM",n)}}i(ge,"work");async function ye(e){if(Y(process.stderr,e)){let{display:o}=await import("./display-QRM6DCIH.js");return o(process.stderr,e)}return{log:q(o=>process.stderr.write(`${o}
`)),end:i(()=>{},"end"),[Symbol.dispose]:()=>{}}}i(ye,"openLog");function $e(e){return e==="read-only"?{kind:"read-only",why:"--trust read-only was asked for"}:{kind:"write",pins:"keep",why:"on the command line"}}i($e,"commandLineTrust");function we(e){let o=e.HOME??he();return te(e.XDG_STATE_HOME||te(o,".local","state"),"nix-cache-preflight")}i(we,"stateFolder");function oe(e,o){let t=R(e)??e,r=t instanceof d,n=r?t.code:"NCP-649",s=r?$(t):`a fault of nix-cache-preflight: ${t instanceof Error?t.stack??t.message:String(t)}`,a=r?t.hint:"please report it, with this text and the command";o==="json"&&T({error:{code:n,message:s,hint:a??null}}),process.stderr.write(`error ${n}: ${s}
${a?`  \u2192 ${a}
`:""}`)}i(oe,"tell");function T(e){process.stdout.write(`${JSON.stringify(e,null,2)}
`)}i(T,"print");var _e=[[/^error\b/,"red"],[/^warning\b/,"yellow"],[/^notice\b/,"dim"],[/^ {2}→/,"cyan"],[/^ {2}\S.*: (missing|failed)/,"yellow"],[/^ {2}\S.*: (own|upstream|cached now)/,"green"]];function Ee(e,o){let t=V(o),r=i((a,l)=>{let m=o.isTTY?K(a,X(o)):a;o.write(`${l===void 0?m:t(l,m)}
`)},"print"),[n="",...s]=H(e);r(n,"bold");for(let a of[...s,...U(e)])r(a,_e.find(([l])=>l.test(a))?.[1]);r(G(e))}i(Ee,"showRun");var Se=80;function be(){return`nix-cache-preflight COMMAND [TARGET \u2026] [--OPTION VALUE \u2026]

  check      what is cached, and what would another machine have to build?
  prefetch   and fetch what is cached
  warm       and build what is missing, push, verify and pin it
  audit      is what was pushed and pinned still there?
  setup      add --cache and --substituters to your Nix configuration, for good
  completion bash|zsh|fish

TARGET is an installable (.#name, nixpkgs#bws, '.#packages.SYSTEM.*'); without
one, every package of the flake here. Attributes follow: 'nixpkgs#bws pin=bws'.
Options are the action's inputs, with its defaults, but for --cache (none):
${xe(g.map(e=>`--${e}`))}
  --json (the report on standard output)  --version  --help
Secrets: ${Object.values(j).join(", ")}.
Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`}i(be,"helpText");function xe(e){let o=[];for(let t of e){let r=o.at(-1);r!==void 0&&r.length+1+t.length<=Se?o[o.length-1]=`${r} ${t}`:o.push(`  ${t}`)}return o.join(`
`)}i(xe,"wrapped");export{be as helpText,tn as main,Ee as showRun};
