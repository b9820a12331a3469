// The words of the search box of runs: `status:failed agent:Reviewer cost:>0.05 since:yesterday`.

import type { RunFilters } from "./run_list";
import { STATUSES } from "./run_status";

/** The filter of each word. */
const WORDS: Readonly<Record<string, string>> = {
  ...{ status: "status", agent: "harnessProfileId", session: "sessionId", model: "model", provider: "provider", error: "errorCode" },
  ...{ cost: "costOverUsd", since: "since", after: "createdAfter", before: "createdBefore", parent: "parentRunId", retry: "retryOf", sort: "sort" },
};

/** An agent, by its id. */
export interface Named {
  readonly id: string;
  readonly displayName: string;
}

export const TIMES: Readonly<Record<string, string>> = {
  ...{ "15m": "Last 15 minutes", "1h": "Last hour", "24h": "Last 24 hours", "7d": "Last 7 days", today: "Today", yesterday: "Yesterday" },
};

const DAY_MS = 86_400_000;
const UNITS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: DAY_MS };

/** Return the filters with the times of `since`: a number of minutes, hours or days, `today` or `yesterday`. */
export function resolved({ since, ...filters }: RunFilters, now: number, utc: boolean): RunFilters {
  if (!since) return filters;
  const iso = (ms: number): string => new Date(ms).toISOString();
  const [, value, unit = ""] = /^(\d+)([mhd])$/.exec(since) ?? [];
  if (value) return { ...filters, createdAfter: iso(now - Number(value) * (UNITS[unit] ?? 0)) };
  const midnight = new Date(now);
  if (utc) midnight.setUTCHours(0, 0, 0, 0);
  else midnight.setHours(0, 0, 0, 0);
  if (since === "today") return { ...filters, createdAfter: iso(midnight.getTime()) };
  const before = new Date(midnight);
  if (utc) before.setUTCDate(before.getUTCDate() - 1);
  else before.setDate(before.getDate() - 1);
  return since === "yesterday" ? { ...filters, createdAfter: iso(before.getTime()), createdBefore: iso(midnight.getTime() - 1) } : filters;
}

/** Return the filters of a text, and the words that are none. */
export function parsed(text: string, agents: readonly Named[]): { readonly filters: RunFilters; readonly words: readonly string[] } {
  const filters: Record<string, string> = {};
  const words: string[] = [];
  for (const [, name, quoted, bare = ""] of text.matchAll(/(?:(\w+):)?(?:"([^"]*)"|(\S+))/g)) {
    const value = quoted ?? bare;
    if (name) filters[WORDS[name] ?? name] = filterOf(name, value, agents);
    else if (STATUSES.includes(value)) filters.status = value;
    else if (value in TIMES) filters.since = value;
    else words.push(value);
  }
  return { filters, words };
}

function filterOf(name: string, value: string, agents: readonly Named[]): string {
  if (name === "cost") return value.replace(/^>?\$?/, "");
  if (name !== "agent") return value;
  const wanted = value.toLowerCase();
  const named = agents.find(({ displayName }) => displayName.toLowerCase() === wanted) ?? agents.find(({ id }) => id.endsWith(value));
  return (named ?? agents.find(({ displayName }) => displayName.toLowerCase().startsWith(wanted)))?.id ?? value;
}

/** Return the text of filters. Agents of the same name are named by id. */
export function written(filters: RunFilters, agents: readonly Named[]): string {
  return Object.entries(WORDS)
    .flatMap(([word, name]) => (filters[name] ? [`${word}:${name === "costOverUsd" ? ">" : ""}${quoted(nameOf(name, filters[name], agents))}`] : []))
    .join(" ");
}

const quoted = (value: string): string => (/\s/.test(value) ? `"${value}"` : value);

function nameOf(name: string, value: string, agents: readonly Named[]): string {
  if (name !== "harnessProfileId") return value;
  const { displayName } = agents.find(({ id }) => id === value) ?? {};
  const unique = displayName !== undefined && !displayName.includes('"') && agents.filter((agent) => agent.displayName === displayName).length === 1;
  return unique ? displayName : value;
}
