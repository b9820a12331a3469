// Dead letters: work that could not be done; requeue it, discard it, or take that back.

import type { JSX } from "preact";
import { ask } from "../api";
import { words } from "../format";
import {
  discardA2aDlqItem,
  listA2aDlq,
  requeueA2aDlqItem,
  restoreA2aDlqItem,
  type DeadLetter,
  type DecidedLetter,
} from "../generated";
import { useLive, whenever } from "../state/live_query";
import { href, place } from "../route";
import { Action, Empty, Facts, Filter, Json, More, RunLink, said, SessionLink, Shown, Status, Table, Time, type Deed } from "../components/ui";

const REASONS = ["attempts-exhausted", "cancelled", "hop-limit", "not-allowed", "unknown-persona", "unrunnable"];

export function Letters(): JSX.Element {
  const { filters, id } = place.value;
  const wanted = { status: filters["status"] ?? "", reason: filters["reason"], sessionId: filters["sessionId"] };
  const live = useLive(
    JSON.stringify(wanted),
    () => ask(listA2aDlq, { query: { ...wanted, limit: 200 } }),
    whenever((event) => event.type.startsWith("a2a.dlq.")),
  );
  return (
    <>
      <h1>Dead letters</h1>
      <p class="quiet">Work and messages that could not be done, oldest first.</p>
      <div class="filters">
        <Filter name="status" label="Status" options={["pending", "requeued", "discarded"]} />
        <Filter name="reason" label="Reason" options={REASONS} />
        <Filter name="sessionId" label="Session" first />
      </div>
      <Shown live={live}>
        {({ items, nextCursor }) =>
          items.length ? (
            <>
              <Rows items={items} open={id} />
              <More key={JSON.stringify(wanted)} next={nextCursor} what="dead letters" read={(cursor) => ask(listA2aDlq, { query: { ...wanted, limit: 200, cursor } })}>
                {(more) => <Rows items={more} open={id} />}
              </More>
            </>
          ) : (
            <Empty>No dead letter{Object.values(wanted).some(Boolean) ? " fits these filters" : ""}.</Empty>
          )
        }
      </Shown>
    </>
  );
}

function Rows({ items, open }: { items: readonly DeadLetter[]; open: string | undefined }): JSX.Element {
  return (
    <Table label="Dead letters" heads={["Dead letter", "Status", "Why", "~Last error", "~Session", "~Since", "~#"]}>
      {items.map((one) => (
        <Row key={one.id} one={one} open={one.id === open} />
      ))}
    </Table>
  );
}

function Row({ one, open }: { one: DeadLetter; open: boolean }): JSX.Element {
  return (
    <>
      <tr data-letter={one.id}>
        <td>
          <a class="mono" aria-expanded={open} title={one.id} href={open ? href("letters", undefined, place.value.filters) : href("letters", one.id, place.value.filters)}>
            …{one.id.slice(-8)}
          </a>
        </td>
        <td>
          <Status is={one.status} />
        </td>
        <td>{words(one.reason)}</td>
        <td class="opt cut" title={one.lastError.message}>
          {one.lastError.code}
        </td>
        <td class="opt">
          <SessionLink id={one.sessionId} />
        </td>
        <td class="opt">
          <Time at={one.createdAt} />
        </td>
        <td class="num opt">
          <Deeds one={one} />
        </td>
      </tr>
      {open && (
        <tr class="inner">
          <td colSpan={7}>
            <Details one={one} />
          </td>
        </tr>
      )}
    </>
  );
}

function Deeds({ one }: { one: DeadLetter }): JSX.Element {
  return (
    <>
      {one.status === "pending" && <Action deed={requeueing(one.id)} />}
      {one.status === "pending" && <Action deed={discarding(one.id)} />}
      {one.status === "discarded" && <Action deed={restoring(one.id)} />}
    </>
  );
}

function Details({ one }: { one: DeadLetter }): JSX.Element {
  return (
    <div class="columns">
      <section class="panel">
        <p class="narrow">
          <Deeds one={one} />
        </p>
        <h3>Attempts</h3>
        <ol class="ticker">
          {one.attempts.map((attempt) => (
            <li key={attempt.at}>
              <Time at={attempt.at} />
              <span>
                {attempt.runId && <RunLink id={attempt.runId} />} <b>{attempt.code}</b> {attempt.message}
              </span>
            </li>
          ))}
          {!one.attempts.length && (
            <li>
              <span />
              <span>{one.error}</span>
            </li>
          )}
        </ol>
        <Facts
          of={[
            ["From", one.sourcePersona ?? one.source],
            ["To", one.targetPersona],
            ["Tried again", String(one.retryCount)],
            ["Came back from", one.requeuedFrom],
            ["Decided by", one.decidedBy],
            ["Note", one.auditNote],
          ]}
        />
      </section>
      <section class="panel">
        <h3>What it holds</h3>
        {one.redacted ? <p class="quiet">It was erased.</p> : <Json value={one.payload} />}
      </section>
    </div>
  );
}

function requeueing(id: string): Deed<DecidedLetter> {
  return {
    operation: requeueA2aDlqItem,
    label: "Requeue",
    asked: () => ({ path: { id }, body: {} }),
    done: (data) => (data.updated ? "The work was put back." : "It had been put back before."),
  };
}

function discarding(id: string): Deed<DecidedLetter> {
  return {
    operation: discardA2aDlqItem,
    label: "Discard",
    danger: true,
    question: "The work will not be done. That can be taken back.",
    fields: [{ name: "auditNote", label: "Why", hint: "stands in the audit trail" }],
    asked: (values) => ({ path: { id }, body: said({ auditNote: values["auditNote"] }) }),
    done: () => "It was discarded.",
  };
}

function restoring(id: string): Deed<DecidedLetter> {
  return {
    operation: restoreA2aDlqItem,
    label: "Restore",
    asked: () => ({ path: { id }, body: {} }),
    done: () => "It is pending again.",
  };
}
