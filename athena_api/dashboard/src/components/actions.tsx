// Actions: the button of an operation, and its dialog.

import { AthenaError, newKey, type Operation, type RequestParts } from "@projectathena/client";
import type { ComponentChildren, JSX, TargetedEvent } from "preact";
import { useEffect, useRef, useState } from "../component";
import { at, href } from "../route";
import { effect, signal } from "../signals";

import { isAllowed } from "../state/caller";
import { eventStream, state } from "../state/event_stream";
import type { SeenEvent } from "../state/events";
import { dialogOpen } from "../state/hold";
import { request } from "../state/instant";
import { notify } from "./notices";
import { Commands, ErrorMessage } from "./ui";

/** A value of a field, and its text if they differ. */
export type Option = string | { readonly value: string; readonly text: string };

/** A field of a dialog. */
export interface Field {
  readonly name: string;
  readonly label: string;
  /** `choice` accepts its options only; the value of a `flag` is `true` or empty. */
  readonly kind?: "text" | "area" | "json" | "number" | "choice" | "flag";
  readonly value?: string;
  readonly hint?: string;
  /** Suggested values; a function reads them when the dialog opens. */
  readonly options?: readonly Option[] | (() => Promise<readonly Option[]>);
  readonly required?: boolean;
  /** The lines of an area. */
  readonly rows?: number;
  /** Return the fault of a value, if it has one. */
  readonly check?: (value: string) => string | undefined;
}

/** An action: an operation with its label, fields and messages. */
export interface ActionSpec<T> {
  readonly operation: Operation<T>;
  readonly label: string;
  readonly request: (values: Readonly<Record<string, string>>) => RequestParts;
  /** The requests of an action on several subjects; `request` is the first of them. */
  readonly each?: (values: Readonly<Record<string, string>>) => readonly RequestParts[];
  /** The text of the confirmation. Without a question and fields, the action runs at once. */
  readonly question?: string;
  readonly fields?: readonly Field[];
  /** What the action applies to, shown above the fields. */
  readonly subject?: (values: Readonly<Record<string, string>>) => ComponentChildren;
  readonly danger?: boolean;
  /** True if the action is not possible now: the dialog shows why, and does not send it. */
  readonly blocked?: boolean;
  /** The message after success. */
  readonly done: (data: T) => string;
  readonly after?: (data: T, sent: RequestParts) => void;
  /** Return how a later event shows that the action failed after all; its text replaces the message. */
  readonly failure?: (data: T) => (event: SeenEvent) => string | undefined;
}

/** The action of the open dialog; a new id creates a new dialog. */
const pending = signal<{ readonly action: ActionSpec<unknown>; readonly id: number } | undefined>(undefined);
let dialogId = 0;

effect(() => {
  dialogOpen.value = pending.value !== undefined;
});

effect(() => {
  void at.value;
  pending.value = undefined; // what it is about is of another moment
});

export function openDialog<T>(action: ActionSpec<T>): void {
  pending.value = { action: action as ActionSpec<unknown>, id: ++dialogId };
}

/** Send the request. Return its error, if any. */
async function perform<T>(action: ActionSpec<T>, parts: RequestParts): Promise<AthenaError | undefined> {
  const early: SeenEvent[] = []; // events may arrive before the answer
  const stop = eventStream.subscribe((events) => early.push(...events));
  try {
    const { data } = await request(action.operation, parts);
    action.after?.(data, parts); // it may open another page, to which the notice then belongs
    const notice = notify(action.done(data));
    if (action.failure) watchFailure(notice, action.failure(data), early);
    return undefined;
  } catch (error) {
    if (error instanceof AthenaError) return error;
    throw error;
  } finally {
    stop();
  }
}

/** Send a request for each subject, one after the other. Return the error, if none succeeded. */
async function performEach<T>(action: ActionSpec<T>, all: readonly RequestParts[], key: string): Promise<AthenaError | undefined> {
  let error: AthenaError | undefined;
  let done = 0;
  for (const [index, parts] of all.entries()) {
    try {
      await request(action.operation, { ...parts, idempotencyKey: `${key}-${index}` });
      done++;
    } catch (failure) {
      if (!(failure instanceof AthenaError)) throw failure;
      error ??= failure;
    }
  }
  if (!done) return error;
  notify(`${done} of ${all.length} done.${error ? ` ${error.code}: ${error.message}` : ""}`, error !== undefined);
  return undefined;
}

const FOLLOWED_MS = 60_000;

/** Replace a notice once an event shows that its action failed after all. */
function watchFailure(notice: number, failure: (event: SeenEvent) => string | undefined, early: readonly SeenEvent[]): void {
  const look = (events: readonly SeenEvent[]): void => {
    const text = events.map(failure).find((found) => found !== undefined);
    if (text === undefined) return;
    stop();
    notify(text, true, false, notice);
  };
  const stop = eventStream.subscribe(look);
  setTimeout(stop, FOLLOWED_MS);
  look(early);
}

const actionKey = (): string => `console-${newKey()}`;

/** The idempotency key of an action. Any response replaces it; without a response, a retry sends the same key. */
export function useIdempotencyKey(): [string, (error: AthenaError | undefined) => void] {
  const [key, setKey] = useState(actionKey);
  const answered = (error: AthenaError | undefined): void => {
    if (!["UNREACHABLE", "OUTCOME_UNKNOWN"].includes(error?.code ?? "")) setKey(actionKey());
  };
  return [key, answered];
}

/** Return true if the error is listed under Rejected. */
const isPolicyError = (error: AthenaError): boolean => error.code.startsWith("POLICY_");

/** The button of an action, and a small one that shows its commands. Hidden if the role does not allow it. */
export function Action<T>({ action, label = action.label }: { action: ActionSpec<T>; label?: string | undefined }): JSX.Element | null {
  const [busy, setBusy] = useState(false);
  const [key, answered] = useIdempotencyKey();
  if (!isAllowed(action.operation)) return null;
  const needsDialog = action.question !== undefined || action.fields !== undefined;
  const act = (): void => {
    if (needsDialog) {
      openDialog(action);
      return;
    }
    setBusy(true);
    void perform(action, { ...action.request({}), idempotencyKey: key }).then((error) => {
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
        <button type="button" class="small" aria-label={`Show command: ${action.label}`} title="Show command" onClick={() => openDialog(action)}>
          ›_
        </button>
      )}
    </span>
  );
}

/** The open dialog, if any. */
export function Dialog(): JSX.Element | null {
  const dialog = pending.value;
  return dialog ? <ActionDialog key={dialog.id} {...dialog} /> : null;
}

function ActionDialog({ action, id }: { action: ActionSpec<unknown>; id: number }): JSX.Element {
  const element = useRef<HTMLDialogElement>(null);
  const [key, answered] = useIdempotencyKey();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<AthenaError>();
  const [values, setValues] = useState<Readonly<Record<string, string>>>(() =>
    Object.fromEntries((action.fields ?? []).map((field) => [field.name, field.value ?? ""])),
  );
  useEffect(() => element.current?.showModal(), []); // before the next key
  const reachable = state.value === "live" || state.value === "behind";
  useEffect(() => {
    if (reachable) setError((had) => (had?.code === "UNREACHABLE" ? undefined : had)); // its cause is gone
  }, [reachable]);
  const filled = action.fields?.every(({ name, required, check }) => (!required || values[name]) && !check?.(values[name] ?? "")) ?? true;
  const parts = filled ? { ...action.request(values), idempotencyKey: key } : {};
  const close = (): void => element.current?.close(); // also restores the focus
  const closed = (): void => {
    if (pending.value?.id === id) pending.value = undefined; // runs after closing, when the next dialog may already be open
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    setBusy(true);
    void (action.each ? performEach(action, action.each(values), key) : perform(action, parts)).then((failure) => {
      if (!failure) return close();
      answered(failure);
      setError(failure);
      setBusy(false);
    });
  };
  return (
    <dialog ref={element} onClose={closed} aria-labelledby="dialog-title">
      <form onSubmit={submit}>
        <h2 id="dialog-title">{action.label}</h2>
        {action.question && <p>{action.question}</p>}
        {action.subject?.(values)}
        {action.fields?.map((field) => (
          <Input key={field.name} field={field} value={values[field.name] ?? ""} set={(value) => setValues({ ...values, [field.name]: value })} />
        ))}
        {error && <ErrorMessage error={error} />}
        {error && isPolicyError(error) && (
          <a href={href("rejections")} onClick={close}>
            View rejected runs
          </a>
        )}
        {!action.blocked && <p class="quiet">{filled ? "Command line:" : "The command line is shown once the fields are filled in."}</p>}
        {filled && !action.blocked && <Commands operation={action.operation} request={parts} />}
        <footer>
          <button type="button" onClick={close}>
            {action.label.startsWith("Cancel") ? "Keep running" : "Close"}
          </button>
          <button type="submit" class={action.danger ? "danger primary" : "primary"} disabled={busy || !filled || action.blocked}>
            {action.label}
          </button>
        </footer>
      </form>
    </dialog>
  );
}

/** A field of a form. */
export function Input({ field, value, set }: { field: Field; value: string; set: (value: string) => void }): JSX.Element {
  const take = (event: TargetedEvent<HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement>): void => set(event.currentTarget.value);
  const options = useOptions(field.options);
  const hint = field.hint ? `hint-${field.name}` : undefined;
  const fault = field.check?.(value);
  const common = { value, required: field.required ?? false, onInput: take, "aria-describedby": hint };
  return (
    <div class="field">
      <label class={field.kind === "flag" ? "flag" : ""}>
        <span>{field.label}</span>
        {field.kind === "area" || field.kind === "json" ? (
          <textarea rows={field.rows ?? 4} class={field.kind === "json" ? "mono" : ""} spellcheck={field.kind !== "json"} {...common} />
        ) : field.kind === "number" ? (
          <input type="number" step="any" min={0} {...common} />
        ) : field.kind === "flag" ? (
          <input type="checkbox" checked={value === "true"} onChange={(event) => set(event.currentTarget.checked ? "true" : "")} />
        ) : field.kind === "choice" ? (
          <select {...common} onChange={take}>
            {options}
          </select>
        ) : (
          <input list={field.options && `options-${field.name}`} {...common} />
        )}
      </label>
      {field.options && field.kind !== "choice" && <datalist id={`options-${field.name}`}>{options}</datalist>}
      {hint && <small id={hint}>{field.hint}</small>}
      {fault && (
        <small class="bad" role="status">
          {fault}
        </small>
      )}
    </div>
  );
}

/** Return the options of a field as elements; none while they are read, or if they cannot be. */
function useOptions(given: Field["options"]): readonly JSX.Element[] {
  const [options, setOptions] = useState<readonly Option[]>(typeof given === "function" ? [] : (given ?? []));
  useEffect(() => {
    if (typeof given === "function") void given().then(setOptions, () => undefined);
  }, []);
  return options.map((option) => {
    const { value, text } = typeof option === "string" ? { value: option, text: undefined } : option;
    return (
      <option key={value} value={value}>
        {text}
      </option>
    );
  });
}

/** Return the values without empty ones. */
export function withoutEmpty(values: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined && value !== ""));
}
