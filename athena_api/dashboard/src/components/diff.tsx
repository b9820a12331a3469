// Lines of diffs, and whole diffs that are folded.

import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { count, visibleLine } from "../format";
import type { Marks } from "../state/decided_text";
import { type DiffLine, readDiff } from "../state/diff";
import { Marked } from "./marked";

const LINE_CHARS = 2_000;
const LINES_SHOWN = 300; // of one file
const FILES_SHOWN = 20;
const WORKSPACE = /^.*\/workspaces\/wsp_\w+\/files\//; // agents name files by their whole path

/** Added and removed lines, marked by a sign and a colour. */
export function Counts({ added, removed }: { added: number; removed: number }): JSX.Element {
  return (
    <span class="counts">
      <span class="good">+{count(added)}</span> <span class="bad">−{count(removed)}</span>
    </span>
  );
}

/** A line with its sign as text; its number is not copied. */
export function Line({ line: { sign, text, number }, marks }: { line: DiffLine; marks?: Marks }): JSX.Element {
  const more = text.length - LINE_CHARS;
  const shown = (
    <>
      {sign === "@" ? "" : sign}
      <Marked text={more > 0 ? text.slice(0, LINE_CHARS) : text} of={marks} />
      {more > 0 && <em> … {count(more)} more characters</em>}
      {"\n"}
    </>
  );
  if (sign === "+") return <ins data-number={number}>{shown}</ins>;
  if (sign === "-") return <del data-number={number}>{shown}</del>;
  return (
    <span class={sign === " " ? "" : "quiet"} data-number={number}>
      {shown}
    </span>
  );
}

const sum = (lines: readonly DiffLine[], wanted: string): number => lines.filter(({ sign }) => sign === wanted).length;

/** The files of a diff, each folded if it has more than `open` lines. */
export function FoldedDiff({ diff, open = 0 }: { diff: string; open?: number }): JSX.Element {
  const files = useMemo(() => [...readDiff(diff).files.values()], [diff]);
  return (
    <div class="diff">
      {files.slice(0, FILES_SHOWN).map(({ path, lines }) => (
        <details key={path} open={lines.length <= open}>
          <summary>
            <span class="mono path" title={path}>
              {visibleLine(path.replace(WORKSPACE, ""))}
            </span>
            <Counts added={sum(lines, "+")} removed={sum(lines, "-")} />
          </summary>
          <pre tabIndex={0} aria-label={`Changes of ${visibleLine(path)}`}>
            {lines.slice(0, LINES_SHOWN).map((one, index) => (
              <Line key={index} line={one} />
            ))}
          </pre>
          {lines.length > LINES_SHOWN && <p class="quiet">and {count(lines.length - LINES_SHOWN)} more lines</p>}
        </details>
      ))}
      {files.length > FILES_SHOWN && <p class="quiet">and {count(files.length - FILES_SHOWN)} more files</p>}
    </div>
  );
}
