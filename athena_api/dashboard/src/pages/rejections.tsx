// What was refused: the rule, the request, and whether it would pass now.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { ApiError, request } from "../api";
import { Commands, Empty, ErrorMessage, Facts, Filter, Loaded, MorePages, Panel, SessionLink, Table, Time } from "../components/ui";
import { count, dollars, short, words } from "../format";
import {
  getFleetSummary,
  getPolicy,
  listPolicyConcurrencyRejections,
  type PolicyDocument,
  type Rejection,
  type Simulation,
  simulatePolicy,
} from "../generated";
import { href, route } from "../route";
import { isAllowed } from "../state/caller";
import { positionOf } from "../state/events";
import { reloadWhen, useLiveQuery } from "../state/live_query";

const REASONS = ["max-concurrent-runs-exceeded", "key-limit-exceeded", "daily-cost-budget-exceeded", "unpriced-model"];

export function Rejections(): JSX.Element {
  const { filters, id } = route.value;
  const wanted = { sessionId: filters.sessionId, reason: filters.reason, actor: filters.actor, provider: filters.provider };
  const live = useLiveQuery(
    JSON.stringify(wanted),
    () => request(listPolicyConcurrencyRejections, { query: { ...wanted, order: "newest", limit: 200 } }),
    reloadWhen((event) => event.type === "policy.rejected"),
  );
  return (
    <>
      <h1>Rejections</h1>
      <p class="quiet">Runs that the policy refused, newest first. A refused run never existed; its request is recorded here.</p>
      <div class="filters">
        <Filter name="sessionId" label="Session" first />
        <Filter name="reason" label="Rule" options={REASONS} />
        <Filter name="actor" label="Who asked" />
        <Filter name="provider" label="Provider" />
      </div>
      <Loaded live={live}>
        {({ items, nextCursor }) =>
          items.length ? (
            <>
              <Rows items={items} open={id} />
              <MorePages
                key={JSON.stringify(wanted)}
                next={nextCursor}
                what="rejections"
                read={(cursor) => request(listPolicyConcurrencyRejections, { query: { ...wanted, order: "newest", limit: 200, cursor } })}
              >
                {(more) => <Rows items={more} open={id} />}
              </MorePages>
            </>
          ) : (
            <Empty>Nothing was refused{Object.values(wanted).some(Boolean) ? " that fits these filters" : ""}.</Empty>
          )
        }
      </Loaded>
    </>
  );
}

function Rows({ items, open }: { items: readonly Rejection[]; open: string | undefined }): JSX.Element {
  return (
    <Table label="Rejections" heads={["When", "Rule", "~Session", "~Who asked", "#Then", "#"]}>
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
            {open ? "Close" : "Look"}
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
      <Panel title="The rule">
        <Facts
          of={[
            ["Rule", rule?.ruleName ?? rule?.ruleType],
            ["Policy", rule?.policyName],
            ["What it says", rule?.message],
            ["Then", `${load(rejection)} ${rejection.event.policyType === "COST" ? "were spent" : "were at work"}`],
          ]}
        />
      </Panel>
      <Panel title="The request">
        <Facts
          of={[
            ["Run", <span class="mono">{rejection.runId ? short(rejection.runId) : ""}</span>],
            ["Session", rejection.sessionId],
            ["Persona", rejection.event.rejectedRunDetails.personaName],
            ["Provider", rejection.provider],
            ["Model", rejection.plan?.model],
            ["Profile", rejection.harnessProfileId],
            ["Directive", rejection.directiveId],
            ["Input", input(rejection)],
            ["Trace", <a href={href("events", undefined, { traceId: rejection.traceId })}>{rejection.traceId.slice(0, 8)}…</a>],
          ]}
        />
      </Panel>
      <Panel title="Would it pass now?" wide>
        <PolicyRecheck rejection={rejection} />
      </Panel>
    </div>
  );
}

/** The input of the request, where it was recorded and not erased. */
function input({ plan, request }: Rejection): string | undefined {
  if (request?.input) return request.input;
  if (plan && !request?.directiveId) return `${count(plan.inputChars)} characters, not kept`;
  return undefined;
}

interface Recheck {
  readonly policy: PolicyDocument | null;
  readonly simulation: Simulation | undefined;
  readonly running: number;
}

function PolicyRecheck({ rejection }: { rejection: Rejection }): JSX.Element {
  const recheck = useSignal<Recheck | undefined>(undefined);
  const error = useSignal<ApiError | undefined>(undefined);
  const busy = useSignal(false);
  const since = Math.max(0, positionOf(rejection.id.replace(/^rej_/, "")) - 5); // before the first event of the refusal
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
      if (!(failed instanceof ApiError)) throw failed;
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
          Try it under the present policy
        </button>{" "}
        <span class="quiet">Nothing is changed by it.</span>
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
  const most = policy?.maxConcurrentRuns ?? undefined;
  const room = most === undefined ? `The fleet has no limit; ${count(running)} runs are at work.` : `Now ${count(running)} of ${count(most)} runs are at work.`;
  if (!run) return <p>{room}</p>;
  return (
    <p class="verdict">
      {run.simulated ? (
        <>
          <strong class="bad">No.</strong> In the same situation, the present policy refuses it, too: {words(run.simulated)}.
        </>
      ) : run.waited ? (
        <>
          <strong class="good">It would wait</strong> for its turn: the present policy does not refuse it.
        </>
      ) : (
        <>
          <strong class="good">Yes.</strong> In the same situation, the present policy admits it
          {rejection.reason ? <span class="quiet"> (then: {words(rejection.reason)})</span> : null}.
        </>
      )}{" "}
      {room}
    </p>
  );
}
