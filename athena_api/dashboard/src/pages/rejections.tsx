// Rejected runs: the rule, the request, and a re-check against the current policy.

import { useSignal } from "@preact/signals";
import { AthenaError, type PolicyDocument, type Rejection, type Simulation } from "@projectathena/client";
import { getFleetSummary, getPolicy, listPolicyConcurrencyRejections, simulatePolicy } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { ChangeLimits } from "../components/policy";
import { BeforeAndAfter, Commands, Empty, ErrorMessage, Facts, Filter, Loaded, MorePages, Panel, SessionLink, Table, Time } from "../components/ui";
import { count, dollars, profileText, short, words } from "../format";
import { at, href, route } from "../route";
import { isAllowed } from "../state/caller";
import { positionOf } from "../state/events";
import { request } from "../state/instant";
import { reloadWhen, useLiveQuery } from "../state/live_query";

const REASONS = ["max-concurrent-runs-exceeded", "key-limit-exceeded", "daily-cost-budget-exceeded", "unpriced-model"];

export function Rejections(): JSX.Element {
  const { filters, id } = route.value;
  const query = { sessionId: filters.sessionId, reason: filters.reason, actor: filters.actor, provider: filters.provider };
  const live = useLiveQuery(
    JSON.stringify(query),
    () => request(listPolicyConcurrencyRejections, { query: { ...query, order: "newest", limit: 200 } }),
    reloadWhen((event) => event.type === "policy.rejected"),
  );
  return (
    <>
      <h1>Rejected runs</h1>
      <p class="quiet">Requests for runs that the policy rejected, newest first. No run was created for them.</p>
      <div class="filters">
        <Filter name="sessionId" label="Session" first />
        <Filter name="reason" label="Rule" options={REASONS} />
        <Filter name="actor" label="Requested by" />
        <Filter name="provider" label="Provider" />
      </div>
      <Loaded live={live}>
        {({ items, nextCursor }) =>
          items.length ? (
            <>
              <Rows items={items} open={id} />
              <MorePages
                key={JSON.stringify(query)}
                next={nextCursor}
                what="rejected runs"
                read={(cursor) => request(listPolicyConcurrencyRejections, { query: { ...query, order: "newest", limit: 200, cursor } })}
              >
                {(more) => <Rows items={more} open={id} />}
              </MorePages>
            </>
          ) : (
            <Empty>No rejected runs{Object.values(query).some(Boolean) ? " match these filters" : ""}.</Empty>
          )
        }
      </Loaded>
    </>
  );
}

function Rows({ items, open }: { items: readonly Rejection[]; open: string | undefined }): JSX.Element {
  return (
    <Table label="Rejected runs" heads={["Time", "Rule", "~Session", "~Requested by", "#At the time", "#"]}>
      {items.map((rejection) => (
        <Row key={rejection.id} rejection={rejection} open={rejection.id === open} />
      ))}
    </Table>
  );
}

function Row({ rejection, open }: { rejection: Rejection; open: boolean }): JSX.Element {
  return (
    <>
      <tr data-rejection={rejection.id}>
        <td>
          <Time at={rejection.createdAt} />
        </td>
        <td>
          <b>{words(rejection.reason)}</b>
        </td>
        <td class="opt">
          <SessionLink id={rejection.sessionId} />
        </td>
        <td class="opt">{rejection.actor}</td>
        <td class="num">{load(rejection)}</td>
        <td class="num">
          <a
            class="button small"
            aria-expanded={open}
            href={open ? href("rejections", undefined, route.value.filters) : href("rejections", rejection.id, route.value.filters)}
          >
            {open ? "Close" : "View"}
          </a>
        </td>
      </tr>
      {open && (
        <tr class="inner">
          <td colSpan={6}>
            <Details rejection={rejection} />
          </td>
        </tr>
      )}
    </>
  );
}

function load(rejection: Rejection): string {
  const { event } = rejection;
  if (event.policyType === "COST") return `${dollars(event.spentMicroUsd ?? 0)} of ${dollars(event.budgetMicroUsd ?? 0)}`;
  return `${count(rejection.activeRuns)} of ${count(rejection.maxConcurrentRuns)} runs`;
}

function Details({ rejection }: { rejection: Rejection }): JSX.Element {
  const rule = rejection.policy ?? rejection.event.policy;
  return (
    <div class="columns">
      <Panel title="Rule">
        <Facts
          of={[
            ["Rule", rule?.ruleName ?? rule?.ruleType],
            ["Policy", rule?.policyName],
            ["Message", rule?.message],
            ["At the time", `${load(rejection)} ${rejection.event.policyType === "COST" ? "spent" : "in progress"}`],
          ]}
        />
      </Panel>
      <Panel title="Request">
        <Facts
          of={[
            ["Run", <span class="mono">{rejection.runId ? short(rejection.runId) : ""}</span>],
            ["Session", rejection.sessionId],
            ["Persona", rejection.event.rejectedRunDetails.personaName],
            ["Provider", rejection.provider],
            ["Model", rejection.plan?.model],
            ["Agent (profile)", rejection.harnessProfileId && profileText(rejection.harnessProfileId, rejection.provider ?? "", rejection.plan?.model ?? "")],
            ["Directive", rejection.directiveId],
            ["Input", input(rejection)],
            ["Fleet", <BeforeAndAfter position={positionOf(rejection.id.replace(/^rej_/, ""))} />],
            ["Trace", <a href={href("events", undefined, { traceId: rejection.traceId })}>{rejection.traceId.slice(0, 8)}…</a>],
          ]}
        />
      </Panel>
      {at.value === undefined && (
        <Panel title="Re-check" wide>
          <PolicyRecheck rejection={rejection} />
        </Panel>
      )}
    </div>
  );
}

/** Return the input of the request, if it was recorded and not redacted. */
function input({ plan, request }: Rejection): string | undefined {
  if (request?.input) return request.input;
  if (plan && !request?.directiveId) return `${count(plan.inputChars)} characters, not stored`;
  return undefined;
}

interface Recheck {
  readonly policy: PolicyDocument | null;
  readonly simulation: Simulation | undefined;
  readonly running: number;
}

function PolicyRecheck({ rejection }: { rejection: Rejection }): JSX.Element {
  const recheck = useSignal<Recheck | undefined>(undefined);
  const error = useSignal<AthenaError | undefined>(undefined);
  const busy = useSignal(false);
  const since = Math.max(0, positionOf(rejection.id.replace(/^rej_/, "")) - 5); // before the first event of the rejection
  const check = async (): Promise<void> => {
    busy.value = true;
    error.value = undefined;
    try {
      const policy = (await request(getPolicy)).data;
      const { running } = (await request(getFleetSummary)).data;
      const simulation =
        isAllowed(simulatePolicy) && rejection.runId ? (await request(simulatePolicy, { body: bodyOf(rejection, policy, since) })).data : undefined;
      recheck.value = { policy, simulation, running };
    } catch (failed) {
      if (!(failed instanceof AthenaError)) throw failed;
      error.value = failed;
    } finally {
      busy.value = false;
    }
  };
  const { value } = recheck;
  return (
    <>
      <p>
        <button type="button" disabled={busy.value} onClick={() => void check()}>
          Re-check against current policy
        </button>{" "}
        <span class="quiet">Changes nothing.</span> <ChangeLimits />
      </p>
      {error.value && <ErrorMessage error={error.value} />}
      {value && (
        <div role="status">
          <RecheckResult recheck={value} rejection={rejection} />
          {value.simulation && <Commands operation={simulatePolicy} request={{ body: bodyOf(rejection, value.policy, since) }} />}
        </div>
      )}
    </>
  );
}

function bodyOf(rejection: Rejection, policy: PolicyDocument | null, since: number): Readonly<Record<string, unknown>> {
  const { updatedAt: _, ...limits } = policy ?? { schemaVersion: 1, updatedAt: "" };
  return { policy: limits, since: String(since), ...(rejection.runId ? { runId: rejection.runId } : {}) };
}

function RecheckResult({ recheck, rejection }: { recheck: Recheck; rejection: Rejection }): JSX.Element {
  const { policy, running, simulation } = recheck;
  const run = simulation?.run;
  const limit = policy?.maxConcurrentRuns ?? undefined;
  const usage = limit === undefined ? `${count(running)} runs in progress, no limit.` : `${count(running)} of ${count(limit)} runs in progress.`;
  if (!run) return <p>{usage}</p>;
  return (
    <p class="verdict">
      {run.simulated ? (
        <>
          <strong class="bad">Rejected again.</strong> The current policy also rejects this request: {words(run.simulated)}.
        </>
      ) : run.waited ? (
        <>
          <strong class="good">Queued.</strong> The current policy accepts this request, but it would wait in the queue.
        </>
      ) : (
        <>
          <strong class="good">Accepted.</strong> The current policy accepts this request
          {rejection.reason ? <span class="quiet"> (at the time: {words(rejection.reason)})</span> : null}.
        </>
      )}{" "}
      {usage}
    </p>
  );
}
