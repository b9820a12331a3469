// The form that answers a question.

import type { Ask } from "@projectathena/client";
import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";
import { visible } from "../format";
import { isObject, type Members, type Schema } from "../state/schema";
import { Fields } from "./schema_form";

/** Asks for the values of a question, and submits them. */
export function AskForm(props: {
  ask: Ask;
  disabled: boolean;
  submit: (values: Members) => void;
  /** Further buttons. */
  children: ComponentChildren;
}): JSX.Element {
  const { ask, disabled, submit, children } = props;
  const { properties, required } = (ask.form ?? {}) as Schema;
  const given = Object.entries(isObject(properties) ? properties : {}).filter(([, of]) => isObject(of));
  const [values, setValues] = useState<Members>(() => Object.fromEntries(given.flatMap(([name, of]) => ("default" in of ? [[name, of.default]] : []))));
  const schema = {
    properties: Object.fromEntries(given.map(([name, of]) => [name, shown(name, of)])),
    ...(Array.isArray(required) && { required }),
  };
  return (
    <form
      class="answer"
      onSubmit={(event) => {
        event.preventDefault();
        submit(values);
      }}
    >
      <Fields form={{}} path={ask.id} schema={schema} value={values} set={(next) => setValues(next as Members)} />
      <p class="answers">
        <button type="submit" class="primary" disabled={disabled}>
          Answer
        </button>
        {children}
      </p>
    </form>
  );
}

/** Return the schema of a field of a question, with a label in which every character can be seen. */
function shown(name: string, given: Schema): Schema {
  const { title, type, enum: choices, default: _, ...others } = given;
  return {
    ...others,
    type: typeof type === "string" ? type : "string",
    title: visible(String(title ?? name)),
    ...(Array.isArray(choices) && { enum: choices }),
  };
}
