// A run as the pages show it: its record, its events and its transcript, live.

import type { Run } from "@projectathena/client";
import { getRun, listEvents } from "@projectathena/client/operations";
import type { Snapshot } from "../server";
import { eventsOf, type SeenEvent } from "../state/events";
import { request } from "../state/instant";
import { type LiveQuery, useLiveQuery, useRead } from "../state/live_query";
import { type LiveTranscript, useTranscript } from "./transcript";

const EVENTS_MAX = 5_000;

export interface RunView {
  readonly run: LiveQuery<Run>;
  readonly events: LiveQuery<readonly SeenEvent[]>;
  readonly transcript: LiveTranscript;
}

export function useRunView(id: string): RunView {
  const isOfRun = (event: SeenEvent): boolean => event.runId === id;
  const run = useRead(getRun, { path: { runId: id } }, isOfRun);
  const events = useLiveQuery<readonly SeenEvent[]>(
    `events ${id}`,
    () => readEvents(id),
    (had, more) => {
      const newEvents = more.filter(isOfRun);
      return newEvents.length ? [...had, ...newEvents] : had;
    },
  );
  const transcript = useTranscript(run.data.value, events.data.value?.[0]?.position ?? 0);
  return { run, events, transcript };
}

async function readEvents(runId: string): Promise<Snapshot<readonly SeenEvent[]>> {
  const events: SeenEvent[] = [];
  let cursor: string | undefined;
  let position = 0;
  do {
    const page = await request(listEvents, { query: { runId, limit: 500, cursor } });
    position = page.data.head;
    events.push(...eventsOf(page.data));
    cursor = page.data.nextCursor ?? undefined;
  } while (cursor !== undefined && events.length < EVENTS_MAX);
  return { data: events, position };
}
