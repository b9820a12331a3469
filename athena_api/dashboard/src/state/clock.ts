// The clock of the page: the time of the server, so that a wrong clock of this machine moves nothing into the future.

import { computed, signal } from "@preact/signals";
import { instant, sought } from "./instant";

let aheadMs = 0; // how far this machine is ahead of the server

const read = (): number => Date.now() - aheadMs;

/** The time of the server in milliseconds, once a second. */
export const present = signal(read());

/** The time of the page: the present, or the moment in the past that it shows. */
export const now = computed(() => (instant.value ? Date.parse(instant.value.time) : present.value));

/** Return the time of the page once the server has found its moment. Throws AthenaError. */
export async function timeOfPage(): Promise<number> {
  const past = await sought();
  return past ? Date.parse(past.time) : present.peek();
}

export function startClock(): void {
  setInterval(() => {
    present.value = read();
  }, 1_000);
}

/** Set the clock by an answer of the server: its time, and when the request was sent. */
export function setClock(serverTime: string, sentAt: number): void {
  const receivedAt = Date.now();
  aheadMs = offset(serverTime, sentAt, receivedAt);
  present.value = read();
}

/** Return how far this machine is ahead, or 0 where the duration of the request explains the difference. */
export function offset(serverTime: string, sentAt: number, receivedAt: number): number {
  const server = Date.parse(serverTime);
  if (sentAt <= server && server <= receivedAt) return 0;
  return Math.round((sentAt + receivedAt) / 2) - server;
}
