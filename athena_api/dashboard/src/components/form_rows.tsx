// The forms: a row for each operation with a body that people write.

import type { Fault, Operation, Workflow } from "@projectathena/client";
import {
  createDirective,
  createHarnessProfile,
  createRun,
  createRunTemplate,
  createSchedule,
  createToken,
  createWorkflow,
  enqueueWork,
  getDirective,
  getHarnessProfile,
  getPolicy,
  getRunTemplate,
  getSchedule,
  getWorkflow,
  putPolicy,
  recordMemory,
  redriveA2aDlq,
  runPersona,
  runTemplate,
  runWorkflow,
  sendA2aMessage,
  updateRunTemplate,
  updateSchedule,
} from "@projectathena/client/operations";
import type { JSX } from "preact";
import { NextTimes } from "../pages/schedules";
import { href, route } from "../route";
import { request } from "../state/instant";
import type { Members, Schema } from "../state/schema";
import { PolicySimulation } from "./policy";
import { Command, Panel } from "./ui";

/** A form: the operation that it sends, and its particular parts. */
export interface FormRow {
  readonly operation: Operation<unknown>;
  readonly title: string;
  /** The label of its button. */
  readonly act: string;
  /** The fields that are not folded. Default: all. */
  readonly first?: readonly string[];
  readonly start?: Members;
  /** The record that it changes or copies, read by the parameter `of` of the address, if it has one in its path. */
  readonly from?: Operation<unknown>;
  /** Return the body of that record. Default: its members that the schema has. */
  readonly body?: (record: Members) => Members;
  /** Complete the schema by that record. */
  readonly shape?: (schema: Schema, record: Members) => Promise<Schema>;
  /** Shown after the fields. */
  readonly below?: (body: Members) => JSX.Element;
  /** Shown beside the fields. `mark` shows faults at them. */
  readonly beside?: (body: Members, mark: (faults: readonly Fault[]) => void) => JSX.Element;
  /** The message after success. */
  readonly done?: string;
  /** Return the page after success. */
  readonly to?: (data: Members, of: string) => string;
  /** Show the answer instead of another page. */
  readonly result?: (data: Members) => JSX.Element;
}

/** Return the parameter in the path of an operation. */
export const pathKey = ({ path }: Operation<unknown>): string | undefined => /:(\w+)/.exec(path)?.[1];

const record =
  (page: string, key = "id") =>
  (data: Members): string =>
    href(page, String(data[key]));

const RUN = { done: "Run accepted.", to: record("runs", "runId") };
const SCHEDULE = {
  first: ["id", "sessionId", "input", "cron", "timezone", "everyMinutes", "harnessProfileId", "workflowId"],
  from: getSchedule,
  beside: (body, mark) => <NextTimes of={body} mark={mark} />,
  to: record("schedules"),
} satisfies Partial<FormRow>;
const PROFILE_START = { version: "v2", config: { tools: [] }, policies: { timeoutMs: 600_000, retryLimit: 3, budgetUsd: 1 } };

const PLACEHOLDER = /\{\{ *([A-Za-z_]\w*) *\}\}/g;

const placeholders = (text: unknown): readonly string[] => [...String(text ?? "").matchAll(PLACEHOLDER)].map((match) => match[1] ?? "");

/** Return an object schema with a text for each name, except those with a default required. */
function texts(names: readonly string[], defaults: Members = {}): Schema {
  const of = (name: string): Schema => ({ type: "string", description: name in defaults ? `Default: ${defaults[name]}` : "" });
  return { type: "object", properties: Object.fromEntries(names.map((name) => [name, of(name)])), required: names.filter((name) => !(name in defaults)) };
}

const withProperty = (schema: Schema, name: string, of: Schema): Schema => ({
  ...schema,
  properties: { ...schema.properties, [name]: { ...of, description: schema.properties?.[name]?.description ?? "" } },
  required: of.required?.length ? [name] : [],
});

/** Return the schema with the parameters of a template. */
async function shapeOfTemplate(schema: Schema, { paramsSchema, directiveTemplate, defaultParams }: Members): Promise<Schema> {
  return withProperty(schema, "params", (paramsSchema as Schema) ?? texts(placeholders(directiveTemplate), defaultParams as Members));
}

/** Return the schema with the placeholders in the directives of a workflow that no step fills. */
async function shapeOfWorkflow(schema: Schema, workflow: Members): Promise<Schema> {
  const { steps, dependencies } = (workflow as unknown as Workflow).definition;
  const ids = [...new Set(steps.flatMap(({ directiveId }) => directiveId ?? []))];
  const found = await Promise.all(ids.map((directiveId) => request(getDirective, { path: { directiveId } })));
  const inputs = new Map(found.map(({ data }) => [data.id, placeholders(data.input)]));
  const open = steps.flatMap(({ id, directiveId = "", map }) => {
    const filled = dependencies.flatMap(({ to, mappings = [] }) => (to === id ? mappings.map(({ toInput }) => toInput) : []));
    if (map) filled.push(map.itemName ?? "item", "index");
    return [...(map?.input ? [map.input] : []), ...(inputs.get(directiveId ?? "") ?? []).filter((name) => !filled.includes(name))];
  });
  return withProperty(schema, "input", texts([...new Set(open)]));
}

/** The forms by their operation: `#/form/createRun`. */
export const FORMS: Readonly<Record<string, FormRow>> = Object.fromEntries(
  (
    [
      { operation: createRun, title: "Start a run", act: "Start", first: ["input", "sessionId", "harnessProfileId", "provider", "model"], ...RUN },
      { operation: createSchedule, title: "New schedule", act: "Create", ...SCHEDULE },
      { operation: updateSchedule, title: "Edit schedule", act: "Save", ...SCHEDULE },
      {
        ...{
          operation: createHarnessProfile,
          title: "New agent (profile)",
          act: "Create",
          start: PROFILE_START,
          from: getHarnessProfile,
        },
        ...{ first: ["displayName", "version", "config", "policies"], to: record("profiles") },
      },
      { operation: createRunTemplate, title: "New template", act: "Create", from: getRunTemplate, to: record("templates") },
      { operation: updateRunTemplate, title: "Edit template", act: "Save", from: getRunTemplate, to: record("templates") },
      {
        operation: runTemplate,
        title: "Run template",
        act: "Start",
        from: getRunTemplate,
        body: () => ({ params: {} }),
        shape: shapeOfTemplate,
        ...RUN,
      },
      { operation: createDirective, title: "New directive", act: "Create", from: getDirective, to: record("directives") },
      { operation: createWorkflow, title: "New workflow", act: "Create", from: getWorkflow, to: record("workflows") },
      {
        ...{ operation: runWorkflow, title: "Run workflow", act: "Start", from: getWorkflow, body: () => ({ input: {} }) },
        ...{ shape: shapeOfWorkflow, done: "Started.", to: record("workflows") },
      },
      { operation: runPersona, title: "Start a review", act: "Start", first: ["name", "repoPath", "headRef", "baseRef"], to: record("reviews", "runId") },
      { operation: sendA2aMessage, title: "Send a message", act: "Send", done: "Sent.", to: record("messages", "messageId") },
      { operation: enqueueWork, title: "Add to a queue", act: "Add", done: "Added. It waits until the queue is drained.", to: record("queues", "sessionId") },
      { operation: redriveA2aDlq, title: "Requeue many", act: "Requeue", done: "Accepted.", to: () => href("letters") },
      { operation: recordMemory, title: "New memory entry", act: "Create", to: record("memory") },
      { operation: createToken, title: "New token", act: "Create", start: { role: "Operator" }, result: (data) => <Secret data={data} /> },
      {
        ...{
          operation: putPolicy,
          title: "Change limits",
          act: "Save",
          from: getPolicy,
          below: ({ policy }) => <PolicySimulation title="Simulate before you save" act="Simulate" policy={policy} runId={route.value.filters.runId} />,
        },
        ...{ body: policyBody, done: "The new limits are in force.", to: () => href("policy") },
      },
    ] satisfies readonly FormRow[] as readonly FormRow[]
  ).map((row) => [row.operation.id, row]),
);

function policyBody({ updatedAt: _, ...policy }: Members): Members {
  return { policy: { schemaVersion: 1, ...policy } };
}

/** The text of a new token. It is in this answer only. */
function Secret({ data }: { data: Members }): JSX.Element {
  return (
    <Panel title="Token created">
      <p role="status">
        Copy it now: it is shown only once. It acts as <b>{String(data.identity)}</b>, {String(data.role)}.
      </p>
      <Command line={String(data.token)} />
      <p>
        <a href={href("tokens")}>All tokens</a>
      </p>
    </Panel>
  );
}
