// The form that answers a question.

import type { Ask } from "@projectathena/client";
import type { ComponentChildren, JSX } from "preact";
import { useSignal } from "../component";
import { type FormField, fieldsOf, valuesOf } from "../state/ask_form";
import { type Field, Input } from "./actions";

/** Asks for the values of a question, and submits them. */
export function AskForm(props: {
  ask: Ask;
  disabled: boolean;
  submit: (values: Readonly<Record<string, unknown>>) => void;
  /** Further buttons. */
  children: ComponentChildren;
}): JSX.Element {
  const texts = useSignal<Readonly<Record<string, string>>>({});
  const fault = useSignal<string | undefined>(undefined);
  const fields = fieldsOf(props.ask.form ?? {});
  const submit = (event: Event): void => {
    event.preventDefault();
    const found = valuesOf(fields, texts.value);
    fault.value = found.fault;
    if (!found.fault) props.submit(found.values);
  };
  return (
    <form class="answer" onSubmit={submit}>
      {fields.map((field) => (
        <Input
          key={field.name}
          field={inputOf(props.ask.id, field)}
          value={texts.value[field.name] ?? field.initial}
          set={(text) => (texts.value = { ...texts.value, [field.name]: text })}
        />
      ))}
      {fault.value && (
        <p class="bad" role="alert">
          {fault.value}
        </p>
      )}
      <p class="answers">
        <button type="submit" class="primary" disabled={props.disabled}>
          Answer
        </button>
        {props.children}
      </p>
    </form>
  );
}

const KINDS = { text: "area", integer: "text", number: "text", boolean: "choice", choice: "choice" } as const;
const YES_OR_NO = [
  { value: "true", text: "Yes" },
  { value: "false", text: "No" },
];

function inputOf(askId: string, { name, label, hint, kind, options, required }: FormField): Field {
  const choices = kind === "boolean" ? YES_OR_NO : options;
  return {
    ...{ name: `${askId}-${name}`, label, hint, required, kind: KINDS[kind], rows: 1 },
    ...(choices.length && { options: [{ value: "", text: "" }, ...choices] }),
  };
}
