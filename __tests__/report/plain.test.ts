import { describe, expect, test } from "@jest/globals";
import { code, markdown, plainLine } from "../../src/report/page.ts";

const ESC = "\u001b";

describe("a line of the log", () => {
  test.each([
    ["plain text", "plain text"],
    [`${ESC}[31mred${ESC}[0m`, "red"],
    [`${ESC}[2J${ESC}[1;1Hover`, "over"],
    [`${ESC}[38;5;196mcolour`, "colour"],
    [`${ESC}]0;title\u0007text`, "]0;titletext"],
    [`${ESC}]8;;http://evil${ESC}\\link`, "]8;;http://evil\\link"],
    ["\u009b31mone-byte", "31mone-byte"],
    ["back\bspace\u007f", "backspace"],
    ["carriage\rreturn", "carriagereturn"],
    ["nul\u0000l", "null"],
    ["tab\tstays", "tab\tstays"],
    ["\u202egnp.exe\u202c", "gnp.exe"],
    ["\u2066a\u2069\u200e\u200f\u061cb", "ab"],
    ["ünïcödé 日本 🔨", "ünïcödé 日本 🔨"],
  ])("%j reads %j", (text, expected) => {
    expect(plainLine(text)).toBe(expected);
  });

  test.each([
    "::error::x",
    "::set-output name=x::b",
    "   ::add-mask::x",
    "\t::stop-commands::x",
    "\u0000::error::x",
    "\u00a0::error::x",
    "\ufeff::error::x",
    `${ESC}[0m::error::x`,
    "\u202e::error::x",
    ":\u0000:error::x",
    "##[error]x",
    "text ##[command]x",
    "#\u0000#[group]x",
    `##${ESC}[0m[group]x`,
    ":::error::x",
  ])("%j is no command of the runner's any more", (text) => {
    const line = plainLine(text);
    // What the runner does: trim, then look for `::` in front, or for `##[` anywhere.
    expect(line.trimStart()).not.toMatch(/^::/);
    expect(line).not.toContain("##[");
    expect(line).toContain("x");
  });

  test("a store path with colons in the middle stays as it is", () => {
    expect(plainLine("error::x is not a command")).toBe("error::x is not a command");
  });

  test("a megabyte of escapes is read at once", () => {
    expect(plainLine(`${ESC}[`.repeat(500_000))).toBe("[".repeat(500_000));
    expect(plainLine(`${ESC}[${"1;".repeat(500_000)}`)).toHaveLength(1_000_001);
  });
});

describe("text in Markdown", () => {
  test.each([
    ["a|b", "a&#124;b"],
    ["`code`", "&#96;code&#96;"],
    ["<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert&#40;1&#41;&gt;"],
    ["[x](javascript:y)", "&#91;x&#93;&#40;javascript:y&#41;"],
    ["![x](http://y)", "&#33;&#91;x&#93;&#40;http://y&#41;"],
    ["**b** _i_ ~s~", "&#42;&#42;b&#42;&#42; &#95;i&#95; &#126;s&#126;"],
    ["# heading", "&#35; heading"],
    ["&lt;", "&amp;lt;"],
    ["\\|", "&#92;&#124;"],
    ["@octocat #1", "&#64;octocat &#35;1"],
    ["line\nbreak\r\n| a | b |", "line break &#124; a &#124; b &#124;"],
    [`${ESC}[31mred\u202e`, "red"],
    ["", ""],
  ])("%j is written %j", (text, expected) => {
    expect(markdown(text)).toBe(expected);
  });

  test.each([
    ["https://evil.example/x", "<code>https&#58;//evil.example/x</code>"],
    ["WWW.evil.example", "<code>www&#46;evil.example</code>"],
    ["n".repeat(61), `<code>${"n".repeat(60)}<wbr>n</code>`],
  ])("%j in code style is no address, and may be broken: %j", (text, expected) => {
    expect(code(text)).toBe(expected);
  });

  test("a name in code style cannot end it", () => {
    expect(code("a`</code><script>|")).toBe("<code>a&#96;&lt;/code&gt;&lt;script&gt;&#124;</code>");
  });
});
