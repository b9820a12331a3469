import { deepEqual, equal } from "node:assert/strict";
import { cpuUsage } from "node:process";
import { test } from "node:test";
import { type Node, readMarkdown, safeHref } from "./markdown";

/** Return a tree as text: `tag(children)`, and the address of a link. */
const shown = (node: Node): string => (typeof node === "string" ? node : `${node.tag}(${node.href ? `${node.href} ` : ""}${node.of.map(shown).join("")})`);
const read = (text: string): string[] => (readMarkdown(text) ?? []).map(shown);

test("headings, paragraphs, rules and quotes", () => {
  deepEqual(read("# Pears #\n\nSales rose\nby 12 %.\n***\n> quoted\n> # too"), [
    "h3(Pears)",
    "p(Sales rose\nby 12 %.)",
    "hr()",
    "blockquote(p(quoted)h3(too))",
  ]);
  deepEqual(
    (readMarkdown("# a\n### b") ?? []).map((node) => (typeof node === "string" ? 0 : node.number)),
    [1, 3],
  );
});

test("lists nest, are numbered, and have boxes", () => {
  deepEqual(read("- a\n  - b\n\n    c\n- [x] d"), ["ul(li(p(a)ul(li(p(b)p(c))))li(p(☑ d)))"]);
  deepEqual(read("3. a\n   goes on\nlazily\n4. b\n\nafter"), ["ol(li(p(a\ngoes on\nlazily))li(p(b)))", "p(after)"]);
  deepEqual(read("1. a\n  - b\n- c"), ["ol(li(p(a)ul(li(p(b)))))", "ul(li(p(c)))"]);
});

test("tables have a head, and cells of spans", () => {
  deepEqual(read("| a | b |\n|---|--:|\n| *1* | x \\| y |"), ["table(tr(th(a)th(b))tr(td(em(1))td(x | y)))"]);
  deepEqual(read("no | table"), ["p(no | table)"]);
});

test("code is text", () => {
  deepEqual(read("```py\n# no *heading*\n```\nafter `a ** b`"), ["pre(code(# no *heading*))", "p(after code(a ** b))"]);
  deepEqual(read("~~~\nnever ends"), ["pre(code(never ends))"]);
});

test("emphasis needs its ends, and names with underscores have none", () => {
  deepEqual(read("**bold *both*** __b__ _e_ ~~d~~"), ["p(strong(bold *both)* strong(b) em(e) del(d))"]);
  deepEqual(read("snake_case_name 2 * 3 * 4 \\*no\\*"), ["p(snake_case_name 2 * 3 * 4 *no*)"]);
});

test("only http and https are links, and a link names its host", () => {
  deepEqual(read("[bank.com](https://evil.example/x) https://a.example/b."), [
    "p(a(https://evil.example/x bank.com (evil.example)) a(https://a.example/b https://a.example/b).)",
  ]);
  for (const target of [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,x",
    "//evil.example",
    "vbscript:x",
    "file:///etc/passwd",
    "#/system",
    "java\tscript:x",
  ]) {
    deepEqual([target, safeHref(target)], [target, undefined]);
    deepEqual([target, read(`[a](${target})`)[0]?.includes("a(")], [target, false]);
  }
  deepEqual(read("![picture](https://a.example/x.png)"), ["p(a(https://a.example/x.png picture (a.example)))"]);
});

test("HTML is text", () => {
  deepEqual(read("<script>alert(1)</script>\n<img src=x onerror=y>"), ["p(<script>alert(1)</script>\n<img src=x onerror=y>)"]);
});

const BOMB_MICROS = 1_500_000; // of CPU time; most take a fiftieth of it

test("a hostile text is read in time and into few nodes, and loses no letter of its own", () => {
  const size = (node: Node): number => (typeof node === "string" ? 1 : 1 + node.of.reduce((sum, child) => sum + size(child), 0));
  const bombs = [
    "*",
    "**",
    "_",
    "`",
    "``` ",
    "[",
    "[a](",
    "![",
    ">",
    "> ",
    "- ",
    "1. ",
    "|",
    "a|b\n-|-\n",
    "# ",
    "~~",
    "\\",
    "https://",
    "*a* ",
    "**a",
    "(`",
    "- \n",
    "<b>",
  ];
  for (const bomb of bombs) {
    const begun = cpuUsage().user;
    const nodes = readMarkdown(bomb.repeat(50_000 / bomb.length)) ?? [];
    deepEqual([bomb, cpuUsage().user - begun < BOMB_MICROS], [bomb, true]);
    deepEqual([bomb, nodes.reduce((sum, node) => sum + size(node), 0) < 20_000], [bomb, true]);
  }
  equal(readMarkdown("x".repeat(50_001)), undefined);
  deepEqual(
    read(`${">".repeat(40)} deep`)
      .join("")
      .includes("deep"),
    true,
  );
});
