import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);
import{a as Y}from"./chunk-IF73RREH.js";import{c as oe,d as se,e as re,j as ie,k as ae}from"./chunk-WR5IEUOV.js";import{G as O,H as te,J as ne,a as h,b as H,c as U,i as W,j as z}from"./chunk-H75SV7XK.js";import{G as J,J as K,K as Q,L as Z,t as j,x as B,y as q}from"./chunk-YXH3IUBA.js";import"./chunk-DBTA4RWJ.js";import{m as ee}from"./chunk-KIDMPAGK.js";import{g as x,t as X}from"./chunk-E33TOCUA.js";import{G as C,e as v}from"./chunk-NGFMAZFI.js";import{e as V}from"./chunk-J2HW5GI5.js";import"./chunk-YTR2PFLF.js";import{a as u,b as k}from"./chunk-EEURBZNN.js";import{a as i,f as _,g as F}from"./chunk-QA55TPRG.js";import{rm as Le}from"node:fs/promises";import{parseArgs as _e}from"node:util";var g=["bash","zsh","fish"],l="nix-cache-preflight";function ce(e,t){switch(e){case"bash":return ke(t);case"zsh":return be(t);case"fish":return Ee(t);default:return e}}i(ce,"completionScript");var N=Object.entries(te).filter(([e])=>e!=="mode"),w=["json","remove","files-only","verbose","help","version"],T="nix --extra-experimental-features 'nix-command flakes' build";function ke({options:e,commands:t}){let n=N.map(([s,o])=>`    --${s}) words="${o.join(" ")}" ;;`);return`# bash completion for ${l}: eval "$(${l} completion bash)"
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
    else words=$(NIX_GET_COMPLETIONS=6 ${T} "$cur" 2> /dev/null | tail -n +2 | cut -f 1)
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -o default -F _nix_cache_preflight ${l}
`}i(ke,"bash");function be({options:e,commands:t}){let n=new Map(N.map(([o,r])=>[o,r.join(" ")])),s=e.map(o=>{let r=n.get(o);return`    '--${o}[input ${o}]:value:${r===void 0?"":`(${r})`}'`});return`#compdef ${l}
# zsh completion for ${l}: eval "$(${l} completion zsh)"
_nix_cache_preflight_targets() {
  local -a found
  found=(\${(f)"$(NIX_GET_COMPLETIONS=6 ${T} "$words[CURRENT]" 2> /dev/null | tail -n +2 | cut -f 1)"})
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
else compdef _nix_cache_preflight ${l}
fi
`}i(be,"zsh");function Ee({options:e,commands:t}){let n=new Map(N.map(([o,r])=>[o,r.join(" ")])),s=e.map(o=>{let r=n.get(o);return`complete -c ${l} -l ${o} -x${r===void 0?"":` -a "${r}"`}`});return`# fish completion for ${l}: ${l} completion fish | source
complete -c ${l} -f
complete -c ${l} -n __fish_use_subcommand -a "${[...h,...t].join(" ")}"
complete -c ${l} -n "__fish_seen_subcommand_from completion" -a "${g.join(" ")}"
complete -c ${l} -n "__fish_seen_subcommand_from ${h.join(" ")}" -a "(NIX_GET_COMPLETIONS=6 ${T} (commandline -ct) 2> /dev/null | tail -n +2 | cut -f 1)"
${w.map(o=>`complete -c ${l} -l ${o}`).join(`
`)}
${s.join(`
`)}
`}i(Ee,"fish");var P={token:"NIX_CACHE_PREFLIGHT_TOKEN","signing-key":"NIX_CACHE_PREFLIGHT_SIGNING_KEY"},ve=new Set(["targets","mode","token","signing-key","install-nix"]),y=Object.keys(O).filter(e=>!ve.has(e)),I=["setup","completion"],R=[...h,...I];function pe(e,t){let{values:n,positionals:s}=xe(e);if(n.help===!0)return{kind:"help",asked:"yes"};if(n.version===!0)return{kind:"version"};let[o,...r]=s;if(o===void 0)return{kind:"help",asked:"no"};if(o==="help")return{kind:"help",asked:"yes"};if(!R.includes(o))throw new u("NCP-640",`"${o}" is not a command.${x(o,R)}`,{hint:`say one of ${R.join(", ")}, or --help`});if(o==="completion")return{kind:"completion",shell:Se(r)};let a=n.json===!0?"json":"text",c=n.remove===!0;if(c&&o!=="setup")throw new u("NCP-640",`${o}: --remove belongs to setup`,{hint:"write setup --remove: it takes back what setup added to your Nix configuration"});let d=n.verbose===!0?"verbose":"usual";if(n["files-only"]===!0){if(o==="audit"&&r.length===0)return{kind:"files",inputs:L(n,t),format:a,log:d};throw new u("NCP-640","--files-only is for audit, without targets",{hint:"write audit --files-only: it looks at the project's files, evaluates nothing and asks no cache"})}if(o==="setup"){if(r[0]!==void 0)throw new u("NCP-640",`setup: "${r[0]}" is one word too many`,{hint:"write --cache CACHE, or --substituters 'URL PUBLIC-KEY'"});let E=L(n,t);if(c&&(n.cache!==void 0||n.substituters!==void 0))throw new u("NCP-640","setup --remove takes back all that setup added",{hint:"leave --cache and --substituters out; setup adds again what is to stay"});return{kind:c?"take back":"setup",inputs:E,format:a,log:d}}return{kind:"run",inputs:{...L(n,t),mode:o,targets:r.join(`
`)},format:a,log:d}}i(pe,"parseCommand");function xe(e){let t=Object.fromEntries(y.map(n=>[n,{type:"string"}]));try{return _e({args:[...e],allowPositionals:!0,options:{...t,json:{type:"boolean"},remove:{type:"boolean"},"files-only":{type:"boolean"},verbose:{type:"boolean"},help:{type:"boolean",short:"h"},version:{type:"boolean"}}})}catch(n){let s=String(n).replace(/^TypeError[^:]*: /,""),o=/^Unknown option '-*([^']*)'/.exec(s)?.[1],r=[...y,...w],a=o===void 0?"":x(o,r),c=o===void 0?s:`there is no option --${o}.${a}`;throw new u("NCP-640",c,{hint:"--help lists all options"})}}i(xe,"parsed");function L(e,t){let n=Object.fromEntries(y.flatMap(o=>{let r=e[o];return typeof r=="string"?[[o,r]]:[]}));if(n.cache?.trim()==="github")throw new u("NCP-103","--cache github: GitHub's cache is there for its jobs alone",{hint:"write file:///DIRECTORY or another kind of cache; without one, none is written to"});let s=Object.fromEntries(Object.entries(P).map(([o,r])=>[o,t[r]??""]));return{...O,cache:"none",...n,...s}}i(L,"inputsOf");function Se([e="",...t]){let n=g.find(o=>o===e);if(n&&t.length===0)return n;let s=e===""?"completion: for which shell?":`completion: "${[e,...t].join(" ")}" is not a shell it knows.`;throw new u("NCP-640",`${s}${x(e,g)}`,{hint:`write completion ${g.join(", completion ")}`})}i(Se,"shellNamed");import{mkdir as Ce,mkdtemp as le,readdir as je,rm as de}from"node:fs/promises";import{homedir as Oe,tmpdir as Ne}from"node:os";import{join as $}from"node:path";async function ue(e){let t=Re(e);try{await Ce(t,{recursive:!0,mode:448});for(let n of await je(t)){let s=/^run-(\d+)-/.exec(n)?.[1];s!==void 0&&!Te(Number(s))&&await de($(t,n),{recursive:!0,force:!0})}return await de($(t,"netrc"),{force:!0}),await le($(t,`run-${process.pid}-`))}catch{return le($(Ne(),"nix-cache-preflight-"))}}i(ue,"beginFolder");function Te(e){try{return process.kill(e,0),!0}catch(t){return t.code==="EPERM"}}i(Te,"isAlive");function Re(e){let t=e.HOME??Oe();return $(e.XDG_STATE_HOME||$(t,".local","state"),"nix-cache-preflight")}i(Re,"stateFolder");async function me(e,t){let{setUp:n}=await import("./compose-setup-OILO4BZC.js");t.log.group("Set up");try{return await n({...e,...t,code:"ours",workspace:process.cwd(),platform:process.platform})}finally{t.log.endGroup()}}i(me,"setup");async function fe(e){let{takeBackSetUp:t}=await import("./compose-setup-OILO4BZC.js");return t({...e,workspace:process.cwd()})}i(fe,"remove");function he({file:e,removed:t}){let n=t.length===0?`nothing to take back: ${e} holds no line of ours`:`${v(t.length,"line")} taken out of ${e}`;return[...t.map(s=>`  removed ${s}`),n].map(j)}i(he,"removeLines");function ge({file:e,caches:t,added:n,troubles:s}){let{substituters:o,publicKeys:r}=n,a=o.length+r.length>0,c=[...o.map(p=>`  substituter ${p}: added`),...r.map(p=>`  key ${p}: added`),...t.filter(({url:p})=>!o.includes(p)).map(({url:p})=>`  substituter ${p}: was there already`),...s.flatMap(p=>[`error ${p.code}: ${k(p)}`,...p.hint===void 0?[]:[`  \u2192 ${p.hint}`]])],d=a?`${v(o.length,"substituter")} and ${v(r.length,"key")} added to ${e}`:`nothing to add: ${e} is as it should be`;return[...c,d].flatMap(p=>p.split(`
`)).map(j)}i(ge,"setupLines");function we({file:e,caches:t,added:n,troubles:s}){return{file:e,caches:t,added:n,errors:s.map(o=>({code:o.code,message:k(o),hint:o.hint??null}))}}i(we,"setupJson");async function Rt(e){let t=X(),n,s;try{n=pe(e,t),s="inputs"in n?ne(n.inputs):void 0}catch(o){return M(o,e.includes("--json")?"json":"text"),2}switch(n.kind){case"help":return process.stdout.write(Ue()),n.asked==="yes"?0:2;case"version":return process.stdout.write(`${ee}
`),0;case"completion":return process.stdout.write(ce(n.shell,{options:y,commands:I})),0;case"files":return s?Ie(n.format,s,t):2;case"setup":case"take back":case"run":return s?Pe(n,s,t):2;default:return n}}i(Rt,"main");async function Pe(e,t,n){let s=new AbortController,o=i(m=>{s.signal.aborted&&process.exit(1),s.abort(new u("NCP-501",`interrupted by ${m}`,{hint:"what was finished is kept; running it again goes on from there"}))},"interrupt");process.on("SIGINT",o),process.on("SIGTERM",o);let{signal:r}=s,a=await ue(n);try{var c=[];try{let m=_(c,await Ae(n,e.log));let ze=_(c,e.log==="verbose"?V(f=>m.log.debug(f),U(t.secrets)):void 0);let G={environment:n,folder:a,log:m.log,signal:r};if(e.kind==="take back"){let f=await fe(G);return m.end(),e.format==="json"?b(f):process.stdout.write(`${he(f).join(`
`)}
`),0}if(e.kind==="setup"){let f=await me(t,G);return m.end(),e.format==="json"?b(we(f)):process.stdout.write(`${ge(f).join(`
`)}
`),f.troubles.length>0?1:0}let{compose:ye}=await import("./compose-TY76B7XI.js");let D=Ge(t.trust);let $e=_(c,await ye({...t,code:H(D),environment:n,workspace:process.cwd(),folder:a,platform:process.platform,log:m.log,signal:r}),!0);let S=await Y(t.job,D,$e.world,r);m.end();e.format==="json"?b(B(S)):Fe(S,process.stdout);return q(S).some(({level:f})=>f==="error")?1:0}catch(d){var p=d,A=!0}finally{var E=F(c,p,A);E&&await E}}catch(m){return M(m,e.format),1}finally{process.off("SIGINT",o),process.off("SIGTERM",o),await Le(a,{recursive:!0,force:!0})}}i(Pe,"work");async function Ie(e,{job:t},n){try{let{openProject:s}=await import("./compose-TY76B7XI.js"),{files:o,addresses:r}=s(n,process.cwd()),a={checks:W(await o.look([],Me),r),sizes:void 0},c=z(t,a);return e==="json"?b({audit:a,findings:c}):process.stdout.write(`${K(a).slice(1).join(`
`)}
`),c.some(({level:d})=>d==="error")?1:0}catch(s){return M(s,e),1}}i(Ie,"auditFiles");var Me=new AbortController().signal;async function Ae(e,t){if(t==="usual"&&oe(process.stderr,e)){let{display:n}=await import("./display-3WWPTCEC.js");return n(process.stderr,e)}return{log:ae(n=>process.stderr.write(`${n}
`),t),end:i(()=>{},"end"),[Symbol.dispose]:()=>{}}}i(Ae,"openLog");function Ge(e){return e==="read-only"?{kind:"read-only",code:"strange",why:"--trust read-only was asked for"}:{kind:"write",pins:"keep",why:"on the command line"}}i(Ge,"commandLineTrust");function M(e,t){let n=e instanceof u,s=n?e.code:"NCP-649",o=n?k(e):`a fault of nix-cache-preflight: ${e instanceof Error?e.stack??e.message:String(e)}`,r=n?e.hint:"please report it, with this text and the command";t==="json"&&b({error:{code:s,message:o,hint:r??null}});let a=`error ${s}: ${o}
${r?`  \u2192 ${r}
`:""}`;process.stderr.write(C(a))}i(M,"tell");function b(e){process.stdout.write(C(`${JSON.stringify(e,null,2)}
`))}i(b,"print");var De=[[/^error\b/,"red"],[/^warning\b/,"yellow"],[/^notice\b/,"dim"],[/^ {2}→/,"cyan"],[/^ {2}\S.*: (missing|failed)/,"yellow"],[/^ {2}\S.*: (own|upstream|cached now)/,"green"]];function Fe(e,t){let n=re(t),s=i((a,c)=>{let d=t.isTTY?ie(a,se(t)):a;t.write(`${c===void 0?d:n(c,d)}
`)},"print"),[o="",...r]=Q(e);s(o,"bold");for(let a of[...r,...Z(e)])s(a,De.find(([c])=>c.test(a))?.[1]);s(J(e))}i(Fe,"showRun");var He=80;function Ue(){return`nix-cache-preflight COMMAND [TARGET \u2026] [--OPTION VALUE \u2026]

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
${We(y.map(e=>`--${e}`))}
  --json (the report on standard output)  --version  --help
  --verbose (every request and every command of Nix, on standard error)
  --files-only (audit: the project's files alone; nothing is evaluated or asked)
Secrets: ${Object.values(P).join(", ")}.
Exit status: 0 fine, 1 findings that --fail-on names, 2 a wrong command line.
`}i(Ue,"helpText");function We(e){let t=[];for(let n of e){let s=t.at(-1);s!==void 0&&s.length+1+n.length<=He?t[t.length-1]=`${s} ${n}`:t.push(`  ${n}`)}return t.join(`
`)}i(We,"wrapped");export{Ue as helpText,Rt as main,Fe as showRun};
