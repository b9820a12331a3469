// Events: the published record and its position in the log.

import type { EventRecord, EventsPage } from "@projectathena/client";
import type { OpenStatus } from "./run_status";

/** An event with its position and, if known, the status of its run before it. */
export interface SeenEvent extends EventRecord {
  readonly position: number;
  readonly statusBefore?: OpenStatus | undefined;
}

/** Return the position in an event id: base64url of version, log id, position (big-endian) and mark (docs/reference/log-format.md). */
export function positionOf(id: string): number {
  const bytes = atob(id.replaceAll("-", "+").replaceAll("_", "/"));
  let position = 0;
  for (let index = 9; index < 17; index++) position = position * 256 + bytes.charCodeAt(index);
  return position;
}

/** Return the events of a page, with their positions. */
export function eventsOf(page: EventsPage): SeenEvent[] {
  return page.events.map((event) => ({ ...event, position: positionOf(event.id) }));
}

/** Return a string of the payload, or an empty string. */
export function text(event: SeenEvent, name: string): string {
  const value = event.payload[name];
  return typeof value === "string" ? value : "";
}

/** Return a number of the payload, if present. */
export function number(event: SeenEvent, name: string): number | undefined {
  const value = event.payload[name];
  return typeof value === "number" ? value : undefined;
}
