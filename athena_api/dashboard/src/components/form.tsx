// One form for all requests with a body: its fields come from the schema of the operation.

import { AthenaError, type Fault, type RequestParts } from "@projectathena/client";
import type { JSX } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";
import { route } from "../route";
import { isAllowed } from "../state/caller";
import { request } from "../state/instant";
import { bodyOf, emptyOf, faultsOf, isObject, known, loadDocument, type Members, type Schema } from "../state/schema";
import { useIdempotencyKey } from "./actions";
import { FORMS, type FormRow, pathKey } from "./form_rows";
import { notify } from "./notices";
import { Fields, type FormState } from "./schema_form";
import { Commands, ErrorMessage, Panel } from "./ui";

/** What a form needs before it is shown. */
interface Loaded {
  readonly form: FormState;
  readonly about: string;
  readonly schema: Schema;
  readonly body: Members;
  readonly etag: string | undefined;
}

/** Read the schema, and the record that the form changes or copies. */
async function load(row: FormRow): Promise<Loaded> {
  const { of, ...given } = route.value.filters;
  const document = await loadDocument();
  const { about, schema } = bodyOf(document, row.operation);
  const { from } = row;
  const key = from && pathKey(from);
  const found = from && (of || !key) ? await request(from, key ? { path: { [key]: of ?? "" } } : {}) : undefined;
  const record = isObject(found?.data) ? found.data : {};
  const shaped = row.shape ? await row.shape(schema, record) : schema;
  const empty = emptyOf(document, shaped);
  const start = { ...(isObject(empty) && empty), ...row.start, ...(row.body ? row.body(record) : record) };
  return { form: { document, faults: [] }, about, schema: shaped, body: known(shaped, { ...start, ...given }), etag: found?.etag };
}

export function Form(): JSX.Element {
  const row = FORMS[route.value.id ?? ""];
  const [loaded, setLoaded] = useState<Loaded>();
  const [error, setError] = useState<AthenaError>();
  useLayoutEffect(() => {
    if (row && isAllowed(row.operation))
      load(row).then(setLoaded, (failure: unknown) => {
        setError(
          failure instanceof AthenaError
            ? failure
            : new AthenaError({ code: "UNREACHABLE", message: "The schema of the form cannot be read. Reload the page." }),
        );
      });
  }, []);
  if (!row) return <h1>Form not found: {route.value.id}</h1>;
  return (
    <>
      <h1>
        {row.title} <span class="quiet">{route.value.filters.of}</span>
      </h1>
      {!isAllowed(row.operation) && <p class="trouble">Your role does not allow this.</p>}
      {error && <ErrorMessage error={error} />}
      {loaded ? <OpenForm row={row} {...loaded} /> : !error && isAllowed(row.operation) && <p class="empty">Loading …</p>}
    </>
  );
}

function OpenForm({ row, form, about, schema, body, etag }: Loaded & { row: FormRow }): JSX.Element {
  const [value, setValue] = useState(body);
  const [draft, setDraft] = useState<string>(); // JSON that cannot be read yet
  const [error, setError] = useState<AthenaError>();
  const [early, setEarly] = useState<readonly Fault[]>([]); // found before it is sent
  const [busy, setBusy] = useState(false);
  const [result, setResult] = useState<JSX.Element>();
  const [key, answered] = useIdempotencyKey();
  const name = pathKey(row.operation);
  const { of = "" } = route.value.filters;
  const parts: RequestParts = {
    ...(name ? { path: { [name]: of } } : {}),
    body: value,
    idempotencyKey: key,
    ...(etag && row.operation.method === "PUT" ? { ifMatch: etag } : {}),
    ...(row.operation.waits ? { respondAsync: true } : {}),
  };
  useLayoutEffect(() => globalThis.document.querySelector<HTMLElement>("form :is(input, select, textarea)")?.focus(), []);
  useLayoutEffect(() => {
    if (error) globalThis.document.querySelector<HTMLElement>("form [aria-invalid=true]")?.focus();
  }, [error]);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    setBusy(true);
    try {
      const { data } = await request(row.operation, parts);
      answered(undefined);
      setError(undefined);
      if (row.result) return setResult(row.result(data as Members));
      location.hash = row.to?.(data as Members, of) ?? "";
      notify(row.done ?? "Saved.");
    } catch (failure) {
      if (!(failure instanceof AthenaError)) throw failure;
      answered(failure);
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  if (result) return result;
  const state = { ...form, faults: [...early, ...faultsOf(error).filter(({ field }) => !early.some((fault) => fault.field === field))] };
  return (
    <div class="columns form">
      <form class="panel" onSubmit={(event) => void submit(event)}>
        <p class="quiet">{about.split("\n")[0]}</p>
        <fieldset disabled={draft !== undefined}>
          <Fields form={state} path="" schema={schema} value={value} set={(next) => setValue(next as Members)} {...(row.first ? { first: row.first } : {})} />
        </fieldset>
        {row.below?.(value)}
        {error && <ErrorMessage error={error} />}
        <footer>
          <button type="submit" class="primary" disabled={busy || draft !== undefined}>
            {row.act}
          </button>
        </footer>
      </form>
      <div class="stack">
        {row.beside?.(value, setEarly)}
        <Panel title="Request">
          <JsonBody value={value} draft={draft} set={setValue} setDraft={setDraft} />
          {draft === undefined && <Commands operation={row.operation} request={parts} />}
        </Panel>
      </div>
    </div>
  );
}

/** The body as JSON. Both ways: it shows what the fields have, and the fields show what it has. */
function JsonBody(props: {
  value: Members;
  draft: string | undefined;
  set: (value: Members) => void;
  setDraft: (draft: string | undefined) => void;
}): JSX.Element {
  const { value, draft, set, setDraft } = props;
  const [text, setText] = useState<string>(); // while it is edited, as it was typed
  const take = (typed: string): void => {
    setText(typed);
    try {
      const body: unknown = JSON.parse(typed);
      if (!isObject(body)) throw new SyntaxError("an object is needed");
      set(body);
      setDraft(undefined);
    } catch {
      setDraft(typed);
    }
  };
  return (
    <div class="field">
      <label>
        <span>JSON</span>
        <textarea
          class="mono"
          rows={14}
          spellcheck={false}
          aria-invalid={draft !== undefined}
          value={text ?? JSON.stringify(value, null, 2)}
          onInput={({ currentTarget }) => take(currentTarget.value)}
          onBlur={() => draft === undefined && setText(undefined)}
        />
      </label>
      {draft !== undefined && (
        <small class="bad" role="status">
          This is not a JSON object. The fields wait until it is.
        </small>
      )}
    </div>
  );
}
