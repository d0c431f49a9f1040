import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{c as X,d as V,e as K,j as q,k as J}from"./chunk-EWWKD447.js";import{a as R}from"./chunk-GGJN46WL.js";import"./chunk-2T3EZTXO.js";import{q as h,r as z,s as x,t as F,v as Y}from"./chunk-IO7B6ED7.js";import{G as D,J as G,K as H,t as L,x as P,y as A}from"./chunk-4S3DLFUV.js";import"./chunk-ZXYTGNXG.js";import{q as U}from"./chunk-P74CSU6Y.js";import{k as _,o as M,w as W}from"./chunk-WHZDBY7C.js";import{e as S}from"./chunk-3PKAT62M.js";import"./chunk-YTR2PFLF.js";import{a as u,b as $}from"./chunk-EEURBZNN.js";import{a as i,f as w,g as I}from"./chunk-QA55TPRG.js";import{homedir as ge}from"node:os";import{join as oe}from"node:path";import{parseArgs as ue}from"node:util";var g=["bash","zsh","fish"],l="nix-cache-preflight";function B(e,o){switch(e){case"bash":return pe(o);case"zsh":return le(o);case"fish":return de(o);default:return e}}i(B,"completionScript");var k=Object.entries(F).filter(([e])=>e!=="mode"),E=["json","verbose","help","version"],v="nix --extra-experimental-features 'nix-command flakes' build";function pe({options:e,commands:o}){let t=k.map(([s,n])=>`    --${s}) words="${n.join(" ")}" ;;`);return`# bash completion for ${l}: eval "$(${l} completion bash)"
_nix_cache_preflight() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words=
  case $prev in
${t.join(`
`)}
    completion) words="${g.join(" ")}" ;;
    --*) case $prev in ${E.map(s=>`--${s}`).join("|")}) ;; *) return ;; esac ;;
  esac
  if [ -z "$words" ]; then
    if [ "$COMP_CWORD" -eq 1 ]; then words="${[...h,...o].join(" ")}"
    elif [ "\${cur#-}" != "$cur" ]; then words="${[...e,...E].map(s=>`--${s}`).join(" ")}"
    else words=$(NIX_GET_COMPLETIONS=6 ${v} "$cur" 2> /dev/null | tail -n +2 | cut -f 1)
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _nix_cache_preflight ${l}
`}i(pe,"bash");function le({options:e,commands:o}){let t=new Map(k.map(([n,r])=>[n,r.join(" ")])),s=e.map(n=>{let r=t.get(n);return`    '--${n}[input ${n}]:value:${r===void 0?"":`(${r})`}'`});return`#compdef ${l}
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
    ${E.map(n=>`'--${n}'`).join(" ")} \\
${s.join(` \\
`)}
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _nix_cache_preflight "$@"
else compdef _nix_cache_preflight ${l}
fi
`}i(le,"zsh");function de({options:e,commands:o}){let t=new Map(k.map(([n,r])=>[n,r.join(" ")])),s=e.map(n=>{let r=t.get(n);return`complete -c ${l} -l ${n} -x${r===void 0?"":` -a "${r}"`}`});return`# fish completion for ${l}: ${l} completion fish | source
complete -c ${l} -f
complete -c ${l} -n __fish_use_subcommand -a "${[...h,...o].join(" ")}"
complete -c ${l} -n "__fish_seen_subcommand_from completion" -a "${g.join(" ")}"
complete -c ${l} -n "__fish_seen_subcommand_from ${h.join(" ")}" -a "(NIX_GET_COMPLETIONS=6 ${v} (commandline -ct) 2> /dev/null | tail -n +2 | cut -f 1)"
${E.map(n=>`complete -c ${l} -l ${n}`).join(`
`)}
${s.join(`
`)}
`}i(de,"fish");var C={token:"NIX_CACHE_PREFLIGHT_TOKEN","signing-key":"NIX_CACHE_PREFLIGHT_SIGNING_KEY"},me=new Set(["targets","mode","token","signing-key","install-nix"]),y=Object.keys(x).filter(e=>!me.has(e)),j=["setup","completion"],O=[...h,...j];function Z(e,o){let{values:t,positionals:s}=fe(e);if(t.help===!0)return{kind:"help",asked:"yes"};if(t.version===!0)return{kind:"version"};let[n,...r]=s;if(n===void 0)return{kind:"help",asked:"no"};if(n==="help")return{kind:"help",asked:"yes"};if(!O.includes(n))throw new u("NCP-640",`"${n}" is not a command.${_(n,O)}`,{hint:`say one of ${O.join(", ")}, or --help`});if(n==="completion")return{kind:"completion",shell:he(r)};let p=t.json===!0?"json":"text",c=t.verbose===!0?"verbose":"usual";if(n==="setup"){if(r[0]!==void 0)throw new u("NCP-640",`setup: "${r[0]}" is one word too many`,{hint:"write --cache CACHE, or --substituters 'URL PUBLIC-KEY'"});return{kind:"setup",inputs:Q(t,o),format:p,log:c}}return{kind:"run",inputs:{...Q(t,o),mode:n,targets:r.join(`
`)},format:p,log:c}}i(Z,"parseCommand");function fe(e){let o=Object.fromEntries(y.map(t=>[t,{type:"string"}]));try{return ue({args:[...e],allowPositionals:!0,options:{...o,json:{type:"boolean"},verbose:{type:"boolean"},help:{type:"boolean",short:"h"},version:{type:"boolean"}}})}catch(t){let s=String(t).replace(/^TypeError[^:]*: /,""),n=/^Unknown option '-*([^']*)'/.exec(s)?.[1],r=[...y,"json","verbose","help","version"],p=n===void 0?"":_(n,r),c=n===void 0?s:`there is no option --${n}.${p}`;throw new u("NCP-640",c,{hint:"--help lists all options"})}}i(fe,"parsed");function Q(e,o){let t=Object.fromEntries(y.flatMap(n=>{let r=e[n];return typeof r=="string"?[[n,r]]:[]}));if(t.cache?.trim()==="github")throw new u("NCP-103","--cache github: GitHub's cache is there for its jobs alone",{hint:"write file:///DIRECTORY or another kind of cache; without one, none is written to"});let s=Object.fromEntries(Object.entries(C).map(([n,r])=>[n,o[r]??""]));return{...x,cache:"none",...t,...s}}i(Q,"inputsOf");function he([e="",...o]){let t=g.find(n=>n===e);if(t&&o.length===0)return t;let s=e===""?"completion: for which shell?":`completion: "${[e,...o].join(" ")}" is not a shell it knows.`;throw new u("NCP-640",`${s}${_(e,g)}`,{hint:`write completion ${g.join(", completion ")}`})}i(he,"shellNamed");async function ee(e,o){let{setUp:t}=await import("./compose-setup-TTUFPXBS.js");o.log.group("Set up");try{return await t({...e,...o,workspace:process.cwd(),platform:process.platform})}finally{o.log.endGroup()}}i(ee,"setup");function ne({file:e,caches:o,added:t,troubles:s}){let{substituters:n,publicKeys:r}=t,p=n.length+r.length>0,c=[...n.map(a=>`  substituter ${a}: added`),...r.map(a=>`  key ${a}: added`),...o.filter(({url:a})=>!n.includes(a)).map(({url:a})=>`  substituter ${a}: was there already`),...s.flatMap(a=>[`error ${a.code}: ${$(a)}`,...a.hint===void 0?[]:[`  \u2192 ${a.hint}`]])],m=p?`${S(n.length,"substituter")} and ${S(r.length,"key")} added to ${e}`:`nothing to add: ${e} is as it should be`;return[...c,m].flatMap(a=>a.split(`
`)).map(L)}i(ne,"setupLines");function te({file:e,caches:o,added:t,troubles:s}){return{file:e,caches:o,added:t,errors:s.map(n=>({code:n.code,message:$(n),hint:n.hint??null}))}}i(te,"setupJson");async function an(e){let o=M(),t,s;try{t=Z(e,o),s="inputs"in t?Y(t.inputs):void 0}catch(n){return se(n,e.includes("--json")?"json":"text"),2}switch(t.kind){case"help":return process.stdout.write(xe()),t.asked==="yes"?0:2;case"version":return process.stdout.write(`${U}
`),0;case"completion":return process.stdout.write(B(t.shell,{options:y,commands:j})),0;case"setup":case"run":return s?ye(t,s,o):2;default:return t}}i(an,"main");async function ye(e,o,t){let s=new AbortController,n=i(d=>{s.signal.aborted&&process.exit(1),s.abort(new u("NCP-501",`interrupted by ${d}`,{hint:"what was finished is kept; running it again goes on from there"}))},"interrupt");process.on("SIGINT",n),process.on("SIGTERM",n);let{signal:r}=s,p=_e(t);try{var c=[];try{let d=w(c,await $e(t,e.log));let ve=w(c,e.log==="verbose"?W(f=>d.log.debug(f),z(o.secrets)):void 0);let ie={environment:t,folder:p,log:d.log,signal:r};if(e.kind==="setup"){let f=await ee(o,ie);return d.end(),e.format==="json"?T(te(f)):process.stdout.write(`${ne(f).join(`
`)}
`),f.troubles.length>0?1:0}let{compose:ae}=await import("./compose-DLDKG2TV.js");let ce=w(c,await ae({...o,environment:t,workspace:process.cwd(),folder:p,platform:process.platform,log:d.log,signal:r}),!0);let b=await R(o.job,we(o.trust),ce.world,r);d.end();e.format==="json"?T(P(b)):be(b,process.stdout);return A(b).some(({level:f})=>f==="error")?1:0}catch(m){var a=m,re=!0}finally{var N=I(c,a,re);N&&await N}}catch(d){return se(d,e.format),1}finally{process.off("SIGINT",n),process.off("SIGTERM",n)}}i(ye,"work");async function $e(e,o){if(o==="usual"&&X(process.stderr,e)){let{display:t}=await import("./display-HRV4K4FL.js");return t(process.stderr,e)}return{log:J(t=>process.stderr.write(`${t}
`),o),end:i(()=>{},"end"),[Symbol.dispose]:()=>{}}}i($e,"openLog");function we(e){return e==="read-only"?{kind:"read-only",why:"--trust read-only was asked for"}:{kind:"write",pins:"keep",why:"on the command line"}}i(we,"commandLineTrust");function _e(e){let o=e.HOME??ge();return oe(e.XDG_STATE_HOME||oe(o,".local","state"),"nix-cache-preflight")}i(_e,"stateFolder");function se(e,o){let t=e instanceof u,s=t?e.code:"NCP-649",n=t?$(e):`a fault of nix-cache-preflight: ${e instanceof Error?e.stack??e.message:String(e)}`,r=t?e.hint:"please report it, with this text and the command";o==="json"&&T({error:{code:s,message:n,hint:r??null}}),process.stderr.write(`error ${s}: ${n}
${r?`  \u2192 ${r}
`:""}`)}i(se,"tell");function T(e){process.stdout.write(`${JSON.stringify(e,null,2)}
`)}i(T,"print");var Ee=[[/^error\b/,"red"],[/^warning\b/,"yellow"],[/^notice\b/,"dim"],[/^ {2}→/,"cyan"],[/^ {2}\S.*: (missing|failed)/,"yellow"],[/^ {2}\S.*: (own|upstream|cached now)/,"green"]];function be(e,o){let t=K(o),s=i((p,c)=>{let m=o.isTTY?q(p,V(o)):p;o.write(`${c===void 0?m:t(c,m)}
`)},"print"),[n="",...r]=G(e);s(n,"bold");for(let p of[...r,...H(e)])s(p,Ee.find(([c])=>c.test(p))?.[1]);s(D(e))}i(be,"showRun");var Se=80;function xe(){return`nix-cache-preflight COMMAND [TARGET \u2026] [--OPTION VALUE \u2026]

  check      what is cached, and what would another machine have to build?
  prefetch   and fetch what is cached
  warm       and build what is missing, push, verify and pin it
  audit      is what was pushed and pinned still there?
  setup      add --cache and --substituters to your Nix configuration, for good
  completion bash|zsh|fish

TARGET is an installable (.#name, nixpkgs#bws, '.#packages.SYSTEM.*'); without
one, every package of the flake here. Attributes follow: 'nixpkgs#bws pin=bws'.
Options are the action's inputs, with its defaults, but for --cache (none):
${ke(y.map(e=>`--${e}`))}
  --json (the report on standard output)  --version  --help
  --verbose (every request and every command of Nix, on standard error)
Secrets: ${Object.values(C).join(", ")}.
Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`}i(xe,"helpText");function ke(e){let o=[];for(let t of e){let s=o.at(-1);s!==void 0&&s.length+1+t.length<=Se?o[o.length-1]=`${s} ${t}`:o.push(`  ${t}`)}return o.join(`
`)}i(ke,"wrapped");export{xe as helpText,an as main,be as showRun};
