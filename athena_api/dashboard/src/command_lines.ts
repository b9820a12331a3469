// What an action is on a command line: the same request with curl, and the athena command of its row.

import { pathOf, type RequestParts } from "./api";
import type { Operation } from "./generated";

const DEFAULT = "http://127.0.0.1:8787";

function quoted(text: string): string {
  return /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

function flag(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** The names of flags where a command has code of its own. */
const OWN_FLAGS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  createRun: { sessionId: "--session", harnessProfileId: "--profile", directiveId: "--directive" },
  cancelRunByRunId: { runId: "--run" },
};

/** The request with curl. */
export function curlOf(operation: Operation<unknown>, parts: RequestParts): string {
  const words = ["curl"];
  if (operation.method !== "GET") words.push("-X", operation.method);
  words.push(quoted(location.origin + pathOf(operation, parts)));
  if (parts.key) words.push("-H", quoted(`Idempotency-Key: ${parts.key}`));
  if (parts.detached) words.push("-H", quoted("Prefer: respond-async"));
  if (parts.body && Object.keys(parts.body).length) words.push("-d", quoted(JSON.stringify(parts.body)));
  return words.join(" ");
}

/** The command of athena. */
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
  if (parts.detached) words.push("--async");
  if (location.origin !== DEFAULT) words.push("--api-base-url", quoted(location.origin));
  return words.join(" ");
}
