// The window of a long list: only the rows near the screen are in the document.

import type { RefObject } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

const STEP = 10; // rows by which the window moves
const AROUND = 20; // rows beyond the screen
const ROWS_MAX = 180;

/** The rows to render, the heights of those before and after them, and the element that holds the rows. */
export interface RowWindow<E extends HTMLElement> {
  readonly first: number;
  readonly last: number;
  /** The row at the lower edge of the screen. */
  readonly seen: number;
  readonly before: number;
  readonly after: number;
  readonly box: RefObject<E | null>;
}

/** Use the window of a list of rows with equal heights, each with the attribute `data-row`. */
export function useWindow<E extends HTMLElement>(total: number, guess: number): RowWindow<E> {
  const box = useRef<E>(null);
  const [{ first, height, shown, seen }, set] = useState({ first: 0, height: guess, shown: 60, seen: 0 });
  useLayoutEffect(() => {
    const look = (): void => {
      if (!box.current) return;
      const rows = box.current.querySelector<HTMLElement>("[data-row]");
      const high = rows?.getBoundingClientRect().height || guess;
      const { top } = box.current.getBoundingClientRect();
      const above = Math.floor(-top / high / STEP) * STEP - AROUND;
      const low = Math.ceil((innerHeight - top) / high / STEP) * STEP;
      const from = Math.max(0, Math.min(above, total - STEP));
      const most = Math.min(ROWS_MAX, Math.ceil(innerHeight / high / STEP) * STEP + STEP + 2 * AROUND);
      const next = { first: from, height: high, shown: most, seen: low };
      set((had) => (JSON.stringify(had) === JSON.stringify(next) ? had : next));
    };
    look();
    addEventListener("scroll", look, { capture: true, passive: true });
    addEventListener("resize", look);
    return () => {
      removeEventListener("scroll", look, { capture: true });
      removeEventListener("resize", look);
    };
  }, [total]);
  const last = Math.min(total, first + shown);
  return { first, last, seen, before: first * height, after: (total - last) * height, box };
}
