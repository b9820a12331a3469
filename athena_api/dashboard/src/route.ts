// Where the reader is: the page, what it shows, and its filters, all of it in the address.

import { signal } from "@preact/signals";

/** `#/runs/run_01…?status=failed` is page `runs`, id `run_01…`, and a filter. */
export interface Route {
  readonly page: string;
  readonly id: string | undefined;
  readonly filters: Readonly<Record<string, string>>;
}

function read(): Route {
  const [path = "", query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const [page = "", id] = path.split("/", 2);
  return {
    page: page || "fleet",
    id: id === undefined || id === "" ? undefined : decodeURIComponent(id),
    filters: Object.fromEntries(new URLSearchParams(query)),
  };
}

export const route = signal(read());

addEventListener("hashchange", () => {
  route.value = read();
});

/** The address of a place. */
export function href(page: string, id?: string, filters: Readonly<Record<string, string | undefined>> = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filters)) if (value) query.set(name, value);
  return `#/${page}${id === undefined ? "" : `/${encodeURIComponent(id)}`}${query.size ? `?${query}` : ""}`;
}

/** Changes a filter of the present page; typing makes no steps in the history. */
export function filter(changes: Readonly<Record<string, string | undefined>>): void {
  const { page, id, filters } = route.value;
  history.replaceState(null, "", href(page, id, { ...filters, ...changes }));
  route.value = read();
}

/** After `g`: the page that a key goes to. */
export const SHORTCUTS: Readonly<Record<string, string>> = {
  ...{ f: "fleet", r: "runs", j: "rejections", s: "schedules" },
  ...{ w: "workflows", d: "letters", e: "events", y: "system" },
};
