// What the reader has chosen for this browser: the theme and the zone of times.

import { effect, signal } from "@preact/signals";

const stored = (name: string): string => globalThis.localStorage?.getItem(name) ?? "";

/** `light` or `dark`; empty: as the system. */
export const theme = signal(stored("theme"));

/** `UTC`; empty: the zone of this machine. */
export const zone = signal(stored("zone"));

/** Apply the choices, and remember them. */
export function startPreferences(): void {
  effect(() => {
    document.documentElement.style.colorScheme = theme.value;
    localStorage.setItem("theme", theme.value);
    localStorage.setItem("zone", zone.value);
  });
}
