// Dead letters: failed work items and messages; requeue, discard or restore them.

import type { DeadLetter, DecidedDeadLetter, DrainResult, WorkDrain } from "@projectathena/client";
import { discardA2aDlqItem, drainWork, listA2aDlq, listWorkQueues, requeueA2aDlqItem, restoreA2aDlqItem } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { Action, type ActionSpec, withoutEmpty } from "../components/actions";
import { Empty, Facts, Filter, Json, Loaded, MorePages, RunLink, SessionLink, Status, Table, Time } from "../components/ui";
import { count, words } from "../format";
import { href, route } from "../route";
import { request } from "../state/instant";
import { reloadWhen, useLiveQuery } from "../state/live_query";

const REASONS = ["attempts-exhausted", "cancelled", "hop-limit", "not-allowed", "unknown-persona", "unrunnable"];

export function DeadLetters(): JSX.Element {
  const { filters, id } = route.value;
  const query = { status: filters.status ?? "", reason: filters.reason, sessionId: filters.sessionId };
  const live = useLiveQuery(
    JSON.stringify(query),
    () => request(listA2aDlq, { query: { ...query, limit: 200 } }),
    reloadWhen((event) => event.type.startsWith("a2a.dlq.")),
  );
  return (
    <>
      <h1>Dead letters</h1>
      <p class="quiet">Work items and messages that failed permanently, oldest first.</p>
      <div class="filters">
        <Filter name="status" label="Status" options={["pending", "requeued", "discarded"]} />
        <Filter name="reason" label="Reason" options={REASONS} />
        <Filter name="sessionId" label="Session" first />
      </div>
      <Queues />
      <Loaded live={live}>
        {({ items, nextCursor }) =>
          items.length ? (
            <>
              <Rows items={items} open={id} />
              <MorePages
                key={JSON.stringify(query)}
                next={nextCursor}
                what="dead letters"
                read={(cursor) => request(listA2aDlq, { query: { ...query, limit: 200, cursor } })}
              >
                {(more) => <Rows items={more} open={id} />}
              </MorePages>
            </>
          ) : (
            <Empty>No dead letters{Object.values(query).some(Boolean) ? " match these filters" : ""}.</Empty>
          )
        }
      </Loaded>
    </>
  );
}

const QUEUES_MAX = 20;

/** The queues with waiting items. A queue waits until it is drained. */
function Queues(): JSX.Element | null {
  const live = useLiveQuery(
    "queues",
    () => request(listWorkQueues, { query: { limit: QUEUES_MAX } }),
    reloadWhen((event) => event.type.startsWith("work.") || event.type === "a2a.dlq.requeued"),
  );
  const { items = [], nextCursor } = live.data.value ?? {};
  if (!items.length) return null;
  return (
    <>
      <h2 class="more">Queues with waiting items</h2>
      <Table label="Queues" heads={["Queue", "#Items", "Oldest", "#"]}>
        {items.map((queue) => (
          <tr key={queue.sessionId}>
            <td>
              <SessionLink id={queue.sessionId} />
            </td>
            <td class="num">{count(queue.itemCount)}</td>
            <td>
              <Time at={queue.oldestItemSince} />
            </td>
            <td class="num">{queue.drainId ? <span class="quiet">draining</span> : <Action action={drainAction(queue.sessionId)} />}</td>
          </tr>
        ))}
      </Table>
      {nextCursor && <p class="quiet">Showing {QUEUES_MAX} queues.</p>}
      <h2 class="more">Dead letters</h2>
    </>
  );
}

function Rows({ items, open }: { items: readonly DeadLetter[]; open: string | undefined }): JSX.Element {
  return (
    <Table label="Dead letters" heads={["Dead letter", "Status", "Reason", "~Last error", "~Session", "~Created", "~#"]}>
      {items.map((letter) => (
        <Row key={letter.id} letter={letter} open={letter.id === open} />
      ))}
    </Table>
  );
}

function Row({ letter, open }: { letter: DeadLetter; open: boolean }): JSX.Element {
  return (
    <>
      <tr data-letter={letter.id}>
        <td>
          <a
            class="mono"
            aria-expanded={open}
            title={letter.id}
            href={open ? href("letters", undefined, route.value.filters) : href("letters", letter.id, route.value.filters)}
          >
            …{letter.id.slice(-8)}
          </a>
        </td>
        <td>
          <Status is={letter.status} />
        </td>
        <td>{words(letter.reason)}</td>
        <td class="opt cut" title={letter.lastError.message}>
          {letter.lastError.code}
        </td>
        <td class="opt">
          <SessionLink id={letter.sessionId} />
        </td>
        <td class="opt">
          <Time at={letter.createdAt} />
        </td>
        <td class="num opt">
          <DeadLetterActions letter={letter} />
        </td>
      </tr>
      {open && (
        <tr class="inner">
          <td colSpan={7}>
            <Details letter={letter} />
          </td>
        </tr>
      )}
    </>
  );
}

function DeadLetterActions({ letter }: { letter: DeadLetter }): JSX.Element {
  return (
    <>
      {letter.status === "pending" && <Action action={requeueAction(letter)} />}
      {letter.status === "pending" && <Action action={discardAction(letter.id)} />}
      {letter.status === "discarded" && <Action action={restoreAction(letter.id)} />}
    </>
  );
}

function Details({ letter }: { letter: DeadLetter }): JSX.Element {
  return (
    <div class="columns">
      <section class="panel">
        <p class="narrow">
          <DeadLetterActions letter={letter} />
        </p>
        <h2>Attempts</h2>
        <ol class="ticker">
          {letter.attempts.map((attempt) => (
            <li key={attempt.at}>
              <Time at={attempt.at} />
              <span>
                {attempt.runId && <RunLink id={attempt.runId} />} <b>{attempt.code}</b> {attempt.message}
              </span>
            </li>
          ))}
          {!letter.attempts.length && (
            <li>
              <span />
              <span>{letter.error}</span>
            </li>
          )}
        </ol>
        <Facts
          of={[
            ["From", letter.sourcePersona ?? letter.source],
            ["To", letter.targetPersona],
            ["Retries", String(letter.retryCount)],
            ["Requeued from", letter.requeuedFrom],
            ["Decided by", letter.decidedBy],
            ["Note", letter.auditNote],
          ]}
        />
      </section>
      <section class="panel">
        <h2>Payload</h2>
        {letter.redacted ? <p class="quiet">Redacted</p> : <Json value={letter.payload} />}
      </section>
    </div>
  );
}

function drainAction(sessionId: string): ActionSpec<DrainResult | WorkDrain> {
  return {
    operation: drainWork,
    label: "Drain",
    request: () => ({ path: { sessionId }, body: {}, respondAsync: true }),
    done: () => `Draining queue "${sessionId}".`,
  };
}

function requeueAction({ id, sessionId, source }: DeadLetter): ActionSpec<DecidedDeadLetter> {
  const place = source === "work" ? `: it waits in queue "${sessionId}" until you drain it` : ""; // messages are delivered automatically
  return {
    operation: requeueA2aDlqItem,
    label: "Requeue",
    request: () => ({ path: { id }, body: {} }),
    done: (data) => (data.updated ? `Requeued${place}.` : "Already requeued."),
  };
}

function discardAction(id: string): ActionSpec<DecidedDeadLetter> {
  return {
    operation: discardA2aDlqItem,
    label: "Discard",
    danger: true,
    question: "Drops the work. You can restore it later.",
    fields: [{ name: "auditNote", label: "Reason", hint: "Recorded in the audit log" }],
    request: (values) => ({ path: { id }, body: withoutEmpty({ auditNote: values.auditNote }) }),
    done: () => "Discarded.",
  };
}

function restoreAction(id: string): ActionSpec<DecidedDeadLetter> {
  return {
    operation: restoreA2aDlqItem,
    label: "Restore",
    request: () => ({ path: { id }, body: {} }),
    done: () => "Restored. The dead letter is pending again.",
  };
}
