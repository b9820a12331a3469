import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { divideResult, openedAtFirst, openedWith, readDiff } from "./diff";

const diffOf = (...lines: string[]): string => `${lines.join("\n")}\n`;

/** Return the lines of a file as text: sign, number and text. */
const linesOf = (diff: string, path: string): string[] =>
  (readDiff(diff).files.get(path)?.lines ?? []).map(({ sign, number, text }) => `${sign}${number ?? ""} ${text}`);

const CHANGED = ["diff --git a/a.md b/a.md", "index 1..2 100644", "--- a/a.md", "+++ b/a.md"];

test("the lines of a file have their numbers", () => {
  const diff = diffOf(...CHANGED, "@@ -2,3 +2,3 @@ # Title", " one", "-two", "+2", " three", "\\ No newline at end of file");
  deepEqual(linesOf(diff, "a.md"), [
    ...["@ @@ -2,3 +2,3 @@ # Title", " 2 one", "-3 two", "+3 2", " 4 three"], //
    "\\  No newline at end of file",
  ]);
  deepEqual(readDiff(diff).files.get("a.md")?.notes, []);
});

test("a new file, a deleted file, and a file without lines", () => {
  const diff = diffOf(
    ...["diff --git a/n b/n", "new file mode 100755", "index 0..1", "--- /dev/null", "+++ b/n", "@@ -0,0 +1 @@", "+x"],
    ...["diff --git a/d b/d", "deleted file mode 100644", "index 1..0", "--- a/d", "+++ /dev/null", "@@ -1,2 +0,0 @@", "-x", "-y"],
    ...["diff --git a/b in b/b in", "index 1..2 100644", "Binary files a/b in and b/b in differ"],
    ...["diff --git a/m b/m", "old mode 100644", "new mode 100755"],
  );
  const files = [...readDiff(diff).files.values()].map(({ path, notes, lines }) => [path, notes.join(), lines.length]);
  deepEqual(files, [
    ["n", "new file mode 100755", 2],
    ["d", "", 3],
    ["b in", "", 0],
    ["m", "old mode 100644,new mode 100755", 0],
  ]);
});

test("lines of a file that look like a diff are its lines", () => {
  const lines = ["+diff --git a/evil b/evil", "+++ b/evil", "+@@ -1 +1 @@", "--- a/evil", "-@@ -1 +1 @@"];
  const diff = diffOf(...CHANGED, "@@ -1,2 +1,3 @@", ...lines, "@@ -9 +10 @@", "-a", "+b");
  deepEqual([...readDiff(diff).files.keys()], ["a.md"]);
  deepEqual(linesOf(diff, "a.md").slice(1, 6), ["+1 diff --git a/evil b/evil", "+2 ++ b/evil", "+3 @@ -1 +1 @@", "-1 -- a/evil", "-2 @@ -1 +1 @@"]);
  deepEqual(linesOf(diff, "a.md").slice(6), ["@ @@ -9 +10 @@", "-9 a", "+10 b"]);
});

test("names that git quotes are read, with spaces, quotes, controls and letters beyond ASCII", () => {
  const quoted = '"a/\\303\\244 \\"x\\"\\n\\\\\\342\\200\\256.md"';
  const path = 'ä "x"\n\\\u202e.md';
  equal([...readDiff(diffOf(`diff --git ${quoted} ${quoted.replace("a/", "b/")}`, "old mode 1", "new mode 2")).files.keys()][0], path);
  const named = diffOf(`diff --git ${quoted} ${quoted.replace("a/", "b/")}`, `--- ${quoted}`, "+++ /dev/null", "@@ -1 +0,0 @@", "-x");
  deepEqual(linesOf(named, path), ["@ @@ -1 +0,0 @@", "-1 x"]);
  const spaced = diffOf("diff --git a/a b b/a b", "--- a/a b\t", "+++ b/a b\t", "@@ -1 +1 @@", "-x", "+y");
  deepEqual([...readDiff(spaced).files.keys()], ["a b"]);
});

test("lines before the first file are kept, and a file that became a link is one file", () => {
  const diff = diffOf(
    "[big.bin changed and its content is not recorded: not shown]",
    ...["diff --git a/x b/x", "deleted file mode 100644", "--- a/x", "+++ /dev/null", "@@ -1 +0,0 @@", "-text"],
    ...["diff --git a/x b/x", "new file mode 120000", "--- /dev/null", "+++ b/x", "@@ -0,0 +1 @@", "+target", "\\ No newline at end of file"],
  );
  deepEqual(readDiff(diff).notes, ["[big.bin changed and its content is not recorded: not shown]"]);
  deepEqual([...readDiff(diff).files.keys()], ["x"]);
  deepEqual(readDiff(diff).files.get("x")?.notes, ["new file mode 120000"]);
  deepEqual(linesOf(diff, "x").length, 5);
});

test("a diff that was cut is read up to its end", () => {
  const whole = diffOf(...CHANGED, "@@ -1,3 +1,3 @@", " one", "-two", "+2", " three");
  for (let end = 0; end <= whole.length; end++) {
    equal(readDiff(whole.slice(0, end)).files.size <= 1, true);
  }
  deepEqual(linesOf(whole.slice(0, -11), "a.md").slice(1), [" 1 one", "-2 two"]);
  deepEqual(readDiff(""), { notes: [], files: new Map() });
});

test("a line feed is the only end of a line", () => {
  const diff = diffOf(...CHANGED, "@@ -1 +1,2 @@", "-a\rb\u2028c", "+a\r", "+\u0085");
  deepEqual(linesOf(diff, "a.md").slice(1), ["-1 a\rb\u2028c", "+1 a\r", "+2 \u0085"]);
});

test("a million bytes of short lines are read", () => {
  const count = 490_000;
  const diff = diffOf(...CHANGED, `@@ -0,0 +1,${count} @@`, "+\n".repeat(count));
  equal(readDiff(diff).files.get("a.md")?.lines.length, count + 1);
});

test("files open while there is room, and the first ones close for the next", () => {
  const lines: Readonly<Record<string, number>> = { a: 100, b: 150, c: 100, d: 900, e: 0 };
  const linesOf = (file: string): number => lines[file] ?? 0;
  deepEqual(openedAtFirst(["a", "b", "c", "d"], linesOf, 300), ["a", "b"]);
  deepEqual(openedAtFirst(["d", "a", "e"], linesOf, 300), ["a", "e"]);
  deepEqual(openedWith(["a", "b"], "c", linesOf, 300), ["b", "c"]);
  deepEqual(openedWith(["a", "b"], "d", linesOf, 300), ["d"]);
  deepEqual(openedWith(["a"], "a", linesOf, 300), ["a"]);
});

test("a diff with heads of two lines, as agents report, is read", () => {
  const diff = diffOf(
    "--- /dev/null",
    "+++ new.txt",
    "@@ -0,0 +1 @@",
    "+hi",
    "--- old.txt",
    "+++ old.txt",
    "@@ -1,2 +1 @@",
    " a",
    "---- b",
    "--- c",
    "+++ /dev/null",
    "@@ -1 +0,0 @@",
    "-d",
  );
  deepEqual([...readDiff(diff).files.keys()], ["new.txt", "old.txt", "c"]);
  deepEqual(linesOf(diff, "new.txt"), ["@ @@ -0,0 +1 @@", "+1 hi"]);
  deepEqual(linesOf(diff, "old.txt"), ["@ @@ -1,2 +1 @@", " 1 a", "-2 --- b"]);
});

test("a result is divided into output and diff", () => {
  const diff = "--- /dev/null\n+++ a\n@@ -0,0 +1 @@\n+hi";
  deepEqual(divideResult(`written\n${diff}`), { output: "written", diff });
  deepEqual(divideResult(diff), { output: "", diff });
  deepEqual(divideResult("--- a\nno diff"), { output: "--- a\nno diff", diff: "" });
});

test("the content of a binary file, as git writes it, is lines of the file and no notes", () => {
  const diff = `diff --git a/logo b/logo\nindex 1..2 100644\nGIT binary patch\nliteral 3\nKcmZQ(fB\n\nliteral 0\nHcmV?d00001\n\n${"diff --git a/x b/x\nold mode 100644\nnew mode 100755\n"}`;
  deepEqual(linesOf(diff, "logo"), ["  literal 3", "  KcmZQ(fB", "  ", "  literal 0", "  HcmV?d00001", "  "]);
  deepEqual(readDiff(diff).files.get("logo")?.notes, []);
  deepEqual(readDiff(diff).files.get("x")?.notes, ["old mode 100644", "new mode 100755"]);
});
