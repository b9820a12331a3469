// The basic components of pages.

import { AthenaError, type Fault, type Operation, type RequestParts } from "@projectathena/client";
import type { ComponentChildren, JSX, RefObject, TargetedEvent } from "preact";
import { useMemo, useState } from "preact/hooks";
import { athenaOf, curlOf, pythonOf } from "../command_lines";
import { clock, count, distance, visible } from "../format";
import { at, filter, href, hrefAt, route } from "../route";
import type { Snapshot } from "../server";
import { now } from "../state/clock";
import { REMEDIES } from "../state/decided_text";
import { type Hold, touchOnly } from "../state/hold";
import { NO_PAST } from "../state/instant";
import type { LiveQuery } from "../state/live_query";
import { zone } from "../state/preferences";
import { notify } from "./notices";

/** Renders again only if `of` is another object. For immutable values. */
export function Memo({ of, children }: { of: object; children: () => JSX.Element }): JSX.Element {
  return useMemo(children, [of]);
}

// Text

export function Status({ is, title }: { is: string; title?: string | undefined }): JSX.Element {
  return (
    <span class={`status ${is}`} title={title}>
      {is.replaceAll("-", " ")}
    </span>
  );
}

/** A time and its age. Only an `upcoming` one may be ahead. */
export function Time({ at, upcoming = false }: { at: string | null | undefined; upcoming?: boolean }): JSX.Element {
  if (!at) return <span class="quiet">never</span>;
  return (
    <time dateTime={at} title={`${new Date(at).toUTCString()}\n${clock(at)}${zone.value ? "" : " here"}`}>
      {distance(at, now.value, upcoming)}
    </time>
  );
}

export function RunLink({ id, full = false }: { id: string; full?: boolean }): JSX.Element {
  return (
    <a class="mono" href={href("runs", id)} title={id}>
      {full ? id : `…${id.slice(-8)}`}
    </a>
  );
}

export function SessionLink({ id }: { id: string }): JSX.Element {
  return (
    <a href={href("runs", undefined, { sessionId: id })} title={`Runs of the session ${id}`} class="cut">
      {id}
    </a>
  );
}

// Blocks

export function Panel(props: { title: string; aside?: ComponentChildren; children: ComponentChildren; wide?: boolean }): JSX.Element {
  return (
    <section class={props.wide ? "panel wide" : "panel"}>
      <header>
        <h2>{props.title}</h2>
        {props.aside}
      </header>
      {props.children}
    </section>
  );
}

export function Empty({ children }: { children: ComponentChildren }): JSX.Element {
  return <p class="empty">{children}</p>;
}

/** What a page shows instead of something that is known for now only. */
export function NoPast({ children = "This is known for now only: it has no past." }: { children?: ComponentChildren }): JSX.Element {
  return (
    <p class="empty" data-no-past>
      {children} <a href={hrefAt("")}>Show it now</a>
    </p>
  );
}

/** Links to the fleet as it was before and after an event. */
export function BeforeAndAfter({ position }: { position: number }): JSX.Element {
  return (
    <span>
      {position > 1 && <a href={href("fleet", undefined, {}, String(position - 1))}>before</a>}{" "}
      <a href={href("fleet", undefined, {}, String(position))}>after</a>
    </span>
  );
}

export function ErrorMessage({ error }: { error: AthenaError }): JSX.Element {
  if (error.code === NO_PAST) return <NoPast />;
  const message = error.code === "AUTHZ_DENIED" ? "Your role does not allow this." : (REMEDIES[error.code] ?? visible(error.message));
  return (
    <p class="trouble" role="alert">
      <strong>{error.code}</strong> {message} {remedies(error)}
      {at.value !== undefined && " "}
      {at.value !== undefined && <WayBack error={error} />}
      {error.traceId && <span class="quiet mono"> trace {error.traceId}</span>}
    </p>
  );
}

/** What to do about an error in the past. */
function WayBack({ error: { code, details } }: { error: AthenaError }): JSX.Element {
  const earlier = code === "PAST_TOO_LARGE" ? (details as { readonly position?: number } | undefined)?.position : undefined;
  return (
    <>
      {code === "NOT_FOUND" && "It may not have existed yet. "}
      {earlier !== undefined && (
        <>
          <a href={hrefAt(String(earlier))}>Show position {count(earlier)}</a>{" "}
        </>
      )}
      <a href={hrefAt("")}>Back to now</a>
    </>
  );
}

/** Return what to do about the invalid fields of an input. */
function remedies({ details }: AthenaError): string {
  const faults: readonly Fault[] = Array.isArray(details) ? details : [];
  return faults.map(({ remedy }) => (remedy ? `(${remedy})` : "")).join(" ");
}

/** Shows the data of a live query once loaded, and its error, if any. */
export function Loaded<T>({ live, children }: { live: LiveQuery<T>; children: (data: T) => ComponentChildren }): JSX.Element {
  const { value } = live.data;
  const error = live.error.value;
  return (
    <>
      {error && <ErrorMessage error={error} />}
      {value === undefined ? !error && <p class="empty">Loading …</p> : children(value)}
    </>
  );
}

/** A head of a table with content of its own. */
interface Head {
  readonly head: string;
  readonly content: ComponentChildren;
  readonly sorted?: boolean;
}

/** A table. A head with `#` marks a column of numbers; one with `~` is hidden on narrow screens. */
export function Table(props: {
  label: string;
  heads: readonly (string | Head)[];
  children: ComponentChildren;
  class?: string;
  /** The number of rows, where not all of them are in the document. */
  rows?: number;
  body?: RefObject<HTMLTableSectionElement | null>;
}): JSX.Element {
  return (
    <div class="scroll" role="region" aria-label={props.label} tabIndex={0}>
      <table class={props.class} aria-rowcount={props.rows}>
        <thead>
          <tr>
            {props.heads.map((of) => {
              const { head, content, sorted } = typeof of === "string" ? { head: of, content: of.replace(/^~?#?/, ""), sorted: false } : of;
              return (
                <th
                  key={head}
                  scope="col"
                  class={`${head.includes("#") ? "num" : ""} ${head.startsWith("~") ? "opt" : ""}`}
                  aria-sort={sorted ? "descending" : undefined}
                >
                  {content || <span class="unseen">Actions</span>}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody ref={props.body ?? null}>{props.children}</tbody>
      </table>
    </div>
  );
}

export function Facts({ of }: { of: readonly (readonly [string, ComponentChildren])[] }): JSX.Element {
  return (
    <dl class="facts">
      {of
        .filter(([, value]) => value !== undefined && value !== null && value !== "")
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

/** A meter. With `limit`, it changes colour as the value approaches `max`. */
export function Bar(props: { label: string; value: number; max: number | undefined; text: string; limit?: boolean }): JSX.Element {
  const { max, value } = props;
  const part = max ? Math.min(1, value / max) : 0;
  const spent = props.limit ? part : 0;
  return (
    <div class="bar">
      <span>{props.label}</span>
      <div
        role="meter"
        aria-label={props.label}
        aria-valuemin={0}
        aria-valuemax={max ?? value}
        aria-valuenow={Math.min(value, max ?? value)}
        aria-valuetext={props.text}
        class={spent >= 0.9 ? "full" : spent >= 0.7 ? "high" : ""}
      >
        <i style={{ width: `${part * 100}%` }} />
      </div>
      <span>{props.text}</span>
    </div>
  );
}

export function Json({ value }: { value: unknown }): JSX.Element {
  return (
    <pre class="json" tabIndex={0}>
      {typeof value === "string" ? value : (JSON.stringify(value, null, 2) ?? "")}
    </pre>
  );
}

// Filters

export function Filter(props: {
  name: string;
  label: string;
  options?: readonly string[];
  first?: boolean;
  /** A filter by a time. */
  time?: boolean;
}): JSX.Element {
  const { name, label, options, time } = props;
  const value = route.value.filters[name] ?? "";
  const change = (event: TargetedEvent<HTMLInputElement | HTMLSelectElement>): void => {
    const text = event.currentTarget.value.trim();
    filter({ [name]: time && text ? new Date(ofInput(text)).toISOString() : text });
  };
  return (
    <label class="filter">
      <span>{label}</span>
      {options ? (
        <select value={value} onChange={change}>
          <option value="">any</option>
          {value && !options.includes(value) && <option value={value}>{value}</option>}
          {options.map((option) => (
            <option key={option} value={option}>
              {option}
            </option>
          ))}
        </select>
      ) : time ? (
        <input type="datetime-local" value={localTime(value)} onChange={change} />
      ) : (
        <input type="search" value={value} onChange={change} spellcheck={false} data-first={props.first ? "" : undefined} />
      )}
    </label>
  );
}

/** Return the milliseconds of a time of an input, in the zone of the reader. */
export const ofInput = (text: string): number => Date.parse(zone.value ? `${text}Z` : text);

/** Return a time as an input of times has it, in the zone of the reader. */
export function localTime(iso: string): string {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return "";
  return new Date(at.getTime() - (zone.value ? 0 : at.getTimezoneOffset() * 60_000)).toISOString().slice(0, 16);
}

/** The button of a list that may be held: pauses it, or shows the new rows. It keeps its place while their number grows. */
export function HoldButton({ hold, fresh, most }: { hold: Hold; fresh: number; most: number }): JSX.Element | null {
  if (at.value !== undefined) return null; // nothing moves
  const paused = hold.paused.value;
  const many = `${count(fresh)}${fresh < most ? "" : "+"} new`;
  const gathered = paused ? `Resume (${many})` : `${many} ↑`;
  return (
    <button type="button" class={`small hold ${fresh ? "fresh" : ""}`} aria-pressed={paused} disabled={touchOnly && !fresh && !paused} onClick={hold.toggle}>
      {paused || fresh || touchOnly ? gathered : "Pause"}
    </button>
  );
}

/** Buttons that move a window over a long list; nothing if the list fits. */
export function Window(props: { of: readonly unknown[]; size: number; first: number; what: string; move: (to: number) => void }): JSX.Element | null {
  const { of, size, first, what, move } = props;
  if (of.length <= size) return null;
  const end = Math.min(of.length, first + size);
  return (
    <p class="window">
      <button type="button" class="small" aria-disabled={first === 0} onClick={() => move(Math.max(0, first - size))}>
        Previous
      </button>
      <button type="button" class="small" aria-disabled={end === of.length} onClick={() => end < of.length && move(end)}>
        Next
      </button>
      <span role="status">
        {count(first + 1)} to {count(end)} of {count(of.length)} {what}
      </span>
    </p>
  );
}

// Copying

export async function copy(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea"); // the clipboard API requires TLS
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
  return undefined;
}

export function Copy({ text, label = "Copy" }: { text: string; label?: string }): JSX.Element {
  const [copied, setCopied] = useState(false);
  return (
    <button
      type="button"
      class="small"
      onClick={() => {
        void copy(text).then(() => {
          setCopied(true);
          setTimeout(() => setCopied(false), 1_500);
        });
      }}
    >
      {copied ? "Copied" : label}
    </button>
  );
}

export function Commands({ operation, request: parts }: { operation: Operation<unknown>; request: RequestParts }): JSX.Element {
  const lines: readonly (readonly [string, string])[] = [
    ["athena", athenaOf(operation, parts)],
    ["curl", curlOf(operation, parts)],
    ["python", pythonOf(operation, parts)],
  ];
  return (
    <>
      {lines.map(([name, line]) => (
        <Command key={name} name={name} line={line} />
      ))}
    </>
  );
}

/** A menu that copies the command lines of a request: of a record, or of a filtered list. */
export function CopyAs(props: { operation: Operation<unknown>; request: RequestParts }): JSX.Element {
  const [open, setOpen] = useState(false);
  return (
    <details class="menu" onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary class="button">Copy as</summary>
      {open && <Commands {...props} />}
    </details>
  );
}

/** A command line to copy. */
export function Command({ name, line }: { name?: string; line: string }): JSX.Element {
  return (
    <div class="command">
      <code data-command={name} tabIndex={0}>
        {line}
      </code>
      <Copy text={line} label={name ? `Copy ${name}` : "Copy"} />
    </div>
  );
}

/** A button that loads further pages of a list. They do not update live. */
export function MorePages<T>(props: {
  next: string | undefined;
  what: string;
  read: (cursor: string) => Promise<Snapshot<{ readonly items: readonly T[]; readonly nextCursor?: string | undefined }>>;
  children: (items: readonly T[]) => ComponentChildren;
}): JSX.Element | null {
  const [items, setItems] = useState<readonly T[]>([]);
  const [cursor, setCursor] = useState(props.next);
  const next = items.length ? cursor : props.next;
  const load = async (): Promise<void> => {
    try {
      const { data } = await props.read(next ?? "");
      setItems([...items, ...data.items]);
      setCursor(data.nextCursor);
    } catch (error) {
      if (!(error instanceof AthenaError)) throw error;
      notify(error.message, true);
    }
  };
  return (
    <>
      {items.length > 0 && (
        <>
          <h2 class="more">More {props.what} (not live)</h2>
          {props.children(items)}
        </>
      )}
      {next && (
        <p>
          <button type="button" onClick={() => void load()}>
            Load more {props.what}
          </button>
        </p>
      )}
    </>
  );
}
