// The help (`?`): keys, the documentation of the page, and the settings of this browser.

import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { route, SHORTCUTS, TAGS, TITLES } from "../route";
import { theme, zone } from "../state/preferences";
import { closeOverlay, type Overlay } from "./palette";
import { Facts } from "./ui";

const KEYS: Readonly<Record<string, string>> = {
  "Ctrl K": "Pages, ids, acts, search",
  "?": "This help",
  "/": "First filter",
  "j k": "Next, previous row",
  Enter: "Open the row",
  x: "Select the row",
  u: "Show new runs",
  s: "Share this moment",
  e: "Show the exact text of the ask",
  "y n": "Allow, deny the ask",
  "1 … 9": "Choose an answer",
  Esc: "Close",
};

export function Help({ of }: { of: Overlay }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => dialog.current?.showModal(), []);
  const { page } = route.value;
  const tag = TAGS[page] ?? page;
  const pages = Object.entries(SHORTCUTS).map(([key, to]) => [`g ${key}`, TITLES[to] ?? to] as const);
  const zoneHere = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return (
    <dialog ref={dialog} aria-labelledby="help-title" onClose={() => closeOverlay(of)}>
      <h2 id="help-title">Help</h2>
      <p>
        <a href={TITLES[page] ? `/docs#/${tag}` : "/docs"}>Documentation of this page</a> · <a href="/docs">all of the API</a>
      </p>
      <div class="filters">
        <Choice label="Theme" of={theme} options={{ "": "As the system", light: "Light", dark: "Dark" }} />
        <Choice label="Times" of={zone} options={{ "": `Local (${zoneHere})`, UTC: "UTC" }} />
      </div>
      <Facts of={[...Object.entries(KEYS), ...pages].map(([key, text]) => [text, <kbd>{key}</kbd>])} />
      <footer>
        <button type="button" onClick={() => dialog.current?.close()}>
          Close
        </button>
      </footer>
    </dialog>
  );
}

function Choice({ label, of, options }: { label: string; of: { value: string }; options: Readonly<Record<string, string>> }): JSX.Element {
  return (
    <label class="filter">
      <span>{label}</span>
      <select
        value={of.value}
        onChange={({ currentTarget }) => {
          of.value = currentTarget.value;
        }}
      >
        {Object.entries(options).map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}
