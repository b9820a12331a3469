// A long list of rows of one height, of which only the visible ones are in the page.

import { useSignal } from "@preact/signals";
import type { HTMLAttributes, JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

const ROW_PX = 28; // as in style.css
const AROUND = 10; // rows before and after the visible ones
const VISIBLE_MAX = 120;

/** `shown` is the index of the row to keep in view. */
export function Windowed(
  props: HTMLAttributes<HTMLUListElement> & { count: number; row: (index: number) => JSX.Element; shown?: number | undefined },
): JSX.Element {
  const { count, row, shown, ...attributes } = props;
  const element = useRef<HTMLUListElement>(null);
  const first = useSignal(0); // of the visible rows
  const visible = useSignal(40);
  const look = (): void => {
    const { scrollTop, clientHeight } = element.current as HTMLUListElement;
    first.value = Math.floor(scrollTop / ROW_PX);
    visible.value = Math.min(VISIBLE_MAX, Math.ceil(clientHeight / ROW_PX));
  };
  useLayoutEffect(() => {
    const list = element.current;
    if (list && shown !== undefined && shown >= 0) {
      const top = shown * ROW_PX;
      if (top < list.scrollTop) list.scrollTop = top;
      else if (top + ROW_PX > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW_PX - list.clientHeight;
    }
    look();
  }, [shown, count]);
  const from = Math.max(0, Math.min(count, first.value) - AROUND);
  const to = Math.min(count, first.value + visible.value + AROUND);
  return (
    <ul
      {...attributes}
      ref={element}
      class={`windowed ${attributes.class ?? ""}`}
      style={{ paddingTop: `${from * ROW_PX}px`, paddingBottom: `${(count - to) * ROW_PX}px` }}
      onScroll={look}
    >
      {Array.from({ length: to - from }, (_, index) => row(from + index))}
    </ul>
  );
}
