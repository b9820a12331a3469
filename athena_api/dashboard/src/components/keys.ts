// The keys of all pages: `g` and a letter open a page, `j` and `k` move between rows, Ctrl-K opens the palette.

import { href, SHORTCUTS } from "../route";
import { loggedOut } from "../server";
import { askKey } from "./ask_keys";
import { openHelp, openPalette, overlay, shareLink } from "./palette";

let afterG = false;

const press = (selector: string, from: ParentNode = document): void => from.querySelector<HTMLElement>(selector)?.click();

/** What each key does outside of fields and dialogs; `row` is the row with the focus. */
const KEYS: Readonly<Record<string, (row: Element | null) => void>> = {
  "/": () => document.querySelector<HTMLElement>("[data-first]")?.focus(),
  "?": openHelp,
  j: (row) => move(row, 1),
  k: (row) => move(row, -1),
  s: () => void shareLink(),
  u: () => press("[data-refresh]"),
  x: (row) => row && press("[type=checkbox]", row),
};

const ROWS = "main [data-row], main tbody tr:has(a[href])";

/** Move the focus to another row of the lists of the page; the first move goes to the first row on the screen. */
function move(row: Element | null, by: number): void {
  const all = [...document.querySelectorAll<HTMLElement>(ROWS)];
  const next = row ? all[all.indexOf(row as HTMLElement) + by] : all.find((some) => some.getBoundingClientRect().top > 0);
  next?.querySelector<HTMLElement>("a[href], button")?.focus({ preventScroll: true });
  next?.scrollIntoView({ block: "nearest" });
}

/** Handle a key of the page. */
export function handleKey(event: KeyboardEvent): void {
  const { target, key } = event;
  if (loggedOut.value) {
    if (key === "Escape") event.preventDefault(); // it would close the dialogs
    return;
  }
  if (!(target instanceof HTMLElement)) return;
  if ((event.ctrlKey || event.metaKey) && key === "k") {
    event.preventDefault();
    if (!document.querySelector("dialog[open]")) openPalette();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const isClosed = target.closest("dialog:not([open])"); // a dialog has the focus until the next frame
  if (!isClosed && target.closest("input:not([type=checkbox]), textarea, select, dialog")) return;
  const to = afterG ? SHORTCUTS[key] : undefined;
  afterG = key === "g";
  if (to) location.hash = href(to);
  else if (askKey(event)) event.preventDefault();
  else if (key === "Escape")
    overlay.value = undefined; // asked for before the page is there; menus close by themselves
  else if (KEYS[key]) {
    event.preventDefault();
    KEYS[key](target.closest(ROWS));
  }
}
