// The keys of a page.

import { useLayoutEffect, useRef } from "preact/hooks";

/** Let keys act anywhere on the page but in fields, dialogs and asks, and after g, which opens a page. */
export function usePageKeys(acts: Readonly<Record<string, (() => void) | undefined>>): void {
  const latest = useRef(acts);
  latest.current = acts;
  useLayoutEffect(() => {
    let before = "";
    const press = (event: KeyboardEvent): void => {
      const { key, target } = event;
      const act = before === "g" ? undefined : latest.current[key];
      before = key;
      if (!act || event.ctrlKey || event.metaKey || event.altKey || !(target instanceof Element)) return;
      if (target.closest("input:not([type=range]), textarea, select, dialog, [data-ask]")) return;
      event.stopPropagation(); // or it would also move to an ask
      event.preventDefault();
      act();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
}
