// The audit trail: who changed, decided or was denied what, and the fleet around each entry.

import { useSignal } from "@preact/signals";
import type { AuditEntry } from "@projectathena/client";
import { getAuditTrail } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { BeforeAndAfter, Copy, Empty, Facts, Filter, Json, Loaded, MorePages, RunLink, SessionLink, Table, Time } from "../components/ui";
import { visible, visibleLine, words } from "../format";
import { href, route } from "../route";
import { isAllowed } from "../state/caller";
import { positionOf } from "../state/events";
import { request } from "../state/instant";
import { reloadWhen, useLiveQuery } from "../state/live_query";

const PAGE = 100;

/** The types of events that entries are made of. */
const AUDITED =
  /^(a2a\.dlq|authn|authz|clock|halt|log|mcp-server|payload|permission-rule|policy|requests|roles|runs?\.(answered|bulk|cancel|resumed)|schedule|token|workflow\.(approval|run\.cancel|resumed)|workspace)|^[A-Z]/;

export function AuditTrail(): JSX.Element {
  return (
    <>
      <h1>Audit trail</h1>
      {isAllowed(getAuditTrail) ? <Entries /> : <Empty>Only an Admin may read the audit trail.</Empty>}
    </>
  );
}

function Entries(): JSX.Element {
  const { kind, actor, createdAfter, createdBefore } = route.value.filters;
  const query = { kind, actor, createdAfter, createdBefore, limit: PAGE };
  const key = JSON.stringify(query);
  const live = useLiveQuery(
    key,
    () => request(getAuditTrail, { query }),
    reloadWhen(({ type }) => AUDITED.test(type)),
  );
  return (
    <>
      <p class="quiet">Changes, decisions and denials, newest first. Each entry leads to the fleet as it was before and after it.</p>
      <div class="filters">
        <Filter name="kind" label="Kind" first />
        <Filter name="actor" label="By" />
        <Filter name="createdAfter" label="Created after" time />
        <Filter name="createdBefore" label="Created before" time />
      </div>
      <Loaded live={live}>
        {({ items, nextCursor }) => (
          <>
            {items.length ? <Rows items={items} /> : <Empty>No entries match these filters.</Empty>}
            <MorePages key={key} next={nextCursor} what="entries" read={(cursor) => request(getAuditTrail, { query: { ...query, cursor } })}>
              {(more) => <Rows items={more} />}
            </MorePages>
          </>
        )}
      </Loaded>
    </>
  );
}

function Rows({ items }: { items: readonly AuditEntry[] }): JSX.Element {
  return (
    <Table label="Audit trail" heads={["Time", "Event", "~By", "~Target", "~Reason", "Fleet", "#"]}>
      {items.map((entry) => (
        <Row key={entry.id} entry={entry} />
      ))}
    </Table>
  );
}

function Row({ entry }: { entry: AuditEntry }): JSX.Element {
  const open = useSignal(false);
  return (
    <>
      <tr data-entry={positionOf(entry.id)}>
        <td>
          <Time at={entry.createdAt} />
        </td>
        <td>
          <b>{entry.type}</b> <small class="quiet">{words(entry.kind)}</small>
          <small class="quiet narrow">{visibleLine(entry.actor)}</small>
        </td>
        <td class="opt">{visibleLine(entry.actor)}</td>
        <td class="opt cut">{visibleLine(entry.target ?? "")}</td>
        <td class="opt cut">{visibleLine(entry.reason ?? "")}</td>
        <td>
          <BeforeAndAfter position={positionOf(entry.id)} />
        </td>
        <td class="num">
          <button type="button" class="small" aria-expanded={open.value} onClick={() => (open.value = !open.value)}>
            {open.value ? "Close" : "View"}
          </button>
        </td>
      </tr>
      {open.value && (
        <tr class="inner">
          <td colSpan={7}>
            <Details entry={entry} />
          </td>
        </tr>
      )}
    </>
  );
}

function Details({ entry }: { entry: AuditEntry }): JSX.Element {
  const { before, after, details } = entry;
  return (
    <>
      <Facts
        of={[
          ["Target", entry.target && visible(entry.target)],
          ["Reason", entry.redacted ? "Redacted" : entry.reason && visible(entry.reason)],
          ["Run", entry.runId && <RunLink id={entry.runId} />],
          ["Session", entry.sessionId && <SessionLink id={entry.sessionId} />],
          ["Trace", <a href={href("events", undefined, { traceId: entry.traceId })}>{entry.traceId.slice(0, 8)}…</a>],
          ["Event", <Copy text={entry.id} label="Copy id" />],
        ]}
      />
      <div class="columns">
        <State title="Before" of={before} />
        <State title="After" of={after} />
      </div>
      <State title="Details" of={details} />
    </>
  );
}

function State({ title, of }: { title: string; of: Readonly<Record<string, unknown>> | undefined }): JSX.Element | null {
  if (!of) return null;
  return (
    <section>
      <h2>{title}</h2>
      <Json value={visible(JSON.stringify(of, null, 2))} />
    </section>
  );
}
