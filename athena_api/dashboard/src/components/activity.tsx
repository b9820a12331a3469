// What a run shows while it works: the plan and the reasoning of an outside agent, and calls that have not ended. Nothing of it is recorded.

import type { AgentActivity, OpenCall } from "@projectathena/client";
import type { JSX } from "preact";
import { visible, visibleLine } from "../format";
import { FoldedDiff } from "./diff";
import { Empty, Panel } from "./ui";

const OPEN_LINES = 12;
const SIGNS: Readonly<Record<string, readonly [string, string]>> = { completed: ["✓", "done"], in_progress: ["▸", "in progress"], pending: ["○", "open"] };

export function Activity({ of, agent }: { of: AgentActivity | undefined; agent: string }): JSX.Element {
  const { plan = [], calls = [], thoughts } = of ?? {};
  return (
    <Panel title="Now" wide aside={<span class="quiet">{agent} · live, not recorded</span>}>
      <div class="activity">
        {plan.length > 0 && (
          <ol class="plan" aria-label="Plan">
            {plan.map(({ text, status }, index) => (
              <li key={index} class={status}>
                <span role="img" aria-label={SIGNS[status]?.[1] ?? status}>
                  {SIGNS[status]?.[0]}
                </span>{" "}
                {visibleLine(text)}
              </li>
            ))}
          </ol>
        )}
        {calls.map((call) => (
          <Running key={call.toolCallId} call={call} />
        ))}
        {thoughts && (
          <div class="thoughts">
            <p class="quiet">Reasoning</p>
            <pre class="prose quiet" tabIndex={0} aria-label="Reasoning">
              {visible(thoughts)}
            </pre>
          </div>
        )}
        {!plan.length && !calls.length && !thoughts && <Empty>No plan, reasoning or open call</Empty>}
      </div>
    </Panel>
  );
}

function Running({ call: { kind, title, status, output, diff } }: { call: OpenCall }): JSX.Element {
  return (
    <div class="call">
      <p class="mono act">
        <b>{kind}</b> {visibleLine(title)} <span class="quiet">{status === "pending" ? "not begun" : "in progress"}</span>
      </p>
      {output && (
        <pre tabIndex={0} aria-label="Output so far">
          {visible(output)}
        </pre>
      )}
      {diff && <FoldedDiff diff={diff} open={OPEN_LINES} />}
    </div>
  );
}
