// The JSON schemas of request bodies, as the server's own OpenAPI document has them, and values that follow them.

import { AthenaError, type Fault, type Operation } from "@projectathena/client";

export type Value = unknown;
export type Members = Readonly<Record<string, Value>>;

/** The part of JSON Schema that the server writes. */
export interface Schema {
  readonly $ref?: string;
  readonly oneOf?: readonly Schema[];
  readonly type?: string | readonly string[];
  /** The label. Default: made of the name. */
  readonly title?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly additionalProperties?: Schema | boolean;
  readonly enum?: readonly string[];
  /** What the values of `enum` are called. */
  readonly enumNames?: readonly string[];
  readonly default?: unknown;
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
}

/** Return the schema of a text on one line. */
export const textLine = (description = "", title?: string): Schema => ({ type: "string", maxLength: 1_000, description, ...(title && { title }) });

interface Route {
  readonly operationId: string;
  readonly description?: string;
  readonly requestBody?: { readonly content: { readonly "application/json": { readonly schema: Schema } } };
}

/** The OpenAPI document of the server. */
export interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Route>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

let document: Promise<Document> | undefined;

/** Return the document, read at the first use. Throws TypeError without an answer. */
export function loadDocument(): Promise<Document> {
  document ??= fetch("/openapi.json").then((answer) => answer.json());
  document.catch(() => {
    document = undefined;
  });
  return document;
}

const REF = "#/components/schemas/";

/** Return a schema without references at its top. Of several forms, the last one is the most explicit. */
export function resolved(of: Document | undefined, schema: Schema): Schema {
  const { $ref, oneOf, ...rest } = schema;
  const target = $ref ? of?.components.schemas[$ref.slice(REF.length)] : oneOf?.at(-1);
  return target ? { ...resolved(of, target), ...rest } : schema;
}

/** Return the description of an operation and the schema of its body. */
export function bodyOf(of: Document, { id }: Operation<unknown>): { readonly about: string; readonly schema: Schema } {
  const route = Object.values(of.paths)
    .flatMap((methods) => Object.values(methods))
    .find(({ operationId }) => operationId === id);
  return { about: route?.description ?? "", schema: resolved(of, route?.requestBody?.content["application/json"].schema ?? {}) };
}

export const isObject = (value: Value): value is Members => typeof value === "object" && value !== null && !Array.isArray(value);

/** Return the members with one changed; `undefined` removes it. */
export function withMember(members: Members, name: string, value: Value): Members {
  const { [name]: _, ...rest } = members;
  return value === undefined ? rest : name in members ? { ...members, [name]: value } : { ...rest, [name]: value };
}

/** Return the value that a new field starts with: its required members, empty. */
export function emptyOf(of: Document | undefined, given: Schema): Value {
  const schema = resolved(of, given);
  if (schema.type === "array") return schema.minItems ? [emptyOf(of, schema.items ?? {}) ?? null] : [];
  if (schema.type === "object")
    return Object.fromEntries(
      (schema.required ?? []).map((name) => [name, emptyOf(of, schema.properties?.[name] ?? {})]).filter(([, value]) => value !== undefined),
    );
  return undefined;
}

/** Return the members that a schema has, to send back what was read. */
export function known(schema: Schema, value: Members): Members {
  return Object.fromEntries(Object.entries(value).filter(([name, member]) => name in (schema.properties ?? {}) && member !== null));
}

/** Return what the server found wrong in a body, by field. */
export function faultsOf(error: unknown): readonly Fault[] {
  return error instanceof AthenaError && Array.isArray(error.details) ? error.details : [];
}

/** A leaf that differs between two documents. */
export interface Change {
  readonly path: string;
  readonly before: Value;
  readonly after: Value;
}

/** Return the leaves that differ, in the order of the new document. */
export function changesOf(before: Value, after: Value, path = ""): readonly Change[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  if (!isTree(before) && !isTree(after)) return [{ path, before, after }];
  const [old, fresh] = [isTree(before) ? before : {}, isTree(after) ? after : {}] as readonly [Members, Members];
  const names = [...new Set([...Object.keys(fresh), ...Object.keys(old)])];
  if (!names.length) return [{ path, before, after }];
  const isList = Array.isArray(after ?? before);
  return names.flatMap((name) => changesOf(old[name], fresh[name], isList ? `${path}[${name}]` : path ? `${path}.${name}` : name));
}

const isTree = (value: Value): boolean => typeof value === "object" && value !== null;

const UNITS: Readonly<Record<string, string>> = { usd: " (USD)", ms: " (ms)", seconds: " (seconds)" };
const PARTS = /A2A|[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+/g;

/** Words of names that labels write in capitals, as the command line does. */
const CAPITALS = ["a2a", "api", "cpu", "csv", "dlq", "http", "json", "mcp", "sse", "tls", "url", "utc"];

/**
 * Return the name of a member as a label: `budgetUsd` is `Budget (USD)`, `jsonDepthMax` is `Max JSON depth`.
 *
 * The label of a shown member has no unit of time, because its value has.
 */
export function labelOf(name: string, shown = false): string {
  if (!/^\w+$/.test(name)) return name;
  const parts = LABELS[name]?.split(" ") ?? (name.match(PARTS) ?? []).map((part) => part.toLowerCase());
  const bound = /^(max|min)$/.test(parts.at(-1) ?? "") ? parts.splice(-1) : [];
  const unit = name in LABELS ? undefined : UNITS[parts.at(-1) ?? ""];
  if (unit) parts.pop();
  const words = [...bound, ...parts].map((part) => (CAPITALS.includes(part) ? part.toUpperCase() : part)).join(" ");
  return words.charAt(0).toUpperCase() + words.slice(1) + (shown && unit !== UNITS.usd ? "" : (unit ?? ""));
}

const LABELS: Readonly<Record<string, string>> = {
  ...{ harnessProfileId: "agent (profile)", runTemplateId: "template", directiveId: "directive", workflowId: "workflow", sessionId: "session" },
  ...{ createdAt: "created", updatedAt: "updated", finishedAt: "ended", startedAt: "started", expiresAt: "expires", lastUsedAt: "last used" },
  ...{
    auditComment: "reason",
    load: "at the time",
    everyMinutes: "every (minutes)",
    runId: "run",
    parentRunId: "parent run",
    tokenId: "token",
    messageId: "message",
  },
  ...{ revokedAt: "revoked", nextRunAt: "next run", lastRunAt: "last run", lastMessageAt: "last message", oldestItemSince: "oldest item" },
};
