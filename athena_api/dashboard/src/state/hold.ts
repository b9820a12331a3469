// A hold: a list that people point at keeps its rows in place, and gathers new ones.

import { computed, signal } from "@preact/signals";
import { useMemo } from "preact/hooks";

/** True while a dialog is open. */
export const dialogOpen = signal(false);

/** Without a pointer that hovers, a page cannot know where the next tap will be: its lists are always held. */
export const touchOnly = typeof matchMedia === "function" && matchMedia("(hover: none)").matches;

/** Whether a list keeps its rows in place. */
export class Hold {
  /** Paused by the button. */
  readonly paused = signal(false);
  /** The pointer is over the list. */
  readonly over = signal(false);
  /** Increases to show what was gathered. */
  readonly edition = signal(0);
  readonly active = computed(() => this.paused.value || this.over.value || dialogOpen.value || touchOnly);

  /** Event handlers of the element around the list. */
  readonly handlers = {
    onPointerEnter: (event: PointerEvent): void => {
      if (event.pointerType !== "touch") this.over.value = true;
    },
    onPointerLeave: (): void => {
      this.over.value = false;
    },
  };

  /** Pause the list, or show what was gathered. */
  toggle = (): void => {
    if (!this.active.value) this.paused.value = true;
    else {
      this.paused.value = false;
      this.edition.value++;
    }
  };
}

/** The rows of a list that may be held, and how many new ones were gathered. */
export interface HeldRows<T> {
  readonly rows: readonly T[];
  readonly fresh: number;
}

/** Keeps rows, newest first, in place. */
export class HeldList<T> {
  #held: { readonly edition: number; rows: readonly T[] } | undefined;

  constructor(private readonly idOf: (row: T) => string) {}

  /** Return the rows to show. A list without rows is not held. Older rows are added at the end. */
  rows(live: readonly T[], active: boolean, edition: number): HeldRows<T> {
    if (!active || !this.#held?.rows.length || this.#held.edition !== edition) {
      this.#held = active ? { edition, rows: live } : undefined;
      return { rows: live, fresh: 0 };
    }
    const heldIds = new Set(this.#held.rows.map(this.idOf));
    const last = live.findLastIndex((row) => heldIds.has(this.idOf(row)));
    if (last >= 0) this.#held.rows = [...this.#held.rows, ...live.slice(last + 1)];
    const newer = last < 0 ? live : live.slice(0, last);
    return { rows: this.#held.rows, fresh: newer.filter((row) => !heldIds.has(this.idOf(row))).length };
  }
}

/** Use the rows of a list that may be held. A new key begins with the live list. */
export function useHeld<T>(key: unknown, hold: Hold, live: readonly T[], idOf: (row: T) => string): HeldRows<T> {
  const list = useMemo(() => new HeldList(idOf), [key]);
  return list.rows(live, hold.active.value, hold.edition.value);
}
