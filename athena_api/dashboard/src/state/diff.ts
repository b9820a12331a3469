// A unified diff, as git and agents write it, read into files and lines.

/** A line: added, removed, unchanged, the head of a hunk (`@`), or a note about the line before (`\`). */
export interface DiffLine {
  readonly sign: "+" | "-" | " " | "@" | "\\";
  readonly text: string;
  /** The number of the line in the new file, or of a removed line in the old one. */
  readonly number?: number;
}

/** The diff of a file. */
export interface FileDiff {
  readonly path: string;
  /** The lines before the first hunk, such as `new file mode 100755`. */
  readonly notes: readonly string[];
  readonly lines: readonly DiffLine[];
}

/** A diff: lines before the first file, and the files by their paths. */
export interface Diff {
  readonly notes: readonly string[];
  readonly files: ReadonlyMap<string, FileDiff>;
}

const FILE = "diff --git ";
const HUNK = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/;
const UNSHOWN = /^(index |--- |\+\+\+ |Binary files |(new|deleted) file mode 100644$)/;

/** Return the path in a head that has only the lines `---` and `+++`. */
const plainPath = (old: string, fresh: string): string => (fresh === "+++ /dev/null" ? old : fresh).slice(4);

/**
 * Read a diff, which may end early. Each hunk says how many lines it has, so no line of a file can look like the head
 * of another one. A file that became a link, or back, has two heads and is one file here.
 */
export function readDiff(diff: string): Diff {
  const lines = diff.split("\n");
  if (lines[lines.length - 1] === "") lines.pop();
  const files = new Map<string, { path: string; notes: string[]; lines: DiffLine[] }>();
  const before: string[] = [];
  let [notes, found]: [string[], DiffLine[]] = [before, []];
  let headed = false; // the head of a file was read, and no hunk since
  for (let at = 0; at < lines.length; ) {
    const line = lines[at++] ?? "";
    const next = lines[at] ?? "";
    const hunk = HUNK.exec(line);
    const plain = !headed && line.startsWith("--- ") && next.startsWith("+++ ");
    if (plain || line.startsWith(FILE)) {
      const path = plain ? plainPath(line, next) : pathOf(line.slice(FILE.length));
      const file = files.get(path) ?? { path, notes: [], lines: [] };
      files.set(path, file);
      [notes, found] = [file.notes, file.lines];
      headed = true;
    } else if (hunk) {
      headed = false;
      found.push({ sign: "@", text: line });
      at = readHunk(lines, at, hunk, found);
    } else if (line.startsWith("GIT binary ")) {
      while (at < lines.length && !lines[at]?.startsWith(FILE)) found.push({ sign: " ", text: lines[at++] ?? "" });
    } else if (!UNSHOWN.test(line)) {
      notes.push(line);
    }
  }
  return { notes: before, files };
}

const DIFF_BEGINS = /(?:^|\n)(?=--- [^\n]*\n\+\+\+ [^\n]*\n@@ -\d)/;

/** Divide the result of an agent's call into its output and the changes of files that it reports. */
export function divideResult(result: string): { output: string; diff: string } {
  const found = DIFF_BEGINS.exec(result);
  return found ? { output: result.slice(0, found.index), diff: result.slice(found.index + found[0].length) } : { output: result, diff: "" };
}

/** Read the lines of a hunk from an index; return the index after them. */
function readHunk(lines: readonly string[], from: number, [, oldStart, oldCount, newStart, newCount]: RegExpExecArray, found: DiffLine[]): number {
  let [old, fresh, at] = [Number(oldStart), Number(newStart), from];
  const [oldEnd, freshEnd] = [old + Number(oldCount ?? 1), fresh + Number(newCount ?? 1)];
  for (; at < lines.length; at++) {
    const line = lines[at] ?? "";
    const sign = line[0] ?? " ";
    const whole = old >= oldEnd && fresh >= freshEnd;
    if (whole ? sign !== "\\" : !"+- \\".includes(sign)) break;
    const text = line.slice(1);
    if (sign === "\\") found.push({ sign, text });
    else if (sign === "-") found.push({ sign, text, number: old++ });
    else found.push({ sign: sign as "+" | " ", text, number: fresh++ });
    if (sign === " ") old++;
  }
  return at;
}

/** Return the path of `a/path b/path`: both are the same, because a diff of a run has no renames. */
function pathOf(text: string): string {
  const half = text.slice(0, (text.length - 1) / 2);
  return (half.startsWith('"') ? unquoted(half) : half).slice(2);
}

const ESCAPES: Readonly<Record<string, number>> = { a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13, '"': 34, "\\": 92 };

/** Return a name that git quoted as in C, of bytes in UTF-8. */
function unquoted(text: string): string {
  const bytes: number[] = [];
  for (const [, octal, escaped, plain] of text.slice(1, -1).matchAll(/\\([0-7]{3})|\\(.)|([^\\]+)/gsu)) {
    if (octal) bytes.push(Number.parseInt(octal, 8));
    else if (escaped) bytes.push(ESCAPES[escaped] ?? escaped.charCodeAt(0));
    else bytes.push(...new TextEncoder().encode(plain));
  }
  return new TextDecoder().decode(new Uint8Array(bytes));
}

/** Return the files to open at first: all that fit, in their order. `linesOf` says how many lines a file shows. */
export function openedAtFirst<T>(files: readonly T[], linesOf: (file: T) => number, most: number): readonly T[] {
  let left = most;
  return files.filter((file) => {
    const fits = linesOf(file) <= left;
    if (fits) left -= linesOf(file);
    return fits;
  });
}

/** Return the opened files after another one: the ones opened first close until all lines fit, but never the last. */
export function openedWith<T>(opened: readonly T[], file: T, linesOf: (file: T) => number, most: number): readonly T[] {
  const all = [...opened.filter((other) => other !== file), file];
  let sum = all.reduce((total, one) => total + linesOf(one), 0);
  let first = 0;
  for (; first < all.length - 1 && sum > most; first++) sum -= linesOf(all[first] as T);
  return all.slice(first);
}
