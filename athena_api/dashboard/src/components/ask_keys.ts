// The keys of asks: j and k move between cards; e opens the exact text, y, n and digits answer the one with the focus.

/** What each shown card does with a key, by the id of its ask. */
const cards = new Map<string, (key: string) => void>();

const QUIET_MS = 300; // after the focus has moved: a second press of a key was meant for the card before

let quietUntil = 0;

/** Let a card receive keys. Return a function that ends it. */
export function receiveKeys(id: string, act: (key: string) => void): () => void {
  cards.set(id, act);
  return () => {
    if (cards.get(id) === act) cards.delete(id);
  };
}

const idOf = (card: HTMLElement | undefined | null): string => card?.dataset.ask ?? "";

const shown = (): HTMLElement[] => [...document.querySelectorAll<HTMLElement>("[data-ask]")];

/** Handle a key outside of fields and dialogs. A held key answers once. */
export function askKey({ key, repeat, target }: KeyboardEvent): boolean {
  const all = shown();
  if (!all.length || !(target instanceof Element)) return false;
  const card = target.closest<HTMLElement>("[data-ask]");
  if (key === "j" || key === "k") {
    const at = card ? all.indexOf(card) : -1;
    const to = key === "j" ? at + 1 : at < 0 ? all.length - 1 : at - 1;
    focus(all[Math.max(0, Math.min(all.length - 1, to))]);
    return true;
  }
  if (!card || repeat || !/^[eyn1-9]$/.test(key) || performance.now() < quietUntil) return false;
  cards.get(idOf(card))?.(key);
  return true;
}

/** Move the focus from a card that was answered to the next open one, or the one before. */
export function focusNext(id: string): void {
  const all = shown();
  const at = all.findIndex((card) => idOf(card) === id);
  const open = (some: readonly HTMLElement[]): HTMLElement | undefined => some.find((card) => card.dataset.open !== undefined && idOf(card) !== id);
  quietUntil = performance.now() + QUIET_MS;
  focus(open(all.slice(at + 1)) ?? open(all.slice(0, Math.max(0, at)).reverse()));
}

function focus(card: HTMLElement | undefined): void {
  const to = card ?? document.getElementById("page");
  to?.focus({ preventScroll: true });
  card?.scrollIntoView({ block: "nearest" });
}
