// A tool call, in full: what a person approves.

import type { JSX } from "preact";
import { count } from "../format";
import type { CallPart, CallText } from "../state/call_text";
import type { Marks } from "../state/decided_text";
import { Marked } from "./marked";

const SIZED_CHARS = 2_000;
const SIGNS: Readonly<Record<string, string>> = { "-": "old", "+": "new" };

/** The call on a line, and its parts. Texts are shown as they are: nothing in them is markup. `marks` name the parts that marks in them stand for. */
export function Call({ of, toolName, marks }: { of: CallText; toolName: string | undefined; marks?: Marks | undefined }): JSX.Element {
  return (
    <div class="call">
      {(toolName || of.line) && (
        <p class="mono act">
          {toolName && <b>{toolName}</b>} <Marked text={of.line} of={marks} />
        </p>
      )}
      {of.parts.map((part) => (
        <Part key={part.title} part={part} marks={marks} />
      ))}
    </div>
  );
}

function Part({ part, marks }: { part: CallPart; marks: Marks | undefined }): JSX.Element {
  const chars = part.blocks.reduce((sum, { text }) => sum + text.length, 0);
  const lines = part.blocks.reduce((sum, { text }) => sum + text.split("\n").length, 0);
  return (
    <>
      <p class="quiet">
        {part.title}
        {(chars > SIZED_CHARS || lines > 20) && `: ${count(lines)} lines, ${count(chars)} characters`}
      </p>
      <pre tabIndex={0} aria-label={part.title}>
        {part.blocks.map(({ sign, text }, index) => (
          <span key={index} class={SIGNS[sign ?? ""]}>
            <Marked text={text} of={marks} />
            {sign && "\n"}
          </span>
        ))}
      </pre>
    </>
  );
}
