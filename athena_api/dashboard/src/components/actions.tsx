// Actions: the button of an operation, and its dialog.

import { effect, signal } from "@preact/signals";
import { AthenaError, type Fault, newKey, type Operation, type RequestParts } from "@projectathena/client";
import type { ComponentChildren, JSX } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { href, visit } from "../route";

import { isAllowed } from "../state/caller";
import { eventStream, state } from "../state/event_stream";
import type { SeenEvent } from "../state/events";
import { dialogOpen } from "../state/hold";
import { request } from "../state/instant";
import type { Members, Schema } from "../state/schema";
import { notify } from "./notices";
import { Fields } from "./schema_form";
import { Commands, ErrorMessage } from "./ui";

/** An action: an operation with its label, fields and messages. */
export interface ActionSpec<T> {
  readonly operation: Operation<T>;
  readonly label: string;
  readonly request: (values: Members) => RequestParts;
  /** The requests of an action on several subjects; `request` is the first of them. */
  readonly each?: (values: Members) => readonly RequestParts[];
  /** The text of the confirmation. Without a question and fields, the action runs at once. */
  readonly question?: string;
  readonly fields?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  /** The values that the fields start with. */
  readonly start?: Members;
  /** Return the faults of the values. */
  readonly check?: (values: Members) => readonly Fault[];
  /** What the action applies to, shown above the fields. */
  readonly subject?: (values: Members) => ComponentChildren;
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
  void visit.value;
  pending.value = undefined; // its subject is of another page or moment
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

/** A button that is busy while it acts, and then acts once. */
export function Busy(props: { label: string; act: () => Promise<void>; title?: string | undefined; disabled?: boolean }): JSX.Element {
  const { label, act, title, disabled = false } = props;
  const [busy, setBusy] = useState(false);
  const click = (): void => {
    if (busy) return;
    setBusy(true);
    void act().finally(() => setBusy(false));
  };
  return (
    <button type="button" title={title} disabled={disabled} aria-busy={busy} onClick={click}>
      {label}
    </button>
  );
}

/** A button that tries an act without doing it, and then opens the dialog of exactly what was found. */
export function Tried<T>({ operation, label, tried }: { operation: Operation<T>; label: string; tried: () => Promise<ActionSpec<T>> }): JSX.Element | null {
  if (!isAllowed(operation)) return null;
  const act = async (): Promise<void> => {
    try {
      openDialog(await tried());
    } catch (error) {
      if (!(error instanceof AthenaError)) throw error;
      notify(`${label}: ${error.code}: ${error.message}`, true);
    }
  };
  return <Busy label={`${label} …`} act={act} />;
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
  const [values, setValues] = useState<Members>(action.start ?? {});
  useLayoutEffect(() => element.current?.showModal(), []); // before the next key
  const reachable = state.value === "live" || state.value === "behind";
  useLayoutEffect(() => {
    if (reachable) setError((had) => (had?.code === "UNREACHABLE" ? undefined : had)); // its cause is gone
  }, [reachable]);
  const { fields = {}, required = [] } = action;
  const faults = action.check?.(values) ?? [];
  const filled = required.every((name) => values[name]) && !faults.length;
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
        <Fields form={{ faults }} path="" schema={{ properties: fields, required }} value={values} set={(next) => setValues(next as Members)} />
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
