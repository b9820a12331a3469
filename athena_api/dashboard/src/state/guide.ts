// The guide of the demo: a step is done once it has happened on the server, from any client.

import { effect, signal } from "@preact/signals";
import { AthenaError } from "@projectathena/client";
import { getPolicy, getRun } from "@projectathena/client/operations";
import { route } from "../route";
import { requestNow } from "../server";
import { capabilities, eventStream } from "./event_stream";
import { number, type SeenEvent, text } from "./events";

export type GuideStep = "open" | "cancel" | "approve" | "limit" | "kill";

const SERVER_STARTED = "AUTHZ_MODE_ACTIVE"; // recorded by each start
const KEY = "athena-guide";

/** The steps that are done. Kept for the tab, over reloads. */
export const done = signal<readonly string[]>(stored());

function stored(): readonly string[] {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
  } catch {
    return [];
  }
}

function finish(step: GuideStep): void {
  if (done.value.includes(step)) return;
  done.value = [...done.value, step];
  sessionStorage.setItem(KEY, JSON.stringify(done.value));
}

/** The limit of concurrent runs; Infinity without a limit. */
let limit = Number.POSITIVE_INFINITY;

function apply(event: SeenEvent): void {
  if (event.type === "run.cancelled") finish("cancel");
  else if (event.type === "workflow.approval.granted") finish("approve");
  else if (event.type === "run.answered" && text(event, "cause") === "person") finish("approve");
  else if (event.type === SERVER_STARTED) finish("kill");
  else if (event.type === "policy.updated") {
    const next = number(event, "maxConcurrentRuns") ?? Number.POSITIVE_INFINITY;
    if (next > limit) finish("limit");
    limit = next;
  }
}

/** A running run that this page shows. */
async function look(runId: string): Promise<void> {
  try {
    const { data } = await requestNow(getRun, { path: { runId } });
    if (data.status === "running") finish("open");
  } catch (error) {
    if (!(error instanceof AthenaError)) throw error;
  }
}

async function watch(): Promise<void> {
  eventStream.subscribe((events) => events.forEach(apply));
  effect(() => {
    const { page, id } = route.value;
    if (page === "runs" && id && !done.value.includes("open")) void look(id);
  });
  try {
    limit = (await requestNow(getPolicy)).data?.maxConcurrentRuns ?? Number.POSITIVE_INFINITY;
  } catch (error) {
    if (!(error instanceof AthenaError)) throw error;
  }
}

let watching = false;
effect(() => {
  if (!capabilities.value?.demo || watching) return;
  watching = true;
  void watch();
});
