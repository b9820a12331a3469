// The moment that the page shows: now, or one in the past. Every read of the page is as of it.

import { computed, effect, signal, untracked } from "@preact/signals";
import { type Answer, AthenaError, type Operation, type RequestParts } from "@projectathena/client";
import { listEvents } from "@projectathena/client/operations";
import { at } from "../route";
import { requestNow } from "../server";

/** A moment in the past. */
export interface Instant {
  /** As the address names it. */
  readonly at: string;
  /** The position of its last event. */
  readonly position: number;
  /** The time in the address; without one, when the last event was recorded. */
  readonly time: string;
}

/** Codes of the console itself: a request that has no past, and a moment before the first event. */
export const NO_PAST = "NO_PAST";
export const BEFORE_LOG = "BEFORE_LOG";

const RETRY_MS = 2_000;

const found = signal<Instant | undefined>(undefined);
const failed = signal<{ readonly at: string; readonly error: AthenaError } | undefined>(undefined);
const tries = signal(0);

/** The moment of the page, or the last one while the server looks for another; undefined for now. */
export const instant = computed(() => (at.value === undefined ? undefined : found.value));

/** True until the server has found the moment of the address. */
export const isSeeking = computed(() => at.value !== undefined && found.value?.at !== at.value);

/** Why the moment of the address cannot be shown. */
export const instantError = computed(() => (failed.value?.at === at.value ? failed.value?.error : undefined));

const seeking = computed(() => {
  void tries.value;
  const wanted = at.value;
  return wanted === undefined ? undefined : untracked(() => find(wanted));
});

effect(() => {
  const wanted = at.value;
  const sought = seeking.value;
  if (wanted === undefined) found.value = failed.value = undefined;
  void sought?.then(
    (result) => {
      if (at.peek() !== wanted) return;
      found.value = result;
      failed.value = undefined;
    },
    (error: unknown) => {
      if (!(error instanceof AthenaError)) throw error;
      if (at.peek() !== wanted || wanted === undefined) return;
      failed.value = { at: wanted, error };
      if (error.retryable) setTimeout(() => tries.value++, RETRY_MS);
    },
  );
});

/** Find the moment that an address names. Throws AthenaError. */
async function find(wanted: string): Promise<Instant> {
  const { position, asOf } = await requestNow(listEvents, { asOf: wanted, query: { limit: 1 } });
  if (asOf === undefined) throw new AthenaError({ code: BEFORE_LOG, message: "Nothing had been recorded then.", status: 404 });
  const asked = timeOf(wanted);
  return { at: wanted, position, time: asked && Date.parse(asked) < Date.now() ? asked : asOf };
}

/** Return the moment of the page once the server has found it; undefined for now. Throws AthenaError. */
export const sought = async (): Promise<Instant | undefined> => seeking.peek();

/** Return the time that an address names, if it names one; without an offset it is UTC, as for the server. */
export function timeOf(text: string): string | undefined {
  if (!/^\d{4}-\d\d-\d\d/.test(text)) return undefined;
  const ms = Date.parse(/T.*(Z|[+-]\d\d:?\d\d)$/i.test(text) || text.length === 10 ? text : `${text}Z`);
  return Number.isNaN(ms) ? undefined : new Date(ms).toISOString();
}

/** Send a request; a read is answered as of the moment of the page. Throws AthenaError, `NO_PAST` where there is none. */
export async function request<T>(operation: Operation<T>, parts: RequestParts = {}): Promise<Answer<T>> {
  const sought = seeking.peek();
  if (!sought) return requestNow(operation, parts);
  if (operation.method !== "GET" || operation.past === false) throw new AthenaError({ code: NO_PAST, message: "Shown for now only." });
  return requestNow(operation, { ...parts, asOf: String((await sought).position) });
}
