// A text that a person decides about, in which every mark stands out.

import type { HiddenSpan } from "@projectathena/client";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { visible } from "../format";
import { hiddenText, type Marks, piecesOf } from "../state/decided_text";

const TITLES: Readonly<Record<string, string>> = {
  hidden: "A part that is not shown",
  secret: "Stands in place of a secret of Athena",
  unseen: "A character that cannot be seen",
};

/** The text. Characters that cannot be seen stand as marks; nothing in it is markup. */
export function Marked({ text, of = {} }: { text: string; of?: Marks | undefined }): JSX.Element {
  const pieces = useMemo(() => piecesOf(visible(text), of), [text, of]);
  return (
    <>
      {pieces.map(({ text: piece, mark }, index) =>
        mark ? (
          <mark key={index} data-mark={mark} title={TITLES[mark]}>
            {piece}
          </mark>
        ) : (
          piece
        ),
      )}
    </>
  );
}

/** How much of a text is hidden. */
export function Hidden({ spans, total }: { spans: readonly HiddenSpan[] | undefined; total?: number | undefined }): JSX.Element | null {
  return spans?.length ? <p class="lacks">{hiddenText(spans, total)}</p> : null;
}
