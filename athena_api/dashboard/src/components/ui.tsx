// The pieces that pages are made of.

import { signal } from "@preact/signals";
import { Component, type ComponentChildren, type JSX, type TargetedEvent } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { request, newKey, ApiError, type ApiResponse, type RequestParts } from "../api";
import { athenaOf, curlOf } from "../command_lines";
import { clock, distance } from "../format";
import type { Caller, Operation } from "../generated";
import type { LiveQuery } from "../state/live_query";
import { filter, href, route } from "../route";

/** Who is asking; there before anything else is shown. */
export const caller = signal<Caller | undefined>(undefined);

export const isAllowed = (operation: Operation<unknown>): boolean => caller.value?.operations.includes(operation.id) ?? false;

export const now = signal(Date.now());
setInterval(() => {
  now.value = Date.now();
}, 1_000);

/** What shows a value that never changes: as long as it is the same object, it is not looked at again. */
export class Memo extends Component<{ of: object; children: () => JSX.Element }> {
  override shouldComponentUpdate(next: { of: object }): boolean {
    return next.of !== this.props.of;
  }

  override render(): JSX.Element {
    return this.props.children();
  }
}

// Words

export function Status({ is, title }: { is: string; title?: string | undefined }): JSX.Element {
  return (
    <span class={`status ${is}`} title={title}>
      {is.replaceAll("-", " ")}
    </span>
  );
}

export function Time({ at }: { at: string | null | undefined }): JSX.Element {
  if (!at) return <span class="quiet">never</span>;
  return (
    <time dateTime={at} title={`${new Date(at).toUTCString()}\n${clock(at)} here`}>
      {distance(at, now.value)}
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

export function ErrorMessage({ error }: { error: ApiError }): JSX.Element {
  const message = error.code === "AUTHZ_DENIED" ? "Your role does not allow this." : error.message;
  return (
    <p class="trouble" role="alert">
      <strong>{error.code}</strong> {message}
      {error.traceId && <span class="quiet mono"> trace {error.traceId}</span>}
    </p>
  );
}

/** What is live, once it is there; before and beside it what is wrong. */
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

/** A table; numbers stand right, below heads that begin with `#`; a narrow screen leaves out those that begin with `~`. */
export function Table(props: { label: string; heads: readonly string[]; children: ComponentChildren }): JSX.Element {
  return (
    <div class="scroll" role="region" aria-label={props.label} tabIndex={0}>
      <table>
        <thead>
          <tr>
            {props.heads.map((head) => (
              <th key={head} scope="col" class={`${head.includes("#") ? "num" : ""} ${head.startsWith("~") ? "opt" : ""}`}>
                {head.replace(/^~?#?/, "")}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{props.children}</tbody>
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

/** How much of something there is; a `limit` is a thing that one runs out of. */
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
      <span class="told">{props.text}</span>
    </div>
  );
}

export function Json({ value }: { value: unknown }): JSX.Element {
  return (
    <pre class="json" tabIndex={0}>
      {typeof value === "string" ? value : JSON.stringify(value, null, 2)}
    </pre>
  );
}

// Filters

export function Filter(props: { name: string; label: string; options?: readonly string[]; first?: boolean }): JSX.Element {
  const { name, label, options } = props;
  const value = route.value.filters[name] ?? "";
  const change = (event: TargetedEvent<HTMLInputElement | HTMLSelectElement>): void => {
    filter({ [name]: event.currentTarget.value.trim() });
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
      ) : (
        <input type="search" value={value} onChange={change} spellcheck={false} data-first={props.first ? "" : undefined} />
      )}
    </label>
  );
}

// Copying

export async function copy(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea"); // a page without TLS has no clipboard
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
  ];
  return (
    <div class="commands">
      {lines.map(([name, line]) => (
        <div key={name}>
          <code data-command={name} tabIndex={0}>
            {line}
          </code>
          <Copy text={line} label={`Copy ${name}`} />
        </div>
      ))}
    </div>
  );
}

// Actions

/** A value that a dialog asks for. */
export interface Field {
  readonly name: string;
  readonly label: string;
  readonly kind?: "text" | "area" | "number";
  readonly value?: string;
  readonly hint?: string;
  /** What may be meant; anything else may be written, too. */
  readonly options?: readonly string[];
  readonly required?: boolean;
}

/** Something that can be done: a row of the table, with what is asked of it. */
export interface ActionSpec<T> {
  readonly operation: Operation<T>;
  readonly label: string;
  readonly request: (values: Readonly<Record<string, string>>) => RequestParts;
  /** What is asked before it is done; without it and without fields it is done at once. */
  readonly question?: string;
  readonly fields?: readonly Field[];
  readonly danger?: boolean;
  /** What is said when it was done; a link may follow. */
  readonly done: (data: T) => string;
  readonly then?: (data: T) => void;
}

interface Notice {
  readonly id: number;
  readonly text: string;
  readonly failed: boolean;
  /** Whether the rejections tell more of it. */
  readonly isPolicyError: boolean;
}

const notices = signal<readonly Notice[]>([]);
/** The deed that is asked about, and which asking it is: each one is a dialog of its own. */
const pending = signal<{ readonly action: ActionSpec<unknown>; readonly id: number } | undefined>(undefined);
let dialogId = 0;
let noticeId = 0;

export function notify(text: string, failed = false, isPolicyError = false): void {
  const id = ++noticeId;
  notices.value = [...notices.value.slice(-3), { id, text, failed, isPolicyError: isPolicyError }];
  setTimeout(() => drop(id), failed ? 15_000 : 6_000);
}

function drop(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

function openDialog<T>(action: ActionSpec<T>): void {
  pending.value = { action: action as ActionSpec<unknown>, id: ++dialogId };
}

/** Does it; what stands against it, if anything does. */
async function perform<T>(action: ActionSpec<T>, parts: RequestParts): Promise<ApiError | undefined> {
  try {
    const { data } = await request(action.operation, parts);
    notify(action.done(data));
    action.then?.(data);
    return undefined;
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
}

/** The key of a command; another one once the command was answered, whatever the answer. */
function useIdempotencyKey(): [string, (error: ApiError | undefined) => void] {
  const [key, setKey] = useState(newKey);
  const answered = (error: ApiError | undefined): void => {
    if (!["UNREACHABLE", "OUTCOME_UNKNOWN"].includes(error?.code ?? "")) setKey(newKey());
  };
  return [key, answered];
}

/** Whether the rejections tell more. */
const isPolicyError = (error: ApiError): boolean => error.code.startsWith("POLICY_");

/** A button for a deed, and a small one that shows its commands; neither where the role does not allow it. */
export function Action<T>({ action, label = action.label }: { action: ActionSpec<T>; label?: string }): JSX.Element | null {
  const [busy, setBusy] = useState(false);
  const [key, answered] = useIdempotencyKey();
  if (!isAllowed(action.operation)) return null;
  const needsDialog = action.question !== undefined || action.fields !== undefined;
  const act = (): void => {
    if (needsDialog) return openDialog(action);
    setBusy(true);
    void perform(action, { ...action.request({}), key }).then((error) => {
      if (error) notify(`${action.label}: ${error.code}: ${error.message}`, true, isPolicyError(error));
      answered(error);
      setBusy(false);
    });
  };
  return (
    <span class="action">
      <button type="button" class={action.danger ? "danger" : ""} disabled={busy} onClick={act}>
        {label}
        {needsDialog ? " …" : ""}
      </button>
      {!needsDialog && (
        <button type="button" class="small" aria-label={`${action.label}: its command`} title="Its command" onClick={() => openDialog(action)}>
          ›_
        </button>
      )}
    </span>
  );
}

/** The dialog of the deed that is asked about. */
export function Dialog(): JSX.Element | null {
  const dialog = pending.value;
  return dialog ? <ActionDialog key={dialog.id} {...dialog} /> : null;
}

function ActionDialog({ action, id }: { action: ActionSpec<unknown>; id: number }): JSX.Element {
  const element = useRef<HTMLDialogElement>(null);
  const [key, answered] = useIdempotencyKey();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError>();
  const [values, setValues] = useState<Readonly<Record<string, string>>>(() =>
    Object.fromEntries((action.fields ?? []).map((field) => [field.name, field.value ?? ""])),
  );
  useEffect(() => element.current?.showModal(), []);
  const parts = { ...action.request(values), key };
  const close = (): void => element.current?.close(); // gives the focus back, too
  const closed = (): void => {
    if (pending.value?.id === id) pending.value = undefined; // told a moment later: the next one may be open already
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    setBusy(true);
    void perform(action, parts).then((refused) => {
      if (!refused) return close();
      answered(refused);
      setError(refused);
      setBusy(false);
    });
  };
  return (
    <dialog ref={element} onClose={closed} aria-labelledby="asking">
      <form onSubmit={submit}>
        <h2 id="asking">{action.label}</h2>
        {action.question && <p>{action.question}</p>}
        {action.fields?.map((field) => (
          <Input key={field.name} field={field} value={values[field.name] ?? ""} set={(value) => setValues({ ...values, [field.name]: value })} />
        ))}
        {error && <ErrorMessage error={error} />}
        {error && isPolicyError(error) && (
          <a href={href("rejections")} onClick={close}>
            What was refused, and why
          </a>
        )}
        <p class="quiet">The same on a command line:</p>
        <Commands operation={action.operation} request={parts} />
        <footer>
          <button type="button" onClick={close}>
            Leave it
          </button>
          <button type="submit" class={action.danger ? "danger primary" : "primary"} disabled={busy}>
            {action.label}
          </button>
        </footer>
      </form>
    </dialog>
  );
}

function Input({ field, value, set }: { field: Field; value: string; set: (value: string) => void }): JSX.Element {
  const take = (event: TargetedEvent<HTMLInputElement | HTMLTextAreaElement>): void => set(event.currentTarget.value);
  const hint = field.hint ? `hint-${field.name}` : undefined;
  const common = { value, required: field.required ?? false, onInput: take, "aria-describedby": hint };
  return (
    <div class="field">
      <label>
        <span>{field.label}</span>
        {field.kind === "area" ? (
          <textarea rows={4} {...common} />
        ) : field.kind === "number" ? (
          <input type="number" step="any" min={0} {...common} />
        ) : (
          <input list={field.options && `options-${field.name}`} {...common} />
        )}
      </label>
      {field.options && (
        <datalist id={`options-${field.name}`}>
          {field.options.map((option) => (
            <option key={option} value={option} />
          ))}
        </datalist>
      )}
      {hint && <small id={hint}>{field.hint}</small>}
    </div>
  );
}

export function Notices(): JSX.Element {
  return (
    <div class="notes" role="status" aria-live="polite">
      {notices.value.map((notice) => (
        <p key={notice.id} class={notice.failed ? "failed" : ""}>
          <span>
            {notice.text} {notice.isPolicyError && <a href={href("rejections")}>Why</a>}
          </span>
          <button type="button" class="small" aria-label="Dismiss" onClick={() => drop(notice.id)}>
            ×
          </button>
        </p>
      ))}
    </div>
  );
}

/** What follows a page of a list, as it was when it was asked for. */
export function MorePages<T>(props: {
  next: string | null | undefined;
  what: string;
  read: (cursor: string) => Promise<ApiResponse<{ readonly items: readonly T[]; readonly nextCursor?: string | null }>>;
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
      if (!(error instanceof ApiError)) throw error;
      notify(error.message, true);
    }
  };
  return (
    <>
      {items.length > 0 && (
        <>
          <h2 class="more">More {props.what}, as they were when they were read</h2>
          {props.children(items)}
        </>
      )}
      {next && (
        <p>
          <button type="button" onClick={() => void load()}>
            More {props.what}
          </button>
        </p>
      )}
    </>
  );
}

/** Only the members that say something. */
export function withoutEmpty(values: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined && value !== ""));
}
