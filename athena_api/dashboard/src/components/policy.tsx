// The limits: the link to their form, and what others would have done to recorded history.

import { AthenaError, type OutcomeChange, type Simulation } from "@projectathena/client";
import { getPolicy, putPolicy, simulatePolicy } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { count, dollars, words } from "../format";
import { href } from "../route";
import { isAllowed } from "../state/caller";
import { request } from "../state/instant";
import type { Members } from "../state/schema";
import { Commands, ErrorMessage, Panel, SessionLink, Table } from "./ui";

/** A link to the form of the limits; `runId` is a rejected run to decide again. */
export function ChangeLimits({ runId }: { runId?: string | null | undefined }): JSX.Element | null {
  return isAllowed(putPolicy) ? (
    <a class="button" data-first="" href={href("form", putPolicy.id, { runId: runId ?? undefined })}>
      Change limits
    </a>
  ) : null;
}

const HOURS: readonly (readonly [string, number])[] = [
  ["Last hour", 1],
  ["Last 24 hours", 24],
  ["Last 7 days", 168],
];

interface SimulationProps {
  readonly title: string;
  readonly act: string;
  /** Default: the current policy. */
  readonly policy?: unknown;
  /** The request to decide, which may be a rejected one. */
  readonly runId?: string | null | undefined;
  /** The position to begin at. Default: a time to choose. */
  readonly since?: string;
}

/** Decides recorded requests again. Changes nothing. */
export function PolicySimulation({ title, act, policy, runId, since }: SimulationProps): JSX.Element | null {
  const [hours, setHours] = useState(24);
  const [seen, setSeen] = useState<{ readonly simulation: Simulation; readonly policy: unknown; readonly body: object }>();
  const [error, setError] = useState<AthenaError>();
  const [busy, setBusy] = useState(false);
  if (!isAllowed(simulatePolicy)) return null;
  const simulate = async (): Promise<void> => {
    setBusy(true);
    setError(undefined);
    try {
      const { updatedAt: _, ...limits } = (policy ?? (await request(getPolicy)).data ?? { schemaVersion: 1 }) as Members;
      const from = since ?? new Date(Date.now() - hours * 3_600_000).toISOString();
      const body = { policy: limits, since: from, ...(runId ? { runId } : {}) };
      setSeen({ simulation: (await request(simulatePolicy, { body })).data, policy, body });
    } catch (failure) {
      if (!(failure instanceof AthenaError)) throw failure;
      setError(failure);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Panel title={title} wide>
      <p>
        {!since && (
          <select aria-label="Requests of the" value={hours} onChange={({ currentTarget }) => setHours(Number(currentTarget.value))}>
            {HOURS.map(([text, value]) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </select>
        )}{" "}
        <button type="button" disabled={busy} onClick={() => void simulate()}>
          {act}
        </button>{" "}
        <span class="quiet">Decides recorded requests again. Changes nothing.</span>
      </p>
      {error && <ErrorMessage error={error} />}
      {seen && (
        <div role="status">
          {seen.policy !== policy && <p class="warn">The limits changed since. Simulate again.</p>}
          <Outcome of={seen.simulation} />
          <Commands operation={simulatePolicy} request={{ body: seen.body }} />
        </div>
      )}
    </Panel>
  );
}

function Outcome({ of }: { of: Simulation }): JSX.Element {
  const { recorded, simulated, run, newlyAllowed, newlyRejected } = of;
  const rows = [
    ["As recorded", recorded],
    ["With these limits", simulated],
  ] as const;
  return (
    <>
      {run && (
        <p class="verdict">
          This request:{" "}
          {run.simulated ? (
            <strong class="bad">Rejected: {words(run.simulated)}.</strong>
          ) : (
            <strong class="good">{run.waited ? "Queued." : "Accepted."}</strong>
          )}
        </p>
      )}
      <Table label="Simulation" heads={["Requests", "#Accepted", "#Rejected", "#Cost"]}>
        {rows.map(([name, counts]) => (
          <tr key={name}>
            <td>{name}</td>
            <td class="num">{count(counts.admitted)}</td>
            <td class="num">{count(counts.refused)}</td>
            <td class="num">{dollars(counts.costUsd * 1e6)}</td>
          </tr>
        ))}
      </Table>
      <Changed title="Would be accepted now" of={newlyAllowed} />
      <Changed title="Would be rejected now" of={newlyRejected} />
      <p class="quiet">
        {count(of.requests)} requests{of.truncated && ", and more that were not read"}; {count(of.waited)} would wait, {count(of.paused)} would pause at the
        daily budget.
        {of.notSimulated.length > 0 && ` Not simulated: ${of.notSimulated.join(", ")}.`}
      </p>
    </>
  );
}

const SESSIONS_SHOWN = 5;

function Changed({ title, of }: { title: string; of: OutcomeChange }): JSX.Element | null {
  if (!of.runs) return null;
  return (
    <p>
      <b>{title}:</b> {count(of.runs)} runs{" "}
      {of.bySession.slice(0, SESSIONS_SHOWN).map(({ name, runs }) => (
        <span key={name}>
          {name && <SessionLink id={name} />} ({count(runs)}){" "}
        </span>
      ))}
    </p>
  );
}
