// Events as this page sees them: the published record, and its place in the log.

import type { EventRecord, EventsPage } from "../generated";
import type { OpenStatus } from "./run_status";

/** An event, its place in the log, and what its run was before, where this page saw that. */
export interface SeenEvent extends EventRecord {
  readonly position: number;
  readonly was?: OpenStatus | undefined;
}

/** The position in an event's id: version, log id, position (big-endian), mark, in base64url (docs/log-format.md). */
export function positionOf(id: string): number {
  const bytes = atob(id.replaceAll("-", "+").replaceAll("_", "/"));
  let position = 0;
  for (let index = 9; index < 17; index++) position = position * 256 + bytes.charCodeAt(index);
  return position;
}

/** The events of a page of the feed. */
export function eventsOf(page: EventsPage): SeenEvent[] {
  return page.events.map((event) => ({ ...event, position: positionOf(event.id) }));
}

/** A text in a payload; empty where there is none. */
export function text(event: SeenEvent, name: string): string {
  const value = event.payload[name];
  return typeof value === "string" ? value : "";
}

/** A number in a payload. */
export function number(event: SeenEvent, name: string): number | undefined {
  const value = event.payload[name];
  return typeof value === "number" ? value : undefined;
}
