// Texts of models and people: Markdown as elements, and long texts in part. Nothing in them is markup of the page.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { h } from "preact";
import { useMemo } from "preact/hooks";
import { count, plain } from "../format";
import { type Node, readMarkdown } from "../state/markdown";

const CHARS_SHOWN = 20_000;

function element(node: Node, key: number): JSX.Element | string {
  if (typeof node === "string") return node;
  const { tag, of, href, number } = node;
  const attributes = {
    key,
    ...(tag === "a" && { href, rel: "noreferrer noopener", target: "_blank" }),
    ...(tag === "h3" && { class: `h${number}` }),
    ...(tag === "ol" && { start: number }),
    ...(tag === "pre" && { tabIndex: 0 }),
  };
  const shown = h(tag, attributes, of.map(element));
  return tag === "table" ? (
    <div class="scroll" role="region" aria-label="Table" tabIndex={0} key={key}>
      {shown}
    </div>
  ) : (
    shown
  );
}

/** A text as Markdown, or as it was written. */
export function Markdown({ text }: { text: string }): JSX.Element {
  const nodes = useMemo(() => readMarkdown(plain(text)), [text]);
  const source = useSignal(false);
  if (!nodes) return <LongText text={text} />;
  return (
    <div class="md">
      <button type="button" class="small" aria-pressed={source.value} title="Show the text as it was written" onClick={() => (source.value = !source.value)}>
        Source
      </button>
      {source.value ? <LongText text={text} /> : nodes.map(element)}
    </div>
  );
}

/** A text as it is. Only the beginning of a long one is shown at first. */
export function LongText({ text, label }: { text: string; label?: string }): JSX.Element {
  const whole = useSignal(false);
  const more = text.length - CHARS_SHOWN;
  const cut = more > 0 && !whole.value;
  return (
    <>
      <pre class="prose" tabIndex={0} aria-label={label}>
        {plain(cut ? text.slice(0, CHARS_SHOWN) : text)}
        {cut && "…"}
      </pre>
      {cut && (
        <button type="button" class="small" onClick={() => (whole.value = true)}>
          Show {count(more)} more characters
        </button>
      )}
    </>
  );
}
