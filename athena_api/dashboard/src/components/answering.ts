// Answers to asks: sends them, and remembers what was decided until the lists know it.

import { signal } from "@preact/signals";
import { type Ask, AthenaError, newKey } from "@projectathena/client";
import { answerAsk, getAsk } from "@projectathena/client/operations";
import { at } from "../route";
import { decisionOf, withExact } from "../state/asks";
import { REMEDIES } from "../state/decided_text";
import { request } from "../state/instant";
import { notify } from "./notices";

const LEARNED_MAX = 200;

/** Asks that were decided, by their id: by this page, or by others first. */
const learned = signal<ReadonlyMap<string, Ask>>(new Map());

/** The asks with an answer on its way. */
export const sending = signal<ReadonlySet<string>>(new Set());

/** The exact texts that were opened here, by the id of their asks. */
const opened = signal<ReadonlyMap<string, string>>(new Map());

/** Return an ask as it is known to be now, with its exact text once that was opened; of the past, as it was. */
export function latest(ask: Ask): Ask {
  if (ask.status !== "open" || at.value !== undefined) return ask;
  return learned.value.get(ask.id) ?? withExact(ask, opened.value.get(ask.id));
}

/** Note that an ask was decided. */
export function learn(ask: Ask): void {
  if (ask.status !== "open") learned.value = new Map([...learned.value, [ask.id, ask] as const].slice(-LEARNED_MAX));
}

const keep = (askId: string, exact: string | undefined): void => {
  const others = [...opened.value].filter(([id]) => id !== askId).slice(1 - LEARNED_MAX);
  opened.value = new Map(exact === undefined ? others : [...others, [askId, exact]]);
};

/** Open the exact text of an ask. The server records it, and then the caller may allow the act. */
export async function openExact({ id }: Ask): Promise<void> {
  try {
    const { data } = await request(getAsk, { path: { askId: id }, query: { exact: true } });
    learn(data);
    keep(id, data.exact);
  } catch (error) {
    if (!(error instanceof AthenaError)) throw error;
    notify(error.message, true);
  }
}

/** The idempotency keys of answers that may not have arrived. */
const keys = new Map<string, string>();

export interface AnswerBody {
  readonly optionId?: string;
  readonly values?: Readonly<Record<string, unknown>>;
  readonly note?: string;
}

/** Answer an ask as it was shown. Return true if this answer counts. */
export async function answer(ask: Ask, body: AnswerBody): Promise<boolean> {
  if (sending.value.has(ask.id)) return false;
  sending.value = new Set([...sending.value, ask.id]);
  const content = { subjectHash: ask.subjectHash, ...body };
  const sent = ask.id + JSON.stringify(content);
  const idempotencyKey = keys.get(sent) ?? `console-${newKey()}`;
  keys.set(sent, idempotencyKey);
  try {
    const { data } = await request(answerAsk, { path: { askId: ask.id }, body: content, idempotencyKey });
    keys.delete(sent);
    const now = data.status === "open" ? await relearn(ask.id) : data;
    learn(now ?? data);
    notify(`${(now && decisionOf(now)) ?? "Answered"}.`);
    return true;
  } catch (error) {
    if (!(error instanceof AthenaError)) throw error;
    if (error.status !== 0) keys.delete(sent);
    notify(REMEDIES[error.code] ?? error.message, true);
    if (error.code in REMEDIES) keep(ask.id, undefined);
    if (error.status === 409) await relearn(ask.id);
    return false;
  } finally {
    sending.value = new Set([...sending.value].filter((id) => id !== ask.id));
  }
}

/** Read an ask that was decided by others. */
export async function relearn(askId: string): Promise<Ask | undefined> {
  try {
    const { data } = await request(getAsk, { path: { askId } });
    learn(data);
    return data;
  } catch (error) {
    if (error instanceof AthenaError) return undefined;
    throw error;
  }
}
