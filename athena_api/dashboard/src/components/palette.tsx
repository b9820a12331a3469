// The command palette (Ctrl-K): pages, acts, records by their ids or names, and what the search of the server finds.

import { effect, signal, useSignal } from "@preact/signals";
import { findIds, searchMemory } from "@projectathena/client/operations";
import type { JSX, TargetedKeyboardEvent } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { short, words } from "../format";
import { at, href, hrefAt, recordHref, TITLES, visit } from "../route";
import { agents, readAgents } from "../state/agents";
import { caller, isAllowed } from "../state/caller";
import { position } from "../state/event_stream";
import { request } from "../state/instant";
import { theme, zone } from "../state/preferences";
import { parsed, written } from "../state/run_query";
import { openDialog } from "./actions";
import { FORMS, pathKey } from "./form_rows";
import { haltActions } from "./halt";
import { notify } from "./notices";
import { startAction } from "./run_actions";
import { copy, Empty } from "./ui";

export interface Overlay {
  readonly kind: "palette" | "help";
}

/** The open overlay, if any: an object for each opening, because the one before may be reported closed after it. */
export const overlay = signal<Overlay | undefined>(undefined);

effect(() => {
  void visit.value;
  overlay.value = undefined;
});

export function openHelp(): void {
  overlay.value = { kind: "help" };
}

export function closeOverlay(one: Overlay): void {
  if (overlay.value === one) overlay.value = undefined;
}

const typed = signal("");

/** Open the palette, perhaps with a text to search for. */
export function openPalette(text = ""): void {
  typed.value = text;
  overlay.value = { kind: "palette" };
}

interface Entry {
  readonly kind: string;
  readonly text: string;
  readonly act: () => void;
}

/** Copy a link to this page as it is at this moment. */
export async function shareLink(): Promise<void> {
  await copy(new URL(hrefAt(at.value ?? String(position.value)), location.href).href);
  notify("A link to this moment is copied.");
}

const SHOWN_MAX = 12;
const WORD_CHARS_MIN = 3;
const TYPING_MS = 150;

const open = (to: string) => (): void => {
  location.hash = to;
};

/** Return the pages and acts. */
function entries(): readonly Entry[] {
  const act = (text: string, run: () => void): Entry => ({ kind: "Act", text, act: run });
  return [
    ...[startAction(undefined), ...haltActions()]
      .filter(({ operation }) => isAllowed(operation))
      .map((action) => act(`${action.label} …`, () => openDialog(action as Parameters<typeof openDialog>[0]))),
    act("Share this moment", () => void shareLink()),
    ...Object.values(FORMS)
      .filter(({ operation }) => isAllowed(operation) && !pathKey(operation))
      .map(({ operation, title }) => act(title, open(href("form", operation.id)))),
    ...Object.entries(TITLES).map(([page, text]) => ({ kind: "Page", text, act: open(href(page)) })),
    act(`Times in ${zone.value ? "local time" : "UTC"}`, () => {
      zone.value = zone.value ? "" : "UTC";
    }),
    ...["light", "dark", ""].map((name) =>
      act(`Theme: ${name || "as the system"}`, () => {
        theme.value = name;
      }),
    ),
    act("Keyboard shortcuts and settings", openHelp),
  ];
}

/** Ask the server for records by their ids or names, and for passages of notes and transcripts. */
async function search(text: string): Promise<readonly Entry[]> {
  const part = text.replace(/^(\w+_)?…/, "");
  const ids = part && isAllowed(findIds) ? request(findIds, { path: { part }, query: { names: true } }) : undefined;
  const passages = isAllowed(searchMemory) && !caller.value?.scope ? request(searchMemory, { query: { query: text, maxResults: 5 } }) : undefined;
  const [found, memory] = await Promise.allSettled([ids, passages]);
  return [
    ...(found.status === "fulfilled" && found.value ? found.value.data.items : []).map(({ kind, id, runId, name }) => ({
      kind: words(kind),
      text: name === undefined || name === id ? id : `${name} · ${short(id)}`,
      act: open(recordHref(kind, runId ?? id)),
    })),
    ...(memory.status === "fulfilled" && memory.value ? memory.value.data : []).map(({ snippet, sourcePath }) => ({
      kind: sourcePath.replace(/^.*\//, "").replace(/\.jsonl$/, ""),
      text: snippet,
      act: open(passageHref(sourcePath)),
    })),
  ];
}

/** Return the URL of a passage: the runs of the session of a transcript, or the memory. */
function passageHref(path: string): string {
  const [, sessionId] = /transcripts\/(.*)\.jsonl/.exec(path) ?? [];
  return sessionId ? href("runs", undefined, { sessionId }) : href("memory");
}

export function Palette({ of }: { of: Overlay }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const found = useSignal<readonly Entry[]>([]);
  const place = useSignal(0);
  useLayoutEffect(() => {
    dialog.current?.showModal(); // before the next key
    void readAgents();
  }, []);
  const text = typed.value.trim();
  useLayoutEffect(() => {
    found.value = [];
    place.value = 0;
    if (text.length < WORD_CHARS_MIN) return;
    let current = true;
    const timer = setTimeout(async () => {
      const some = await search(text);
      if (current) found.value = some;
    }, TYPING_MS);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [text]);
  const parts = text.toLowerCase().split(/\s+/);
  const known = entries().filter((entry) => parts.every((part) => entry.text.toLowerCase().includes(part)));
  const { filters } = parsed(text, agents.value);
  const runs = Object.keys(filters).length ? [{ kind: "Runs", text: written(filters, agents.value), act: open(href("runs", undefined, filters)) }] : [];
  const shown = [...runs, ...known, ...found.value].slice(0, SHOWN_MAX);
  const chosen = Math.min(place.value, shown.length - 1);
  const take = (entry: Entry | undefined): void => {
    overlay.value = undefined;
    entry?.act();
  };
  const key = (event: TargetedKeyboardEvent<HTMLInputElement>): void => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by) place.value = (chosen + by + shown.length) % shown.length;
    else if (event.key === "Enter") take(shown[chosen]);
    else return;
    event.preventDefault();
  };
  return (
    <dialog ref={dialog} class="palette" aria-label="Command palette" onClose={() => closeOverlay(of)}>
      <input
        type="text"
        role="combobox"
        aria-label="Page, id, name, act or words"
        aria-controls="palette"
        aria-expanded="true"
        aria-activedescendant={`palette-${chosen}`}
        placeholder="Page, id, name, act or words"
        value={typed.value}
        onInput={({ currentTarget }) => {
          typed.value = currentTarget.value;
        }}
        onKeyDown={key}
      />
      <div role="listbox" id="palette" aria-label="Results">
        {shown.map((entry, index) => (
          <div
            key={`${entry.kind}${entry.text}`}
            id={`palette-${index}`}
            role="option"
            aria-selected={index === chosen}
            tabIndex={-1}
            onClick={() => take(entry)}
          >
            <span class="cut">{entry.text}</span> <small class="quiet cut">{entry.kind}</small>
          </div>
        ))}
      </div>
      {!shown.length && <Empty>Nothing found. A name needs three characters, an id six.</Empty>}
    </dialog>
  );
}
