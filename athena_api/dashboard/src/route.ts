// The route: page, id and filters, all in the URL.

import { computed, signal } from "@preact/signals";

/** For example, `#/runs/run_01…?status=failed` is page `runs`, id `run_01…` and one filter. */
export interface Route {
  readonly page: string;
  readonly id: string | undefined;
  readonly filters: Readonly<Record<string, string>>;
  /** The moment that the page shows: the id of an event, a position or a time; undefined for now. */
  readonly at: string | undefined;
}

/** The filters of each page. */
export const FILTERS: Readonly<Record<string, readonly string[]>> = {
  fleet: ["range"],
  runs: [
    ...["status", "sessionId", "provider", "parentRunId", "retryOf", "harnessProfileId", "model"],
    ...["errorCode", "costOverUsd", "createdAfter", "createdBefore", "since", "sort"],
  ],
  run: ["tab", "step", "select", "compare"],
  asks: ["status", "kind", "sessionId", "runId", "harnessProfileId"],
  rejections: ["sessionId", "reason", "actor", "provider"],
  workspaces: ["status", "kind", "sessionId"],
  letters: ["status", "reason", "sessionId"],
  events: ["types", "sessionId", "runId", "traceId", "event"],
  messages: ["fromPersona", "toPersona", "status"],
  reviews: ["name", "status"],
  tokens: ["identity", "status", "kind"],
  audit: ["actor", "kind", "createdAfter", "createdBefore"],
};

const AT = "at";

/** The words of the command line for filters. */
const ALIASES: Readonly<Record<string, string>> = { session: "sessionId", run: "runId", trace: "traceId", type: "types", parent: "parentRunId" };

/** Return the filters of a query; a word of the command line stands for the filter of the page. */
export function filtersOf(page: string, query: string): Readonly<Record<string, string>> {
  const known = FILTERS[page] ?? [];
  const filters: Record<string, string> = {};
  for (const [name, value] of new URLSearchParams(query)) {
    if (name === AT) continue;
    const alias = ALIASES[name] ?? name;
    filters[known.includes(name) || !known.includes(alias) ? name : alias] = value;
  }
  return filters;
}

/** Return the filters of a page; the page of a record has others. */
export function knownFilters({ page, id }: Pick<Route, "page" | "id">): readonly string[] {
  if (id !== undefined && page === "runs") return FILTERS.run ?? [];
  return (id === undefined || page !== "asks" ? FILTERS[page] : undefined) ?? [];
}

/** Return the filters that the page does not have. */
export function unknownFilters({ page, id, filters }: Omit<Route, "at">): readonly string[] {
  if (page === "form") return []; // they fill its fields
  const known = knownFilters({ page, id });
  return Object.keys(filters).filter((name) => !known.includes(name));
}

function read(): Route {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const [page = "", id] = path.split("/", 2);
  return {
    page: page || "fleet",
    id: id === undefined || id === "" ? undefined : decodeURIComponent(id),
    filters: filtersOf(page, query),
    at: new URLSearchParams(query).get(AT)?.trim() || undefined,
  };
}

export const route = signal<Route>(typeof location === "undefined" ? { page: "", id: undefined, filters: {}, at: undefined } : read());

/** The moment in the address; undefined for now. */
export const at = computed(() => route.value.at);

/** Another value for each page and moment that is opened, but not for changed filters. Dialogs end with it. */
export const visit = computed(() => `${route.value.page}/${route.value.id ?? ""}@${at.value ?? ""}`);

globalThis.addEventListener?.("hashchange", () => {
  route.value = read();
});

/** Return the URL of a page, at the moment that this page shows or at another one; an empty one is now. */
export function href(page: string, id?: string, filters: Readonly<Record<string, string | undefined>> = {}, instant: string = at.value ?? ""): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filters)) if (value) query.set(name, value);
  if (instant) query.set(AT, instant);
  return `#/${page}${id === undefined ? "" : `/${encodeURIComponent(id)}`}${query.size ? `?${query}` : ""}`;
}

/** Return the URL of the current page at another moment; an empty one is now. */
export function hrefAt(instant: string): string {
  const { page, id, filters } = route.value;
  return href(page, id, filters, instant);
}

/** Show the current page at another moment; an empty one is now. Only the way into the past is an entry in the browser history. */
export function showAt(instant: string): void {
  if (at.value === undefined || !instant) location.hash = hrefAt(instant);
  else {
    history.replaceState(null, "", hrefAt(instant));
    route.value = read();
  }
}

/** Change filters of the current page, without a new entry in the browser history. */
export function filter(changes: Readonly<Record<string, string | undefined>>): void {
  const { page, id, filters } = route.value;
  const now = read();
  if (now.page !== page || now.id !== id) return; // a link was followed, which the browser reports later
  history.replaceState(null, "", href(page, id, { ...filters, ...changes }));
  route.value = read();
}

/** The groups of the navigation: the pages of the first one are always shown, the others open as menus. */
export const GROUPS: readonly (readonly [title: string, pages: readonly string[]])[] = [
  ["", ["fleet", "asks", "runs"]],
  ["Work", ["sessions", "schedules", "workflows", "queues", "messages", "letters", "reviews"]],
  ["Agents", ["profiles", "templates", "directives", "memory", "workspaces", "mcp"]],
  ["Control", ["policy", "rejections", "audit", "anchors", "tokens", "events", "system"]],
];

/** The titles of the pages. */
export const TITLES: Readonly<Record<string, string>> = {
  ...{ fleet: "Fleet", asks: "Asks", runs: "Runs", sessions: "Sessions", schedules: "Schedules", workflows: "Workflows", queues: "Queues" },
  ...{ messages: "Messages", letters: "Dead letters", reviews: "Reviews", profiles: "Agents (profiles)", templates: "Templates" },
  ...{ directives: "Directives", memory: "Memory", workspaces: "Workspaces", mcp: "MCP", policy: "Policy", rejections: "Rejected" },
  ...{ audit: "Audit trail", anchors: "Anchors", tokens: "Tokens", events: "Events", system: "System" },
};

/** The page that each key opens after `g`. */
export const SHORTCUTS: Readonly<Record<string, string>> = {
  ...{ f: "fleet", a: "asks", r: "runs", j: "rejections", s: "schedules" },
  ...{ w: "workflows", o: "workspaces", d: "letters", m: "mcp", e: "events", y: "system" },
  ...{ c: "sessions", q: "queues", p: "profiles", t: "templates", n: "memory", l: "policy", u: "audit", k: "tokens" },
};

/** The group of the API document that documents a page, where their names differ. */
export const TAGS: Readonly<Record<string, string>> = {
  ...{ rejections: "policy", letters: "a2a", messages: "a2a", system: "core", queues: "work", reviews: "personas", profiles: "catalog" },
  ...{ directives: "catalog", audit: "governance", tokens: "access", anchors: "governance" },
};

/** The page of each kind of record that has one. */
const RECORDS: Readonly<Record<string, string>> = {
  ...{ ask: "asks", "dead-letter": "letters", run: "runs", evidence: "runs", schedule: "schedules", workflow: "workflows" },
  ...{ directive: "directives", "harness-profile": "profiles", memory: "memory", message: "messages", "run-template": "templates", token: "tokens" },
};

/** Return the URL of a record, of the reviews by a persona, or of the system for a kind without a page. */
export function recordHref(kind: string, id: string): string {
  const page = RECORDS[kind];
  if (kind === "persona") return href("reviews", undefined, { name: id });
  return page ? href(page, id) : href("system");
}
