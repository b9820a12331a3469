// What was refused: the rule, the request, and whether it would pass now.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { ask, Refused } from "../api";
import { positionOf } from "../state/event_stream";
import { count, dollars, short, words } from "../format";
import {
  getFleetSummary,
  getPolicy,
  listPolicyConcurrencyRejections,
  simulatePolicy,
  type PolicyDocument,
  type Rejection,
  type Simulation,
} from "../generated";
import { useLive, whenever } from "../state/live_query";
import { href, place } from "../route";
import { Commands, Empty, Facts, Filter, may, More, Panel, SessionLink, Shown, Table, Time, Trouble } from "../components/ui";

const REASONS = ["max-concurrent-runs-exceeded", "key-limit-exceeded", "daily-cost-budget-exceeded", "unpriced-model"];

export function Rejections(): JSX.Element {
  const { filters, id } = place.value;
  const wanted = { sessionId: filters["sessionId"], reason: filters["reason"], actor: filters["actor"], provider: filters["provider"] };
  const live = useLive(
    JSON.stringify(wanted),
    () => ask(listPolicyConcurrencyRejections, { query: { ...wanted, order: "newest", limit: 200 } }),
    whenever((event) => event.type === "policy.rejected"),
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
      <Shown live={live}>
        {({ items, nextCursor }) =>
          items.length ? (
            <>
              <Rows items={items} open={id} />
              <More
                key={JSON.stringify(wanted)}
                next={nextCursor}
                what="rejections"
                read={(cursor) => ask(listPolicyConcurrencyRejections, { query: { ...wanted, order: "newest", limit: 200, cursor } })}
              >
                {(more) => <Rows items={more} open={id} />}
              </More>
            </>
          ) : (
            <Empty>Nothing was refused{Object.values(wanted).some(Boolean) ? " that fits these filters" : ""}.</Empty>
          )
        }
      </Shown>
    </>
  );
}

function Rows({ items, open }: { items: readonly Rejection[]; open: string | undefined }): JSX.Element {
  return (
    <Table label="Rejections" heads={["When", "Rule", "~Session", "~Who asked", "#Then", "#"]}>
      {items.map((one) => (
        <Row key={one.id} one={one} open={one.id === open} />
      ))}
    </Table>
  );
}

function Row({ one, open }: { one: Rejection; open: boolean }): JSX.Element {
  return (
    <>
      <tr data-rejection={one.id}>
        <td>
          <Time at={one.createdAt} />
        </td>
        <td>
          <b>{words(one.reason)}</b>
        </td>
        <td class="opt">
          <SessionLink id={one.sessionId} />
        </td>
        <td class="opt">{one.actor}</td>
        <td class="num">{load(one)}</td>
        <td class="num">
          <a class="button small" aria-expanded={open} href={open ? href("rejections", undefined, place.value.filters) : href("rejections", one.id, place.value.filters)}>
            {open ? "Close" : "Look"}
          </a>
        </td>
      </tr>
      {open && (
        <tr class="inner">
          <td colSpan={6}>
            <Details one={one} />
          </td>
        </tr>
      )}
    </>
  );
}

function load(one: Rejection): string {
  const { event } = one;
  if (event.policyType === "COST") return `${dollars(event.spentMicroUsd ?? 0)} of ${dollars(event.budgetMicroUsd ?? 0)}`;
  return `${count(one.activeRuns)} of ${count(one.maxConcurrentRuns)} runs`;
}

function Details({ one }: { one: Rejection }): JSX.Element {
  const rule = one.policy ?? one.event.policy;
  return (
    <div class="columns">
      <Panel title="The rule">
        <Facts
          of={[
            ["Rule", rule?.ruleName ?? rule?.ruleType],
            ["Policy", rule?.policyName],
            ["What it says", rule?.message],
            ["Then", `${load(one)} ${one.event.policyType === "COST" ? "were spent" : "were at work"}`],
          ]}
        />
      </Panel>
      <Panel title="The request">
        <Facts
          of={[
            ["Run", <span class="mono">{one.runId ? short(one.runId) : ""}</span>],
            ["Session", one.sessionId],
            ["Persona", one.event.rejectedRunDetails.personaName],
            ["Provider", one.provider],
            ["Model", one.plan?.model],
            ["Profile", one.harnessProfileId],
            ["Directive", one.directiveId],
            ["Input", input(one)],
            ["Trace", <a href={href("events", undefined, { traceId: one.traceId })}>{one.traceId.slice(0, 8)}…</a>],
          ]}
        />
      </Panel>
      <Panel title="Would it pass now?" wide>
        <Again one={one} />
      </Panel>
    </div>
  );
}

/** What was asked for, as far as it was recorded and not erased. */
function input({ plan, request }: Rejection): string | undefined {
  if (request?.input) return request.input;
  if (plan && !request?.directiveId) return `${count(plan.inputChars)} characters, not kept`;
  return undefined;
}

interface Found {
  readonly policy: PolicyDocument | null;
  readonly simulation: Simulation | undefined;
  readonly running: number;
}

function Again({ one }: { one: Rejection }): JSX.Element {
  const found = useSignal<Found | undefined>(undefined);
  const error = useSignal<Refused | undefined>(undefined);
  const busy = useSignal(false);
  const since = Math.max(0, positionOf(one.id.replace(/^rej_/, "")) - 5); // before the first event of the refusal
  const look = async (): Promise<void> => {
    busy.value = true;
    error.value = undefined;
    try {
      const policy = (await ask(getPolicy)).data;
      const { running } = (await ask(getFleetSummary)).data;
      const simulation = may(simulatePolicy) && one.runId ? (await ask(simulatePolicy, { body: bodyOf(one, policy, since) })).data : undefined;
      found.value = { policy, simulation, running };
    } catch (failed) {
      if (!(failed instanceof Refused)) throw failed;
      error.value = failed;
    } finally {
      busy.value = false;
    }
  };
  const { value } = found;
  return (
    <>
      <p>
        <button type="button" disabled={busy.value} onClick={() => void look()}>
          Try it under the present policy
        </button>{" "}
        <span class="quiet">Nothing is changed by it.</span>
      </p>
      {error.value && <Trouble error={error.value} />}
      {value && (
        <div role="status">
          <Verdict found={value} one={one} />
          {value.simulation && <Commands operation={simulatePolicy} asked={{ body: bodyOf(one, value.policy, since) }} />}
        </div>
      )}
    </>
  );
}

function bodyOf(one: Rejection, policy: PolicyDocument | null, since: number): Readonly<Record<string, unknown>> {
  const { updatedAt: _, ...limits } = policy ?? { schemaVersion: 1, updatedAt: "" };
  return { policy: limits, since: String(since), ...(one.runId ? { runId: one.runId } : {}) };
}

function Verdict({ found, one }: { found: Found; one: Rejection }): JSX.Element {
  const { policy, running, simulation } = found;
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
          {one.reason ? <span class="quiet"> (then: {words(one.reason)})</span> : null}.
        </>
      )}{" "}
      {room}
    </p>
  );
}
