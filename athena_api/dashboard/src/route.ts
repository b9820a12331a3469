// The route: page, id and filters, all in the URL.

import { signal } from "@preact/signals";

/** For example, `#/runs/run_01…?status=failed` is page `runs`, id `run_01…` and one filter. */
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

/** Return the URL of a page. */
export function href(page: string, id?: string, filters: Readonly<Record<string, string | undefined>> = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filters)) if (value) query.set(name, value);
  return `#/${page}${id === undefined ? "" : `/${encodeURIComponent(id)}`}${query.size ? `?${query}` : ""}`;
}

/** Change filters of the current page, without a new entry in the browser history. */
export function filter(changes: Readonly<Record<string, string | undefined>>): void {
  const { page, id, filters } = route.value;
  history.replaceState(null, "", href(page, id, { ...filters, ...changes }));
  route.value = read();
}

/** The titles of the pages, in the order of the navigation. */
export const TITLES: Readonly<Record<string, string>> = {
  ...{ fleet: "Fleet", runs: "Runs", rejections: "Rejected", schedules: "Schedules" },
  ...{ workflows: "Workflows", letters: "Dead letters", events: "Events", system: "System" },
};

/** The page that each key opens after `g`. */
export const SHORTCUTS: Readonly<Record<string, string>> = {
  ...{ f: "fleet", r: "runs", j: "rejections", s: "schedules" },
  ...{ w: "workflows", d: "letters", e: "events", y: "system" },
};
