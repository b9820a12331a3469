// The form of a question: a subset of JSON Schema, as fields of text.

import { visible } from "../format";

/** A field of a form. */
export interface FormField {
  readonly name: string;
  readonly label: string;
  readonly hint: string;
  readonly kind: "text" | "number" | "integer" | "boolean" | "choice";
  readonly options: readonly string[];
  readonly required: boolean;
  readonly initial: string;
}

type Schema = Readonly<Record<string, unknown>>;

const isSchema = (value: unknown): value is Schema => typeof value === "object" && value !== null && !Array.isArray(value);
const textOf = (value: unknown): string => (typeof value === "string" ? visible(value) : "");

/** Return the fields of a form, in its order. */
export function fieldsOf(form: Schema): readonly FormField[] {
  const required = Array.isArray(form.required) ? form.required : [];
  const properties = isSchema(form.properties) ? Object.entries(form.properties) : [];
  return properties.map(([name, found]) => {
    const schema = isSchema(found) ? found : {};
    const options = Array.isArray(schema.enum) && schema.enum.every((one) => typeof one === "string") ? (schema.enum as string[]) : [];
    const { default: given } = schema;
    return {
      ...{ name, label: textOf(schema.title) || visible(name), hint: textOf(schema.description), options },
      ...{ kind: kindOf(schema, options), required: required.includes(name) },
      initial: given === undefined ? "" : typeof given === "string" ? given : JSON.stringify(given),
    };
  });
}

function kindOf({ type }: Schema, options: readonly string[]): FormField["kind"] {
  if (options.length) return "choice";
  return type === "number" || type === "integer" || type === "boolean" ? type : "text";
}

/** Return the values of filled fields, or the first fault. Fields without a text are left out. */
export function valuesOf(fields: readonly FormField[], texts: Readonly<Record<string, string>>): { values: Readonly<Record<string, unknown>>; fault?: string } {
  const values: [string, unknown][] = [];
  for (const field of fields) {
    const text = texts[field.name] ?? field.initial;
    if (text === "") {
      if (field.required) return { values: {}, fault: `${field.label} is required.` };
      continue;
    }
    const value = read(field, text);
    if (value === undefined) return { values: {}, fault: `${field.label} must be ${KINDS[field.kind] ?? "a text"}.` };
    values.push([field.name, value]);
  }
  return { values: Object.fromEntries(values) };
}

const KINDS: Readonly<Record<string, string>> = {
  number: "a number",
  integer: "a whole number",
  boolean: "yes or no",
  choice: "one of the choices",
  json: "JSON",
};

function read({ kind, options }: FormField, text: string): unknown {
  switch (kind) {
    case "number":
    case "integer": {
      const value = Number(text);
      return Number.isFinite(value) && (kind === "number" || Number.isInteger(value)) ? value : undefined;
    }
    case "boolean":
      return text === "true" ? true : text === "false" ? false : undefined;
    case "choice":
      return options.includes(text) ? text : undefined;
    default:
      return text;
  }
}
