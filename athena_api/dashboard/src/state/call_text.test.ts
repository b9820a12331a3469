import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { argumentsFault, type CallText, callText, difference, pretty } from "./call_text";

const textOf = (toolName: string, given: unknown): CallText => callText(toolName, JSON.stringify(given));
const partsOf = ({ parts }: CallText): string[] => parts.map(({ title, blocks }) => `${title}: ${blocks.map(({ text }) => text).join("\n")}`);

test("a command is shown word by word, with where it runs", () => {
  const call = textOf("shell", { command: ["git", "push", "origin", "it's"], directory: "src" });
  deepEqual([call.line, call.parts, call.brief], [`git push origin 'it'\\''s' (in src)`, [], true]);
});

test("words with spaces and line breaks do not look like several", () => {
  const call = textOf("shell", { command: ["sh", "-c", "ls\nrm -rf ."] });
  equal(call.line, "sh -c 'ls[U+000A]rm -rf .'");
  deepEqual(partsOf(call), ["The words of the command: 1: sh\n2: -c\n3: ls\nrm -rf ."]);
});

test("a request is shown with its headers and its body", () => {
  const call = textOf("http", { url: "https://api.example.org/pay", method: "POST", headers: { "X-Key": "1" }, body: '{"amount": 5}' });
  equal(call.line, "POST https://api.example.org/pay");
  deepEqual(partsOf(call), ["Headers: X-Key: 1", 'Body: {"amount": 5}']);
  equal(textOf("http", { url: "https://example.org" }).line, "GET https://example.org");
});

test("a change of a file is shown as a diff", () => {
  const call = textOf("files", { action: "replace", path: "a b.md", old: "one\ntwo\nthree", new: "one\n2\nthree" });
  equal(call.line, "replace 'a b.md'");
  deepEqual(partsOf(call), ["Change:   one\n- two\n+ 2\n  three"]);
  deepEqual(partsOf(textOf("files", { action: "write", path: "a", content: "x" })), ["New content: x"]);
});

test("a diff names only what differs", () => {
  const signs = (old: string, fresh: string): string =>
    difference(old, fresh)
      .map(({ text }) => text)
      .join("|");
  equal(signs("a\nb", "a\nb"), "  a\n  b");
  equal(signs("a\na", "a\na\na"), "  a\n  a|+ a");
  equal(signs("", "a"), "- |+ a");
  equal(signs("a\nb\nc", "a\nc"), "  a|- b|  c");
});

test("no argument is left out", () => {
  deepEqual(partsOf(textOf("shell", { command: ["ls"], evidence: "list", env: { PATH: "/evil" } })), [
    'Other arguments: {\n  "evidence": "list",\n  "env": {\n    "PATH": "/evil"\n  }\n}',
  ]);
  equal(textOf("shell", { command: "ls" }).line, 'shell {"command":"ls"}');
  deepEqual(partsOf(textOf("mail", { to: "ada" })), ['Arguments: {\n  "to": "ada"\n}']);
  deepEqual(partsOf(callText("mail", "not json")), ["Arguments: not json"]);
});

test("a repeated member and a rounded number are shown as they were sent", () => {
  deepEqual(partsOf(callText("shell", '{"command": ["rm"], "command": ["ls"]}')), ['Arguments as JSON, unchanged: {"command": ["rm"], "command": ["ls"]}']);
  equal(pretty('{"amount": 12345678901234567890}'), '{"amount": 12345678901234567890}');
  const deep = `${'{"a":'.repeat(10_000)}"]"${"}".repeat(10_000)}`;
  equal(pretty(deep), deep);
  equal(pretty('{ "a b": "c \\" d", "n": 1 }'), '{\n  "a b": "c \\" d",\n  "n": 1\n}');
});

test("what cannot be seen is shown, and a long call is not brief", () => {
  equal(textOf("shell", { command: ["rm", "-f\u202egpj.exe"] }).line, "rm '-f[U+202E]gpj.exe'");
  const long = textOf("shell", { command: ["echo", "x".repeat(1_000)] });
  deepEqual([long.line.length, long.brief, long.parts[0]?.blocks[0]?.text.length], [301, false, 1_005]);
  equal(textOf("files", { action: "write", path: "a", content: "\n".repeat(20) }).brief, false);
});

test("a mebibyte is shown whole", () => {
  const content = 'a"\\\n'.repeat(262_144);
  const call = textOf("files", { action: "write", path: "big", content });
  equal(call.parts[0]?.blocks[0]?.text.length, content.length);
  equal(call.parts.length, 1);
});

test("edited arguments must be an object", () => {
  equal(argumentsFault('{"a": 1}'), undefined);
  equal(argumentsFault("{")?.startsWith("This is not JSON: "), true);
  equal(argumentsFault("[]"), "Arguments are a JSON object, such as {}.");
});

test("the command of an agent is shown as it is, with where it runs", () => {
  const call = textOf("codex:execute", { command: "echo hi > 'a b'", cwd: "/box" });
  deepEqual([call.line, call.parts, call.brief], ["echo hi > 'a b' (in /box)", [], true]);
  equal(textOf("fake:execute", { command: ["sh", "-c", "ls; ls"] }).line, "sh -c 'ls; ls'");
  const long = textOf("claude:execute", { command: "ls\nrm x", description: "look" });
  equal(long.line, "ls[U+000A]rm x");
  deepEqual(partsOf(long), ["The command: ls\nrm x", 'Other arguments: {\n  "description": "look"\n}']);
});

test("the changes of an agent are shown as a diff", () => {
  deepEqual(partsOf(textOf("claude:edit", { file_path: "/w/a", old_string: "one\ntwo", new_string: "one\n2", replace_all: true })), [
    "Change:   one\n- two\n+ 2",
    'Other arguments: {\n  "replace_all": true\n}',
  ]);
  deepEqual(partsOf(textOf("claude:edit", { file_path: "/w/a", content: "x" })), ["New content: x"]);
  const unified = textOf("opencode:edit", { filepath: "/w/a", diff: "--- a\n+++ a\n@@ -1 +1 @@\n-x\n+y" });
  deepEqual([unified.line, unified.parts[0]?.blocks.map(({ sign }) => sign)], ["/w/a", [" ", " ", " ", "-", "+"]]);
});

test("a call of an agent without an input shows its title and its content", () => {
  const content = [
    { type: "diff", path: "a", oldText: "x", newText: "y" },
    { type: "content", content: { type: "text", text: "[in /box]" } },
    { type: "terminal", terminalId: "t" },
  ];
  const call = textOf("gemini:execute", { content, title: "echo hi" });
  equal(call.line, "echo hi");
  deepEqual(partsOf(call), ["Change of a: - x\n+ y", "Description: [in /box]", 'Content: {\n  "type": "terminal",\n  "terminalId": "t"\n}']);
  equal(textOf("codex:other", { seconds: 2 }).line, 'codex:other {"seconds":2}');
});
