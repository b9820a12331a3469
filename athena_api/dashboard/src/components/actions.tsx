// Actions: a button for an operation, and the dialog that asks about it.

import { signal } from "@preact/signals";
import type { JSX, TargetedEvent } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ApiError, newKey, type RequestParts, request } from "../api";
import type { Operation } from "../generated";
import { href } from "../route";
import { isAllowed } from "../state/caller";
import { notify } from "./notices";
import { Commands, ErrorMessage } from "./ui";

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
  readonly after?: (data: T) => void;
}

/** The action that is asked about; its id makes each dialog another one. */
const pending = signal<{ readonly action: ActionSpec<unknown>; readonly id: number } | undefined>(undefined);
let dialogId = 0;

function openDialog<T>(action: ActionSpec<T>): void {
  pending.value = { action: action as ActionSpec<unknown>, id: ++dialogId };
}

/** Sends the request; returns its error, if there is one. */
async function perform<T>(action: ActionSpec<T>, parts: RequestParts): Promise<ApiError | undefined> {
  try {
    const { data } = await request(action.operation, parts);
    notify(action.done(data));
    action.after?.(data);
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

/** A button for an action, and a small one that shows its commands; neither where the role does not allow it. */
export function Action<T>({ action, label = action.label }: { action: ActionSpec<T>; label?: string }): JSX.Element | null {
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

/** The dialog of the action that is asked about. */
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
    if (pending.value?.id === id) pending.value = undefined; // it closes a moment later: the next one may be open already
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

/** Only the members that say something. */
export function withoutEmpty(values: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined && value !== ""));
}
