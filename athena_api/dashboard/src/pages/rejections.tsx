// Rejected runs: the rule, the request, and a re-check against the current policy.

import type { Rejection } from "@projectathena/client";
import type { JSX } from "preact";
import { ChangeLimits, PolicySimulation } from "../components/policy";
import type { Cells } from "../components/rows";
import { BeforeAndAfter, Facts, Panel } from "../components/ui";
import { count, dollars, profileText, short, words } from "../format";
import { href } from "../route";
import { positionOf } from "../state/events";

/** The cells of a list of rejected runs. */
export const REJECTION_CELLS: Cells = {
  reason: ({ reason }) => <b>{words(String(reason))}</b>,
  load: (rejection) => load(rejection as unknown as Rejection),
};

function load(rejection: Rejection): string {
  const { event } = rejection;
  if (event.policyType === "COST") return `${dollars(event.spentMicroUsd ?? 0)} of ${dollars(event.budgetMicroUsd ?? 0)}`;
  return `${count(rejection.activeRuns)} of ${count(rejection.maxConcurrentRuns)} runs`;
}

/** The rule, the request, and what the policy would decide now. */
export function RejectionDetails({ rejection }: { rejection: Rejection }): JSX.Element {
  const since = Math.max(0, positionOf(rejection.id.replace(/^rej_/, "")) - 5); // before the first event of the rejection
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
      <PolicySimulation title="Re-check" act="Re-check against current policy" runId={rejection.runId} since={String(since)} />
      <p>
        <ChangeLimits runId={rejection.runId} />
      </p>
    </div>
  );
}

/** Return the input of the request, if it was recorded and not redacted. */
function input({ plan, request }: Rejection): string | undefined {
  if (request?.input) return request.input;
  if (plan && !request?.directiveId) return `${count(plan.inputChars)} characters, not stored`;
  return undefined;
}
