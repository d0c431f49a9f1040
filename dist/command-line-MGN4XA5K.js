import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{c as V,d as K,e as q,j as J,k as B}from"./chunk-F4SUPURC.js";import{a as L}from"./chunk-YSKLBMCL.js";import"./chunk-D6TJ25QY.js";import{o as h,p as M,t as x,u as Y,x as X}from"./chunk-FDXLPCIC.js";import{q as z}from"./chunk-4XDF3VY6.js";import{G as H,J as U,K as W,t as A,x as D,y as G}from"./chunk-2ZIWWY4J.js";import{K as F,k as _,o as P}from"./chunk-ALFB4W5R.js";import{e as S}from"./chunk-IKHJ2WH6.js";import"./chunk-ZXYTGNXG.js";import"./chunk-HFW5N6K3.js";import{a as u,b as $,e as R}from"./chunk-3K73T5FJ.js";import{a as i,f as w,g as I}from"./chunk-QA55TPRG.js";import{homedir as ye}from"node:os";import{join as re}from"node:path";import{parseArgs as me}from"node:util";var g=["bash","zsh","fish"],l="nix-cache-preflight";function Q(e,o){switch(e){case"bash":return le(o);case"zsh":return de(o);case"fish":return ue(o);default:return e}}i(Q,"completionScript");var k=Object.entries(Y).filter(([e])=>e!=="mode"),E=["json","verbose","help","version"],v="nix --extra-experimental-features 'nix-command flakes' build";function le({options:e,commands:o}){let n=k.map(([r,t])=>`    --${r}) words="${t.join(" ")}" ;;`);return`# bash completion for ${l}: eval "$(${l} completion bash)"
_nix_cache_preflight() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words=
  case $prev in
${n.join(`
`)}
    completion) words="${g.join(" ")}" ;;
    --*) case $prev in ${E.map(r=>`--${r}`).join("|")}) ;; *) return ;; esac ;;
  esac
  if [ -z "$words" ]; then
    if [ "$COMP_CWORD" -eq 1 ]; then words="${[...h,...o].join(" ")}"
    elif [ "\${cur#-}" != "$cur" ]; then words="${[...e,...E].map(r=>`--${r}`).join(" ")}"
    else words=$(NIX_GET_COMPLETIONS=6 ${v} "$cur" 2> /dev/null | tail -n +2 | cut -f 1)
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _nix_cache_preflight ${l}
`}i(le,"bash");function de({options:e,commands:o}){let n=new Map(k.map(([t,s])=>[t,s.join(" ")])),r=e.map(t=>{let s=n.get(t);return`    '--${t}[input ${t}]:value:${s===void 0?"":`(${s})`}'`});return`#compdef ${l}
# zsh completion for ${l}: eval "$(${l} completion zsh)"
_nix_cache_preflight_targets() {
  local -a found
  found=(\${(f)"$(NIX_GET_COMPLETIONS=6 ${v} "$words[CURRENT]" 2> /dev/null | tail -n +2 | cut -f 1)"})
  compadd -- $found
}
_nix_cache_preflight_rest() {
  if [[ $words[2] == completion ]]; then compadd -- ${g.join(" ")}
  else _nix_cache_preflight_targets
  fi
}
_nix_cache_preflight() {
  _arguments -S \\
    '1:command:(${[...h,...o].join(" ")})' \\
    '*:target:_nix_cache_preflight_rest' \\
    ${E.map(t=>`'--${t}'`).join(" ")} \\
${r.join(` \\
`)}
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _nix_cache_preflight "$@"
else compdef _nix_cache_preflight ${l}
fi
`}i(de,"zsh");function ue({options:e,commands:o}){let n=new Map(k.map(([t,s])=>[t,s.join(" ")])),r=e.map(t=>{let s=n.get(t);return`complete -c ${l} -l ${t} -x${s===void 0?"":` -a "${s}"`}`});return`# fish completion for ${l}: ${l} completion fish | source
complete -c ${l} -f
complete -c ${l} -n __fish_use_subcommand -a "${[...h,...o].join(" ")}"
complete -c ${l} -n "__fish_seen_subcommand_from completion" -a "${g.join(" ")}"
complete -c ${l} -n "__fish_seen_subcommand_from ${h.join(" ")}" -a "(NIX_GET_COMPLETIONS=6 ${v} (commandline -ct) 2> /dev/null | tail -n +2 | cut -f 1)"
${E.map(t=>`complete -c ${l} -l ${t}`).join(`
`)}
${r.join(`
`)}
`}i(ue,"fish");var C={token:"NIX_CACHE_PREFLIGHT_TOKEN","signing-key":"NIX_CACHE_PREFLIGHT_SIGNING_KEY"},fe=new Set(["targets","mode","token","signing-key","install-nix","nix-version","nix-sha256"]),y=Object.keys(x).filter(e=>!fe.has(e)),j=["setup","completion"],O=[...h,...j];function ee(e,o){let{values:n,positionals:r}=he(e);if(n.help===!0)return{kind:"help",asked:"yes"};if(n.version===!0)return{kind:"version"};let[t,...s]=r;if(t===void 0)return{kind:"help",asked:"no"};if(t==="help")return{kind:"help",asked:"yes"};if(!O.includes(t))throw new u("NCP-640",`"${t}" is not a command.${_(t,O)}`,{hint:`say one of ${O.join(", ")}, or --help`});if(t==="completion")return{kind:"completion",shell:ge(s)};let a=n.json===!0?"json":"text",p=n.verbose===!0?"verbose":"usual";if(t==="setup"){if(s[0]!==void 0)throw new u("NCP-640",`setup: "${s[0]}" is one word too many`,{hint:"write --cache CACHE, or --substituters 'URL PUBLIC-KEY'"});return{kind:"setup",inputs:Z(n,o),format:a,log:p}}return{kind:"run",inputs:{...Z(n,o),mode:t,targets:s.join(`
`)},format:a,log:p}}i(ee,"parseCommand");function he(e){let o=Object.fromEntries(y.map(n=>[n,{type:"string"}]));try{return me({args:[...e],allowPositionals:!0,options:{...o,json:{type:"boolean"},verbose:{type:"boolean"},help:{type:"boolean",short:"h"},version:{type:"boolean"}}})}catch(n){let r=String(n).replace(/^TypeError[^:]*: /,""),t=/^Unknown option '-*([^']*)'/.exec(r)?.[1],s=[...y,"json","verbose","help","version"],a=t===void 0?"":_(t,s),p=t===void 0?r:`there is no option --${t}.${a}`;throw new u("NCP-640",p,{hint:"--help lists all options"})}}i(he,"parsed");function Z(e,o){let n=Object.fromEntries(y.flatMap(t=>{let s=e[t];return typeof s=="string"?[[t,s]]:[]}));if(n.cache?.trim()==="github")throw new u("NCP-103","--cache github: GitHub's cache is there for its jobs alone",{hint:"write file:///DIRECTORY or another kind of cache; without one, none is written to"});let r=Object.fromEntries(Object.entries(C).map(([t,s])=>[t,o[s]??""]));return{...x,cache:"none",...n,...r}}i(Z,"inputsOf");function ge([e="",...o]){let n=g.find(t=>t===e);if(n&&o.length===0)return n;let r=e===""?"completion: for which shell?":`completion: "${[e,...o].join(" ")}" is not a shell it knows.`;throw new u("NCP-640",`${r}${_(e,g)}`,{hint:`write completion ${g.join(", completion ")}`})}i(ge,"shellNamed");async function ne(e,o){let{setUp:n}=await import("./compose-setup-KI57EBYB.js");o.log.group("Set up");try{return await n({...e,...o,workspace:process.cwd(),platform:process.platform})}finally{o.log.endGroup()}}i(ne,"setup");function te({file:e,caches:o,added:n,troubles:r}){let{substituters:t,publicKeys:s}=n,a=t.length+s.length>0,p=[...t.map(c=>`  substituter ${c}: added`),...s.map(c=>`  key ${c}: added`),...o.filter(({url:c})=>!t.includes(c)).map(({url:c})=>`  substituter ${c}: was there already`),...r.flatMap(c=>[`error ${c.code}: ${$(c)}`,...c.hint===void 0?[]:[`  \u2192 ${c.hint}`]])],m=a?`${S(t.length,"substituter")} and ${S(s.length,"key")} added to ${e}`:`nothing to add: ${e} is as it should be`;return[...p,m].flatMap(c=>c.split(`
`)).map(A)}i(te,"setupLines");function oe({file:e,caches:o,added:n,troubles:r}){return{file:e,caches:o,added:n,errors:r.map(t=>({code:t.code,message:$(t),hint:t.hint??null}))}}i(oe,"setupJson");async function cn(e){let o=P(),n,r;try{n=ee(e,o),r="inputs"in n?X(n.inputs):void 0}catch(t){return se(t,e.includes("--json")?"json":"text"),2}switch(n.kind){case"help":return process.stdout.write(ke()),n.asked==="yes"?0:2;case"version":return process.stdout.write(`${z}
`),0;case"completion":return process.stdout.write(Q(n.shell,{options:y,commands:j})),0;case"setup":case"run":return r?$e(n,r,o):2;default:return n}}i(cn,"main");async function $e(e,o,n){let r=new AbortController,t=i(d=>{r.signal.aborted&&process.exit(1),r.abort(new u("NCP-501",`interrupted by ${d}`,{hint:"what was finished is kept; running it again goes on from there"}))},"interrupt");process.on("SIGINT",t),process.on("SIGTERM",t);let{signal:s}=r,a=Ee(n);try{var p=[];try{let d=w(p,await we(n,e.log));let Oe=w(p,e.log==="verbose"?F(f=>d.log.debug(f),M(o.secrets)):void 0);let ae={environment:n,folder:a,log:d.log,signal:s};if(e.kind==="setup"){let f=await ne(o,ae);return d.end(),e.format==="json"?T(oe(f)):process.stdout.write(`${te(f).join(`
`)}
`),f.troubles.length>0?1:0}let{compose:ce}=await import("./compose-PFECFSQ5.js");let pe=w(p,await ce({...o,environment:n,workspace:process.cwd(),folder:a,needs:"store and checkout",platform:process.platform,log:d.log,signal:s}),!0);let b=await L(o.job,_e(o.trust),pe.world,s);d.end();e.format==="json"?T(D(b)):Se(b,process.stdout);return G(b).some(({level:f})=>f==="error")?1:0}catch(m){var c=m,ie=!0}finally{var N=I(p,c,ie);N&&await N}}catch(d){return se(d,e.format),1}finally{process.off("SIGINT",t),process.off("SIGTERM",t)}}i($e,"work");async function we(e,o){if(o==="usual"&&V(process.stderr,e)){let{display:n}=await import("./display-KP2WW7XN.js");return n(process.stderr,e)}return{log:B(n=>process.stderr.write(`${n}
`),o),end:i(()=>{},"end"),[Symbol.dispose]:()=>{}}}i(we,"openLog");function _e(e){return e==="read-only"?{kind:"read-only",why:"--trust read-only was asked for"}:{kind:"write",pins:"keep",why:"on the command line"}}i(_e,"commandLineTrust");function Ee(e){let o=e.HOME??ye();return re(e.XDG_STATE_HOME||re(o,".local","state"),"nix-cache-preflight")}i(Ee,"stateFolder");function se(e,o){let n=R(e)??e,r=n instanceof u,t=r?n.code:"NCP-649",s=r?$(n):`a fault of nix-cache-preflight: ${n instanceof Error?n.stack??n.message:String(n)}`,a=r?n.hint:"please report it, with this text and the command";o==="json"&&T({error:{code:t,message:s,hint:a??null}}),process.stderr.write(`error ${t}: ${s}
${a?`  \u2192 ${a}
`:""}`)}i(se,"tell");function T(e){process.stdout.write(`${JSON.stringify(e,null,2)}
`)}i(T,"print");var be=[[/^error\b/,"red"],[/^warning\b/,"yellow"],[/^notice\b/,"dim"],[/^ {2}→/,"cyan"],[/^ {2}\S.*: (missing|failed)/,"yellow"],[/^ {2}\S.*: (own|upstream|cached now)/,"green"]];function Se(e,o){let n=q(o),r=i((a,p)=>{let m=o.isTTY?J(a,K(o)):a;o.write(`${p===void 0?m:n(p,m)}
`)},"print"),[t="",...s]=U(e);r(t,"bold");for(let a of[...s,...W(e)])r(a,be.find(([p])=>p.test(a))?.[1]);r(H(e))}i(Se,"showRun");var xe=80;function ke(){return`nix-cache-preflight COMMAND [TARGET \u2026] [--OPTION VALUE \u2026]

  check      what is cached, and what would another machine have to build?
  prefetch   and fetch what is cached
  warm       and build what is missing, push, verify and pin it
  audit      is what was pushed and pinned still there?
  setup      add --cache and --substituters to your Nix configuration, for good
  completion bash|zsh|fish

TARGET is an installable (.#name, nixpkgs#bws, '.#packages.SYSTEM.*'); without
one, every package of the flake here. Attributes follow: 'nixpkgs#bws pin=bws'.
Options are the action's inputs, with its defaults, but for --cache (none):
${ve(y.map(e=>`--${e}`))}
  --json (the report on standard output)  --version  --help
  --verbose (every request and every command of Nix, on standard error)
Secrets: ${Object.values(C).join(", ")}.
Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`}i(ke,"helpText");function ve(e){let o=[];for(let n of e){let r=o.at(-1);r!==void 0&&r.length+1+n.length<=xe?o[o.length-1]=`${r} ${n}`:o.push(`  ${n}`)}return o.join(`
`)}i(ve,"wrapped");export{ke as helpText,cn as main,Se as showRun};
