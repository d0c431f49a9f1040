import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a as V}from"./chunk-W2BAICWU.js";import{c as se,d as re,e as ie,j as ae,k as ce}from"./chunk-6Q25QTN4.js";import{J as T,K as ne,M as oe,a as h,b as j,c as U,h as W,i as z}from"./chunk-4XCHAEEB.js";import{C as J,D as K,L as q,O as Q,P as Z,Q as ee,g as Y,y as N}from"./chunk-ILNRD23V.js";import"./chunk-4M77V4LJ.js";import{r as te}from"./chunk-KBG3XAER.js";import{h as x,o as B}from"./chunk-MSWGTGRZ.js";import{L as O,e as _}from"./chunk-PKCHAXDT.js";import{f as X}from"./chunk-GSYICBP3.js";import"./chunk-YTR2PFLF.js";import{a as u,c as k}from"./chunk-O7N72E4J.js";import{a as i,f as v,g as H}from"./chunk-QA55TPRG.js";import{rm as Ie}from"node:fs/promises";import{parseArgs as xe}from"node:util";var g=["bash","zsh","fish"],p="nix-cache-preflight";function le(e,t){switch(e){case"bash":return Ee(t);case"zsh":return ve(t);case"fish":return _e(t);default:return e}}i(le,"completionScript");var R=Object.entries(ne).filter(([e])=>e!=="mode"),w=["json","remove","files-only","verbose","help","version"],L="nix --extra-experimental-features 'nix-command flakes' build";function Ee({options:e,commands:t}){let n=R.map(([s,o])=>`    --${s}) words="${o.join(" ")}" ;;`);return`# bash completion for ${p}: eval "$(${p} completion bash)"
_nix_cache_preflight() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} words=
  case $prev in
${n.join(`
`)}
    completion) words="${g.join(" ")}" ;;
    --*) case $prev in ${w.map(s=>`--${s}`).join("|")}) ;; *) return ;; esac ;;
  esac
  if [ -z "$words" ]; then
    if [ "$COMP_CWORD" -eq 1 ]; then words="${[...h,...t].join(" ")}"
    elif [ "\${cur#-}" != "$cur" ]; then words="${[...e,...w].map(s=>`--${s}`).join(" ")}"
    else words=$(NIX_GET_COMPLETIONS=6 ${L} "$cur" 2> /dev/null | tail -n +2 | cut -f 1)
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _nix_cache_preflight ${p}
`}i(Ee,"bash");function ve({options:e,commands:t}){let n=new Map(R.map(([o,r])=>[o,r.join(" ")])),s=e.map(o=>{let r=n.get(o);return`    '--${o}[input ${o}]:value:${r===void 0?"":`(${r})`}'`});return`#compdef ${p}
# zsh completion for ${p}: eval "$(${p} completion zsh)"
_nix_cache_preflight_targets() {
  local -a found
  found=(\${(f)"$(NIX_GET_COMPLETIONS=6 ${L} "$words[CURRENT]" 2> /dev/null | tail -n +2 | cut -f 1)"})
  compadd -- $found
}
_nix_cache_preflight_rest() {
  if [[ $words[2] == completion ]]; then compadd -- ${g.join(" ")}
  else _nix_cache_preflight_targets
  fi
}
_nix_cache_preflight() {
  _arguments -S \\
    '1:command:(${[...h,...t].join(" ")})' \\
    '*:target:_nix_cache_preflight_rest' \\
    ${w.map(o=>`'--${o}'`).join(" ")} \\
${s.join(` \\
`)}
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _nix_cache_preflight "$@"
else compdef _nix_cache_preflight ${p}
fi
`}i(ve,"zsh");function _e({options:e,commands:t}){let n=new Map(R.map(([o,r])=>[o,r.join(" ")])),s=e.map(o=>{let r=n.get(o);return`complete -c ${p} -l ${o} -x${r===void 0?"":` -a "${r}"`}`});return`# fish completion for ${p}: ${p} completion fish | source
complete -c ${p} -f
complete -c ${p} -n __fish_use_subcommand -a "${[...h,...t].join(" ")}"
complete -c ${p} -n "__fish_seen_subcommand_from completion" -a "${g.join(" ")}"
complete -c ${p} -n "__fish_seen_subcommand_from ${h.join(" ")}" -a "(NIX_GET_COMPLETIONS=6 ${L} (commandline -ct) 2> /dev/null | tail -n +2 | cut -f 1)"
${w.map(o=>`complete -c ${p} -l ${o}`).join(`
`)}
${s.join(`
`)}
`}i(_e,"fish");var M={token:"NIX_CACHE_PREFLIGHT_TOKEN","signing-key":"NIX_CACHE_PREFLIGHT_SIGNING_KEY"},Se=new Set(["targets","mode","token","signing-key","install-nix"]),y=Object.keys(T).filter(e=>!Se.has(e)),A=["setup","completion"],P=[...h,...A];function pe(e,t){let{values:n,positionals:s}=Ce(e);if(n.help===!0)return{kind:"help",asked:"yes"};if(n.version===!0)return{kind:"version"};let[o,...r]=s;if(o===void 0)return{kind:"help",asked:"no"};if(o==="help")return{kind:"help",asked:"yes"};if(!P.includes(o))throw new u("NCP-640",`"${o}" is not a command.${x(o,P)}`,{hint:`say one of ${P.join(", ")}, or --help`});if(o==="completion")return{kind:"completion",shell:je(r)};let a=n.json===!0?"json":"text",c=n.remove===!0;if(c&&o!=="setup")throw new u("NCP-640",`${o}: --remove belongs to setup`,{hint:"write setup --remove: it takes back what setup added to your Nix configuration"});let d=n.verbose===!0?"verbose":"usual";if(n["files-only"]===!0){if(o==="audit"&&r.length===0)return{kind:"files",inputs:I(n,t),format:a,log:d};throw new u("NCP-640","--files-only is for audit, without targets",{hint:"write audit --files-only: it looks at the project's files, evaluates nothing and asks no cache"})}if(o==="setup"){if(r[0]!==void 0)throw new u("NCP-640",`setup: "${r[0]}" is one word too many`,{hint:"write --cache CACHE, or --substituters 'URL PUBLIC-KEY'"});let E=I(n,t);if(c&&(n.cache!==void 0||n.substituters!==void 0))throw new u("NCP-640","setup --remove takes back all that setup added",{hint:"leave --cache and --substituters out; setup adds again what is to stay"});return{kind:c?"take back":"setup",inputs:E,format:a,log:d}}return{kind:"run",inputs:{...I(n,t),mode:o,targets:r.join(`
`)},format:a,log:d}}i(pe,"parseCommand");function Ce(e){let t=Object.fromEntries(y.map(n=>[n,{type:"string"}]));try{return xe({args:[...e],allowPositionals:!0,options:{...t,json:{type:"boolean"},remove:{type:"boolean"},"files-only":{type:"boolean"},verbose:{type:"boolean"},help:{type:"boolean",short:"h"},version:{type:"boolean"}}})}catch(n){let s=String(n).replace(/^TypeError[^:]*: /,""),o=/^Unknown option '-*([^']*)'/.exec(s)?.[1],r=[...y,...w],a=o===void 0?"":x(o,r),c=o===void 0?s:`there is no option --${o}.${a}`;throw new u("NCP-640",c,{hint:"--help lists all options"})}}i(Ce,"parsed");function I(e,t){let n=Object.fromEntries(y.flatMap(o=>{let r=e[o];return typeof r=="string"?[[o,r]]:[]}));if(n.cache?.trim()==="github")throw new u("NCP-103","--cache github: GitHub's cache is there for its jobs alone",{hint:"write file:///DIRECTORY or another kind of cache; without one, none is written to"});let s=Object.fromEntries(Object.entries(M).map(([o,r])=>[o,t[r]??""]));return{...T,cache:"none",...n,...s}}i(I,"inputsOf");function je([e="",...t]){let n=g.find(o=>o===e);if(n&&t.length===0)return n;let s=e===""?"completion: for which shell?":`completion: "${[e,...t].join(" ")}" is not a shell it knows.`;throw new u("NCP-640",`${s}${x(e,g)}`,{hint:`write completion ${g.join(", completion ")}`})}i(je,"shellNamed");import{mkdir as Oe,mkdtemp as de,readdir as Ne,rm as ue}from"node:fs/promises";import{homedir as Te,tmpdir as Re}from"node:os";import{join as $}from"node:path";async function me(e){let t=Pe(e);try{await Oe(t,{recursive:!0,mode:448});for(let n of await Ne(t)){let s=/^run-(\d+)-/.exec(n)?.[1];s!==void 0&&!Le(Number(s))&&await ue($(t,n),{recursive:!0,force:!0})}return await ue($(t,"netrc"),{force:!0}),await de($(t,`run-${process.pid}-`))}catch{return de($(Re(),"nix-cache-preflight-"))}}i(me,"beginFolder");function Le(e){try{return process.kill(e,0),!0}catch(t){return t.code==="EPERM"}}i(Le,"isAlive");function Pe(e){let t=e.HOME??Te();return $(e.XDG_STATE_HOME||$(t,".local","state"),"nix-cache-preflight")}i(Pe,"stateFolder");async function fe(e,t){let{setUp:n}=await import("./compose-setup-4NFUTETI.js");t.log.group("Set up");try{return await n({...e,...t,code:"ours",workspace:process.cwd(),platform:process.platform})}finally{t.log.endGroup()}}i(fe,"setup");async function he(e){let{takeBackSetUp:t}=await import("./compose-setup-4NFUTETI.js");return t({...e,workspace:process.cwd()})}i(he,"remove");function ge({file:e,removed:t}){let n=t.length===0?`nothing to take back: ${e} holds no line of ours`:`${_(t.length,"line")} taken out of ${e}`;return[...t.map(s=>`  removed ${s}`),n].map(N)}i(ge,"removeLines");function we({file:e,caches:t,added:n,troubles:s}){let{substituters:o,publicKeys:r}=n,a=o.length+r.length>0,c=[...o.map(l=>`  substituter ${l}: added`),...r.map(l=>`  key ${l}: added`),...t.filter(({url:l})=>!o.includes(l)).map(({url:l})=>`  substituter ${l}: was there already`),...s.flatMap(l=>[`error ${l.code}: ${k(l)}`,...l.hint===void 0?[]:[`  \u2192 ${l.hint}`]])],d=a?`${_(o.length,"substituter")} and ${_(r.length,"key")} added to ${e}`:`nothing to add: ${e} is as it should be`;return[...c,d].flatMap(l=>l.split(`
`)).map(N)}i(we,"setupLines");function ye({file:e,caches:t,added:n,troubles:s}){return{file:e,caches:t,added:n,errors:s.map(o=>({code:o.code,message:k(o),hint:o.hint??null}))}}i(ye,"setupJson");async function It(e){let t=B(),n,s;try{n=pe(e,t),s="inputs"in n?oe(n.inputs):void 0}catch(o){return G(o,e.includes("--json")?"json":"text"),2}switch(n.kind){case"help":return process.stdout.write(ze()),n.asked==="yes"?0:2;case"version":return process.stdout.write(`${te}
`),0;case"completion":return process.stdout.write(le(n.shell,{options:y,commands:A})),0;case"files":return s?Ae(n.format,s,t):2;case"setup":case"take back":case"run":return s?Me(n,s,t):2;default:return n}}i(It,"main");async function Me(e,t,n){let s=new AbortController,o=i(m=>{s.signal.aborted&&process.exit(1),s.abort(new u("NCP-501",`interrupted by ${m}`,{hint:"what was finished is kept; running it again goes on from there"}))},"interrupt");process.on("SIGINT",o),process.on("SIGTERM",o);let{signal:r}=s,a=await me(n);try{var c=[];try{let m=v(c,await De(n,e.log));let Ve=v(c,e.log==="verbose"?X(f=>m.log.debug(f),U(t.secrets)):void 0);let F={environment:n,folder:a,log:m.log,signal:r};if(e.kind==="take back"){let f=await he(F);return m.end(),e.format==="json"?b(f):process.stdout.write(`${ge(f).join(`
`)}
`),0}if(e.kind==="setup"){let f=await fe(t,F);return m.end(),e.format==="json"?b(ye(f)):process.stdout.write(`${we(f).join(`
`)}
`),f.troubles.length>0?1:0}let{job:$e}=t;let{compose:ke}=await import("./compose-E7UYDMPE.js");let S=Fe(t.trust);let be=v(c,await ke({...t,code:j(S),environment:n,workspace:process.cwd(),folder:a,platform:process.platform,log:m.log,signal:r,buildsToEvaluate:Y[t.job.mode].has("substitute")&&j(S)==="ours"?"allowed":"forbidden"}),!0);let C=await V($e,S,be.world,r);m.end();e.format==="json"?b(J(C)):Ue(C,process.stdout);return K(C).some(({level:f})=>f==="error")?1:0}catch(d){var l=d,D=!0}finally{var E=H(c,l,D);E&&await E}}catch(m){return G(m,e.format),1}finally{process.off("SIGINT",o),process.off("SIGTERM",o),await Ie(a,{recursive:!0,force:!0})}}i(Me,"work");async function Ae(e,{job:t},n){try{let{openProject:s}=await import("./compose-E7UYDMPE.js"),{files:o,addresses:r}=s(n,process.cwd()),a={checks:W(await o.look([],Ge),r),sizes:void 0},c=z(t,a);return e==="json"?b({audit:a,findings:c}):process.stdout.write(`${Q(a).slice(1).join(`
`)}
`),c.some(({level:d})=>d==="error")?1:0}catch(s){return G(s,e),1}}i(Ae,"auditFiles");var Ge=new AbortController().signal;async function De(e,t){if(t==="usual"&&se(process.stderr,e)){let{display:n}=await import("./display-WWOMWXBU.js");return n(process.stderr,e)}return{log:ce(n=>process.stderr.write(`${n}
`),t),end:i(()=>{},"end"),[Symbol.dispose]:()=>{}}}i(De,"openLog");function Fe(e){return e==="read-only"?{kind:"read-only",code:"strange",why:"--trust read-only was asked for"}:{kind:"write",pins:"keep",why:"on the command line"}}i(Fe,"commandLineTrust");function G(e,t){let n=e instanceof u,s=n?e.code:"NCP-649",o=n?k(e):`a fault of nix-cache-preflight: ${e instanceof Error?e.stack??e.message:String(e)}`,r=n?e.hint:"please report it, with this text and the command";t==="json"&&b({error:{code:s,message:o,hint:r??null}});let a=`error ${s}: ${o}
${r?`  \u2192 ${r}
`:""}`;process.stderr.write(O(a))}i(G,"tell");function b(e){process.stdout.write(O(`${JSON.stringify(e,null,2)}
`))}i(b,"print");var He=[[/^error\b/,"red"],[/^warning\b/,"yellow"],[/^notice\b/,"dim"],[/^ {2}→/,"cyan"],[/^ {2}\S.*: (missing|failed)/,"yellow"],[/^ {2}\S.*: (own|upstream|cached now)/,"green"]];function Ue(e,t){let n=ie(t),s=i((a,c)=>{let d=t.isTTY?ae(a,re(t)):a;t.write(`${c===void 0?d:n(c,d)}
`)},"print"),[o="",...r]=Z(e);s(o,"bold");for(let a of[...r,...ee(e)])s(a,He.find(([c])=>c.test(a))?.[1]);s(q(e))}i(Ue,"showRun");var We=80;function ze(){return`nix-cache-preflight COMMAND [TARGET \u2026] [--OPTION VALUE \u2026]

  check      what is cached, and what would another machine have to build?
  prefetch   and fetch what is cached
  warm       and build what is missing, push, verify and pin it
  audit      is what was pushed and pinned still there?
  setup      add --cache and --substituters to your Nix configuration, for good
             (setup --remove takes all of that back)
  completion bash|zsh|fish

TARGET is an installable (.#name, nixpkgs#bws, '.#packages.SYSTEM.*'); without
one, every package of the flake here. Attributes follow: 'nixpkgs#bws pin=bws'.
Options are the action's inputs, with its defaults, but for --cache (none):
${Ye(y.map(e=>`--${e}`))}
  --json (the report on standard output)  --version  --help
  --verbose (every request and every command of Nix, on standard error)
  --files-only (audit: the project's files alone; nothing is evaluated or asked)
Secrets: ${Object.values(M).join(", ")}.
Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`}i(ze,"helpText");function Ye(e){let t=[];for(let n of e){let s=t.at(-1);s!==void 0&&s.length+1+n.length<=We?t[t.length-1]=`${s} ${n}`:t.push(`  ${n}`)}return t.join(`
`)}i(Ye,"wrapped");export{ze as helpText,It as main,Ue as showRun};
