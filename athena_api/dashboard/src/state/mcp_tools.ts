// What changed in the tool of an MCP server since it was accepted.

import { visible } from "../format";
import { type CallPart, difference } from "./call_text";

/** The definition of a tool: the texts and schemas that models read. */
export interface ToolDefinition {
  readonly title?: string | null | undefined;
  readonly description?: string | null | undefined;
  readonly inputSchema?: unknown;
  readonly outputSchema?: unknown;
  readonly annotations?: unknown;
}

const TITLES: readonly (readonly [keyof ToolDefinition, string])[] = [
  ["title", "Title"],
  ["description", "Description"],
  ["inputSchema", "Arguments"],
  ["outputSchema", "Result"],
  ["annotations", "Hints"],
];

const shown = (value: unknown): string => (value === undefined || value === null ? "" : typeof value === "string" ? value : JSON.stringify(value, null, 2));

/** Return the parts of a definition. Texts show every character that could not be seen. */
export function toolParts(tool: ToolDefinition): readonly CallPart[] {
  const parts = TITLES.map(([name, title]) => ({ title, text: shown(tool[name]) }));
  return parts.filter(({ text }) => text).map(({ title, text }) => ({ title, blocks: [{ text: visible(text) }] }));
}

/** Return the parts that differ, each as a diff. */
export function toolChanges(before: ToolDefinition, after: ToolDefinition): readonly CallPart[] {
  const parts = TITLES.map(([name, title]) => ({ title, old: shown(before[name]), fresh: shown(after[name]) }));
  return parts.filter(({ old, fresh }) => old !== fresh).map(({ title, old, fresh }) => ({ title, blocks: difference(old, fresh) }));
}
