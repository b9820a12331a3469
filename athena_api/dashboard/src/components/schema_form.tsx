// The fields of a JSON schema.

import type { Fault, Operation } from "@projectathena/client";
import { listDirectives, listHarnessProfiles, listRuns, listRunTemplates, listSessions, listWorkflows } from "@projectathena/client/operations";
import type { ComponentChildren, JSX, TargetedEvent } from "preact";
import { useState } from "preact/hooks";
import { plain, visible } from "../format";
import { isAllowed } from "../state/caller";
import { capabilities } from "../state/event_stream";
import { request } from "../state/instant";
import { type Document, emptyOf, isObject, labelOf, type Members, resolved, type Schema, type Value, withMember } from "../state/schema";
import { localTime, ofInput } from "./ui";

/** What all fields of a form share: the schemas that they refer to, and the faults that were found. */
export interface FormState {
  readonly document?: Document;
  readonly faults?: readonly Fault[];
}

interface FieldProps {
  readonly form: FormState;
  readonly name: string;
  /** Default: made of the name. */
  readonly label?: string;
  /** The place in the body, as faults name it: `limits[0].max`. */
  readonly path: string;
  readonly schema: Schema;
  readonly required?: boolean;
  readonly value: Value;
  readonly set: (value: Value) => void;
}

/** The inputs of texts with a format. */
const INPUTS: Readonly<Record<string, "date" | "email" | "url">> = { date: "date", email: "email", uri: "url" };
const AREA_CHARS = 10_000; // longer texts have lines
const OPTIONS_MAX = 200;

type Option = readonly [value: string, text?: string];

const listed =
  (operation: Operation<unknown>, nameOf: (item: Members) => unknown = () => undefined) =>
  async (): Promise<readonly Option[]> => {
    if (!isAllowed(operation)) return [];
    const { items } = (await request(operation, { query: { limit: OPTIONS_MAX } })).data as { readonly items: readonly Members[] };
    return items.map((item) => [String(item.id), String(nameOf(item) ?? "").slice(0, 60)]);
  };

/** Suggested values, by the name of the field. */
const SUGGESTED: Readonly<Record<string, () => Promise<readonly Option[]>>> = {
  harnessProfileId: listed(listHarnessProfiles, ({ displayName }) => displayName),
  runTemplateId: listed(listRunTemplates, ({ directiveTemplate }) => directiveTemplate),
  directiveId: listed(listDirectives, ({ input }) => input),
  workflowId: listed(listWorkflows),
  sessionId: listed(listSessions),
  model: async () => {
    const used = (await request(listRuns, { query: { limit: 50 } })).data.items.map(({ model }) => model);
    const { items } = (await request(listHarnessProfiles, { query: { limit: OPTIONS_MAX } })).data;
    return [...new Set([...items.map(({ config }) => config.model), ...used])].sort().map((name) => [name]);
  },
  provider: async () => (capabilities.value?.providers ?? []).map((name) => [name]),
  timezone: async () => Intl.supportedValuesOf("timeZone").map((name) => [name]),
  cron: async () => [["0 2 * * *", "nightly at 2:00"], ["0 * * * *", "hourly"], ["0 8 * * 1-5", "weekdays at 8:00"], ["@daily"], ["@weekly"]],
};

const nameOf = ({ name, label, schema }: FieldProps): string => label ?? schema.title ?? labelOf(name);

const faultsOf = ({ form: { faults = [] }, path }: FieldProps): readonly Fault[] => faults.filter(({ field }) => field === path);

/** A field of a schema, with its description and the fault that the server found in it. */
export function SchemaField(props: FieldProps): JSX.Element {
  const schema = resolved(props.form.document, props.schema);
  const { type } = schema;
  const next = { ...props, schema };
  if (type === "object" && schema.properties) return <ObjectField {...next} />;
  if (type === "array" && schema.items) return <ListField {...next} />;
  if (type === "object" && isObject(schema.additionalProperties)) return <MapField {...next} />;
  return (
    <div class="field">
      <label class={props.required ? "required" : ""}>
        <span>{nameOf(props)}</span>
        <Control {...next} />
      </label>
      <Notes {...next} />
    </div>
  );
}

function Notes(props: FieldProps): JSX.Element {
  const { description } = props.schema;
  return (
    <small id={`note-${props.path}`}>
      {typeof description === "string" && visible(description.replaceAll("`", ""))}
      {faultsOf(props).map(({ reason, remedy }) => (
        <b class="bad" role="alert" key={reason}>
          {visible(reason)}
          {remedy && ` (${visible(remedy)})`}
        </b>
      ))}
    </small>
  );
}

function Control(props: FieldProps): JSX.Element {
  const { name, path, schema, required = false, value, set } = props;
  const common = {
    required,
    "data-path": path,
    "aria-describedby": `note-${path}`,
    "aria-invalid": faultsOf(props).length > 0,
  };
  const shown = typeof value === "string" || typeof value === "number" ? String(value) : "";
  const take = (event: TargetedEvent<HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement>): void => set(event.currentTarget.value || undefined);
  const { type, maxLength = Number.POSITIVE_INFINITY } = schema;
  const texts = schema.enum?.every((one) => typeof one === "string") ? schema.enum : undefined;
  const [choices, names = choices] =
    type === "boolean" && !texts
      ? [
          ["true", "false"],
          ["Yes", "No"],
        ]
      : [texts, schema.enumNames];
  if (type === "boolean" && schema.default === false)
    return <input type="checkbox" {...common} checked={value === true} onChange={({ currentTarget }) => set(currentTarget.checked || undefined)} />;
  if (choices)
    return (
      <select
        {...common}
        value={String(value ?? "")}
        onChange={({ currentTarget }) => set(type === "boolean" ? parsed(currentTarget.value) : currentTarget.value || undefined)}
      >
        {(!required || value === undefined) && <option value="">{required ? "Choose …" : "Not set"}</option>}
        {choices.map((one, index) => (
          <option key={one} value={one}>
            {names?.[index]}
          </option>
        ))}
      </select>
    );
  if (type === "integer" || type === "number")
    return (
      <input
        type="number"
        {...common}
        min={schema.minimum}
        max={schema.maximum}
        step={type === "integer" ? 1 : "any"}
        value={shown}
        onInput={({ currentTarget }) => set(currentTarget.value === "" ? undefined : currentTarget.valueAsNumber)}
      />
    );
  if (type !== "string") return <JsonControl value={value} set={set} common={common} />;
  if (schema.format === "date-time")
    return <input type="datetime-local" {...common} value={localTime(shown)} onInput={({ currentTarget }) => set(isoTime(currentTarget.value))} />;
  const isJson = schema.format === "json";
  const input = INPUTS[schema.format ?? ""];
  if (!input && maxLength > AREA_CHARS)
    return <textarea rows={isJson ? 12 : 4} class={isJson ? "mono" : ""} spellcheck={!isJson} {...common} value={shown} onInput={take} />;
  return <Suggesting name={name} common={{ ...common, ...(input && { type: input }) }} value={shown} take={take} />;
}

function Suggesting({
  name,
  common,
  value,
  take,
}: {
  name: string;
  common: object;
  value: string;
  take: (event: TargetedEvent<HTMLInputElement>) => void;
}): JSX.Element {
  const [options, setOptions] = useState<readonly Option[]>();
  const list = SUGGESTED[name] && `suggested-${name}`;
  const load = (): void => {
    if (!options) void SUGGESTED[name]?.().then(setOptions, () => undefined);
  };
  return (
    <>
      <input {...common} list={list} value={value} onInput={take} onFocus={load} spellcheck={false} autocomplete="off" />
      {list && (
        <datalist id={list}>
          {options?.map(([option, text]) => (
            <option key={option} value={option}>
              {text}
            </option>
          ))}
        </datalist>
      )}
    </>
  );
}

const parsed = (text: string): Value => (text ? JSON.parse(text) : undefined);

/** A value of any kind, as JSON. While it cannot be read, the value is the one before. */
function JsonControl({ value, set, common }: { value: Value; set: (value: Value) => void; common: object }): JSX.Element {
  const [draft, setDraft] = useState<string>();
  const take = ({ currentTarget }: TargetedEvent<HTMLTextAreaElement>): void => {
    setDraft(currentTarget.value);
    try {
      set(parsed(currentTarget.value));
      currentTarget.setCustomValidity("");
    } catch {
      currentTarget.setCustomValidity("This is not JSON. A text needs quotes.");
    }
  };
  return <textarea rows={2} class="mono" spellcheck={false} {...common} value={draft ?? JSON.stringify(value)} onInput={take} />;
}

// Values with parts

/** The frame of a value with parts. An optional one can be added and removed. */
function Group(props: FieldProps & { children: ComponentChildren }): JSX.Element {
  const { form, schema, required, value, set } = props;
  const label = nameOf(props);
  const absent = value === undefined;
  return (
    <fieldset class="group">
      <legend>{label}</legend>
      <Notes {...props} />
      {absent ? (
        <button type="button" class="small" onClick={() => set(emptyOf(form.document, schema))}>
          Add {label.toLowerCase()}
        </button>
      ) : (
        <>
          {props.children}
          {!required && (
            <button type="button" class="small" onClick={() => set(undefined)}>
              Remove {label.toLowerCase()}
            </button>
          )}
        </>
      )}
    </fieldset>
  );
}

function ObjectField(props: FieldProps): JSX.Element {
  return (
    <Group {...props}>
      <Fields {...props} />
    </Group>
  );
}

const SET_BY_MACHINES = ["schemaVersion", "updatedAt"];

/** The fields of an object; those not named `first` are folded. */
export function Fields({ form, path, schema, value, set, first }: Omit<FieldProps, "name"> & { first?: readonly string[] }): JSX.Element {
  const members = isObject(value) ? value : {};
  const all = Object.entries(schema.properties ?? {}).filter(([name]) => !SET_BY_MACHINES.includes(name));
  const field = ([name, of]: readonly [string, Schema]): JSX.Element => (
    <SchemaField
      key={name}
      form={form}
      name={name}
      path={path ? `${path}.${name}` : name}
      schema={of}
      required={schema.required?.includes(name) ?? false}
      value={members[name]}
      set={(changed) => set(withMember(members, name, changed))}
    />
  );
  if (!first) return <>{all.map(field)}</>;
  const others = all.filter(([name]) => !first.includes(name));
  const faulty = form.faults?.some((fault) => others.some(([name]) => fault.field.startsWith(name)));
  return (
    <>
      {first.map((name) => schema.properties?.[name] && field([name, schema.properties[name]]))}
      {others.length > 0 && (
        <details open={faulty || others.some(([name]) => name in members)}>
          <summary>More fields ({others.length})</summary>
          {others.map(field)}
        </details>
      )}
    </>
  );
}

function ListField(props: FieldProps): JSX.Element {
  const { form, name, path, schema, set } = props;
  const label = nameOf(props);
  const items = Array.isArray(props.value) ? props.value : [];
  const of = schema.items ?? {};
  return (
    <Group {...props}>
      {items.map((item, index) => (
        <div class="item" key={index}>
          <SchemaField
            form={form}
            name={name}
            label={`${label} ${index + 1}`}
            path={`${path}[${index}]`}
            schema={of}
            required
            value={item ?? undefined}
            set={(changed) => set(items.with(index, changed ?? null))}
          />
          <button type="button" class="small" aria-label={`Remove ${label.toLowerCase()} ${index + 1}`} onClick={() => set(items.toSpliced(index, 1))}>
            ✕
          </button>
        </div>
      ))}
      <button type="button" class="small" onClick={() => set([...items, emptyOf(form.document, of) ?? null])}>
        Add to {label.toLowerCase()}
      </button>
    </Group>
  );
}

function MapField(props: FieldProps): JSX.Element {
  const { form, path, schema, set } = props;
  const members = isObject(props.value) ? props.value : {};
  const [fresh, setFresh] = useState("");
  const label = nameOf(props).toLowerCase();
  const of = isObject(schema.additionalProperties) ? (schema.additionalProperties as Schema) : {};
  const add = (): void => {
    set({ ...members, [fresh]: members[fresh] ?? emptyOf(form.document, of) ?? "" });
    setFresh("");
  };
  return (
    <Group {...props}>
      {Object.entries(members).map(([name, value]) => (
        <div class="item" key={name}>
          <SchemaField
            form={form}
            name={name}
            label={name}
            path={`${path}.${name}`}
            schema={of}
            required
            value={value}
            set={(changed) => set({ ...members, [name]: changed ?? "" })}
          />
          <button type="button" class="small" aria-label={`Remove ${plain(name)}`} onClick={() => set(withMember(members, name, undefined))}>
            ✕
          </button>
        </div>
      ))}
      <div class="item">
        <input aria-label={`Name in ${label}`} value={fresh} onInput={({ currentTarget }) => setFresh(currentTarget.value)} />
        <button type="button" class="small" disabled={!fresh} onClick={add}>
          Add to {label}
        </button>
      </div>
    </Group>
  );
}

// Times

function isoTime(local: string): string | undefined {
  const at = ofInput(local);
  return Number.isNaN(at) ? undefined : new Date(at).toISOString();
}
