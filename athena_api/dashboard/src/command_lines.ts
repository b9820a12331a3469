// The command lines of an action: the request as an athena, curl or Python command.

import { type Operation, pathOf, type RequestParts } from "@projectathena/client";
import { caller } from "./state/caller";

const DEFAULT = "http://127.0.0.1:8787";

/** Quote a word of a command line for a shell. */
export function quoted(text: string): string {
  return /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Flag names that differ from the member name; as in athena_cli/flags.py. */
const NAMES: Readonly<Record<string, string>> = {
  directiveId: "directive",
  harnessProfileId: "profile",
  parentRunId: "parent",
  runId: "run",
  runTemplateId: "template",
  sessionId: "session",
  sessionStrategy: "strategy",
  templateId: "template",
  workflowId: "workflow",
};

function flag(name: string): string {
  return `--${(NAMES[name] ?? name).replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** Flag names of hand-written commands. */
const OWN_FLAGS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  cancelRunByRunId: { runId: "--run" },
  drainWork: { sessionId: "--session" },
};

/** Return the curl command of a request. */
export function curlOf(operation: Operation<unknown>, parts: RequestParts): string {
  const words = ["curl"];
  if (operation.method !== "GET") words.push("-X", operation.method);
  words.push(quoted(location.origin + pathOf(operation, parts)));
  if (caller.value?.token) words.push("-H", '"Authorization: Bearer $ATHENA_TOKEN"');
  if (parts.idempotencyKey) words.push("-H", quoted(`Idempotency-Key: ${parts.idempotencyKey}`));
  if (parts.respondAsync) words.push("-H", quoted("Prefer: respond-async"));
  if (parts.body && Object.keys(parts.body).length) words.push("-d", quoted(JSON.stringify(parts.body)));
  return words.join(" ");
}

/** Return the athena command of a request. */
export function athenaOf(operation: Operation<unknown>, parts: RequestParts): string {
  const own = OWN_FLAGS[operation.id] ?? {};
  const words = ["athena", operation.command];
  for (const match of operation.path.matchAll(/:(\w+)/g)) {
    const name = match[1] ?? "";
    if (own[name]) words.push(own[name]);
    words.push(quoted(parts.path?.[name] ?? ""));
  }
  for (const [name, value] of Object.entries({ ...parts.query, ...parts.body })) {
    if (value === undefined || value === "") continue;
    const word = own[name] ?? flag(name);
    if (value === true) words.push(word);
    else words.push(word, quoted(typeof value === "object" ? JSON.stringify(value) : String(value)));
  }
  if (parts.respondAsync) words.push("--async");
  if (location.origin !== DEFAULT) words.push("--api-base-url", quoted(location.origin));
  return words.join(" ");
}

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Return a value as Python writes it. */
function pythonValue(value: unknown): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(pythonValue).join(", ")}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([name, member]) => `${JSON.stringify(name)}: ${pythonValue(member)}`)
    .join(", ")}}`;
}

/** Return the call of a request in the Python client. */
export function pythonOf(operation: Operation<unknown>, parts: RequestParts): string {
  const given: readonly (readonly [string, unknown])[] = Object.entries({ ...parts.query, ...parts.body, respondAsync: parts.respondAsync || undefined });
  const words = given.flatMap(([name, value]) => (value === undefined || value === "" ? [] : [`${snake(name)}=${pythonValue(value)}`]));
  const ids = [...operation.path.matchAll(/:(\w+)/g)].map(([, name = ""]) => JSON.stringify(parts.path?.[name] ?? ""));
  const { origin } = location;
  return `from athena_client import Athena; print(${/^list/.test(operation.id) ? "*" : ""}Athena(${JSON.stringify(origin)}).${snake(operation.id)}(${[...ids, ...words].join(", ")}))`;
}
