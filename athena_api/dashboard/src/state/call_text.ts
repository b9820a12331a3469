// A tool call as readable text: what a person approves.

import { quoted } from "../command_lines";
import { count, visible, visibleLine } from "../format";

/** Consecutive lines; in a diff those that a change takes away (`-`), adds (`+`) or leaves. */
export interface Block {
  readonly sign?: "-" | "+" | " ";
  readonly text: string;
}

/** A titled part of a call, in full. */
export interface CallPart {
  readonly title: string;
  readonly blocks: readonly Block[];
}

/** A call. Its texts show every character that could not be seen. */
export interface CallText {
  /** The call on one line. */
  readonly line: string;
  /** What the line does not contain. */
  readonly parts: readonly CallPart[];
  /** True if all of it is short enough to be read at a glance. */
  readonly brief: boolean;
}

type Arguments = Readonly<Record<string, unknown>>;

/** The words of the line, and the parts. */
interface Reading {
  readonly words: readonly string[];
  readonly parts: readonly CallPart[];
}

const LINE_CHARS = 300;
const BRIEF_CHARS = 600;
const BRIEF_LINES = 10;

const READINGS: Readonly<Record<string, (given: Arguments) => Reading | undefined>> = { shell, http, files };

/** Return a call as text. No argument is left out or cut. */
export function callText(toolName: string, json: string): CallText {
  const given = argumentsOf(json);
  const known = given && (READINGS[toolName] ?? (isAgentTool(toolName) ? agentCall : undefined))?.(given);
  const { words, parts } = known ?? { words: [toolName, json], parts: [partOf("Arguments", pretty(json))] };
  const all = known && !isExact(given, json) ? [...parts, partOf("Arguments as JSON, unchanged", json)] : parts;
  const whole = visibleLine(words.filter(Boolean).join(" "));
  const line = whole.length > LINE_CHARS ? `${whole.slice(0, LINE_CHARS)}…` : whole;
  const shown = line === whole || !known ? all : [partOf("The call", words.filter(Boolean).join(" ")), ...all];
  return { line, parts: shown, brief: line === whole && isBrief(shown) };
}

/** Return an exact text, such as the question of a person with its form, with all of its characters. */
export const exactText = (exact: string): CallText => {
  const parts = [partOf("The exact text", pretty(exact))];
  return { line: "", parts, brief: isBrief(parts) };
};

function isBrief(parts: readonly CallPart[]): boolean {
  const texts = parts.flatMap(({ blocks }) => blocks.map(({ text }) => text));
  const chars = texts.reduce((sum, { length }) => sum + length, 0);
  return chars <= BRIEF_CHARS && texts.reduce((sum, text) => sum + text.split("\n").length, 0) <= BRIEF_LINES;
}

function shell({ command, directory, ...rest }: Arguments): Reading | undefined {
  if (!Array.isArray(command) || !command.every(isText) || !isMaybeText(directory)) return undefined;
  const numbered = command.map((word, index) => `${index + 1}: ${word}`).join("\n");
  const parts = command.some((word) => /\s/.test(word)) ? [partOf("The words of the command", numbered)] : [];
  return { words: [...command.map(quoted), directory ? `(in ${quoted(directory)})` : ""], parts: [...parts, ...others(rest)] };
}

function http({ method = "GET", url, headers = {}, body, ...rest }: Arguments): Reading | undefined {
  if (!isText(method) || !isText(url) || !isMaybeText(body) || !isTexts(headers)) return undefined;
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const parts = [...(lines.length ? [partOf("Headers", lines.join("\n"))] : []), ...(body === undefined ? [] : [partOf("Body", body)])];
  return { words: [method, url], parts: [...parts, ...others(rest)] };
}

function files({ action, path, content, old, new: fresh, ...rest }: Arguments): Reading | undefined {
  if (!isText(action) || ![path, content, old, fresh].every(isMaybeText)) return undefined;
  const parts: CallPart[] = [];
  if (isText(content)) parts.push(partOf("New content", content));
  if (isText(old) || isText(fresh)) parts.push({ title: "Change", blocks: difference(isText(old) ? old : "", isText(fresh) ? fresh : "") });
  const size = isText(content) ? `(${count(content.length)} characters)` : "";
  return { words: [action, isText(path) ? quoted(path) : "", size], parts: [...parts, ...others(rest)] };
}

/** Return true for a call of an outside agent: its tools are named after the agent and the kind, such as `codex:edit`. */
export const isAgentTool = (toolName: string): boolean => /^[^:]+:[a-z]+$/.test(toolName);

const PATHS = ["file_path", "filePath", "filepath", "path", "abs_path"];
const OLDS = ["old_string", "oldString", "oldText", "old_str"];
const FRESHES = ["new_string", "newString", "newText", "new_str", "content", "text"];
const PLACES = ["cwd", "workdir", "directory"];

/** Read a call as the agents describe theirs: a command, the change of a file, or a title with its content. */
function agentCall(given: Arguments): Reading | undefined {
  const left: Record<string, unknown> = { ...given };
  const take = (names: readonly string[]): string | undefined => {
    const name = names.find((one) => isText(left[one]));
    const found = name && left[name];
    if (name) delete left[name];
    return isText(found) ? found : undefined;
  };
  const command = left.command ?? left.cmd;
  if (isText(command) || (Array.isArray(command) && command.every(isText))) {
    delete left[left.command === undefined ? "cmd" : "command"];
    const place = take(PLACES);
    const line = isText(command) ? command : command.map(quoted).join(" ");
    const lines = line.includes("\n") ? [partOf("The command", line)] : [];
    return { words: [line, place ? `(in ${quoted(place)})` : ""], parts: [...lines, ...others(left)] };
  }
  if (isText(left.title) && Array.isArray(left.content)) {
    const { title, content, ...rest } = left;
    return { words: [title as string], parts: [...(content as unknown[]).map(contentOf), ...others(rest)] };
  }
  const path = take(PATHS);
  const [old, fresh, diff] = [take(OLDS), take(FRESHES), take(["diff", "patch"])];
  if (path === undefined && diff === undefined) return undefined;
  return { words: [path === undefined ? "" : quoted(path)], parts: [...change("Change", old, fresh), ...unified(diff), ...others(left)] };
}

/** Read an item of the content of a call: a diff, a text, or something else. */
function contentOf(item: unknown): CallPart {
  if (isObject(item) && item.type === "diff" && isText(item.newText))
    return change(`Change of ${visibleLine(String(item.path))}`, isText(item.oldText) ? item.oldText : undefined, item.newText)[0] as CallPart;
  if (isObject(item) && isObject(item.content) && isText(item.content.text)) return partOf("Description", item.content.text);
  return partOf("Content", JSON.stringify(item, null, 2));
}

function change(title: string, old: string | undefined, fresh: string | undefined): CallPart[] {
  if (old === undefined && fresh === undefined) return [];
  return [old === undefined ? partOf(title === "Change" ? "New content" : title, fresh ?? "") : { title, blocks: difference(old, fresh ?? "") }];
}

/** The lines of a unified diff, with their signs. */
function unified(diff: string | undefined): CallPart[] {
  const signOf = (line: string): "-" | "+" | " " => (/^(---|\+\+\+) /.test(line) ? " " : line[0] === "-" || line[0] === "+" ? line[0] : " ");
  return diff === undefined ? [] : [{ title: "Change", blocks: diff.split("\n").map((line) => ({ sign: signOf(line), text: visible(line) })) }];
}

/** The arguments without a place of their own. */
function others(rest: Arguments): CallPart[] {
  return Object.keys(rest).length ? [partOf("Other arguments", JSON.stringify(rest, null, 2))] : [];
}

const partOf = (title: string, text: string): CallPart => ({ title, blocks: [{ text: visible(text) }] });

const isText = (value: unknown): value is string => typeof value === "string";
const isMaybeText = (value: unknown): value is string | undefined => value === undefined || isText(value);
const isTexts = (value: unknown): value is Readonly<Record<string, string>> =>
  typeof value === "object" && value !== null && Object.values(value).every(isText);

/** Return two texts as a diff: the lines that are equal at both ends, and between them the old and the new ones. */
export function difference(old: string, fresh: string): readonly Block[] {
  const [before, after] = [old.split("\n"), fresh.split("\n")];
  const most = Math.min(before.length, after.length);
  let start = 0;
  while (start < most && before[start] === after[start]) start++;
  let end = 0;
  while (end < most - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
  const block = (sign: "-" | "+" | " ", lines: readonly string[]): Block => ({ sign, text: lines.map((line) => `${sign} ${visible(line)}`).join("\n") });
  const lines: readonly (readonly ["-" | "+" | " ", readonly string[]])[] = [
    [" ", before.slice(0, start)],
    ["-", before.slice(start, before.length - end)],
    ["+", after.slice(start, after.length - end)],
    [" ", before.slice(before.length - end)],
  ];
  return lines.filter(([, some]) => some.length).map(([sign, some]) => block(sign, some));
}

/** Return the members of a JSON object; undefined for anything else. */
function argumentsOf(json: string): Arguments | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const isObject = (value: unknown): value is Arguments => typeof value === "object" && value !== null && !Array.isArray(value);

/** Return true if reading the JSON text loses nothing: no member is repeated, and no number is rounded. */
const isExact = (given: Arguments, json: string): boolean => JSON.stringify(given) === json.replace(/("[^"\\]*(?:\\.[^"\\]*)*")|\s+/g, "$1");

const DEPTH_MAX = 60;

/** Return true if brackets are nested so deep that the indentation would be the most of a text. */
function isDeep(json: string): boolean {
  let depth = 0;
  for (const [bracket] of json.replace(/"(?:[^"\\]|\\.)*"/g, "").matchAll(/[[{\]}]/g)) {
    depth += "[{".includes(bracket) ? 1 : -1;
    if (depth > DEPTH_MAX) return true;
  }
  return false;
}

/** Return a JSON text with indentation, or unchanged if that would lose something or is much longer. */
export function pretty(json: string): string {
  const given = argumentsOf(json);
  return given && !isDeep(json) && isExact(given, json) ? JSON.stringify(given, null, 2) : json;
}

/** Return why a text cannot be the arguments of a call; undefined if it can. */
export function argumentsFault(text: string): string | undefined {
  try {
    return isObject(JSON.parse(text)) ? undefined : "Arguments are a JSON object, such as {}.";
  } catch (error) {
    return `This is not JSON: ${(error as Error).message}`;
  }
}
