// The guide of the demo on the fleet page: five steps, each a promise of the product.

import { listAsks, listRuns } from "@projectathena/client/operations";
import type { ComponentChildren, JSX } from "preact";
import { at, href } from "../route";
import { changesAsks } from "../state/asks";
import { capabilities } from "../state/event_stream";
import { done, type GuideStep } from "../state/guide";
import { useRead } from "../state/live_query";

interface Step {
  readonly id: GuideStep;
  readonly title: string;
  readonly text: ComponentChildren;
}

const LONG_SESSION = "yearbook-"; // of the run that writes for minutes

/** The steps. Shown only by the server of a demo. */
export function Guide(): JSX.Element | null {
  return capabilities.value?.demo && at.value === undefined ? <Steps /> : null;
}

function Steps(): JSX.Element {
  const live = useRead(listRuns, { query: { status: "running", limit: 50 } }, (event) => event.type.startsWith("run."));
  const reports = useRead(listAsks, { query: { kind: "workflow-approval", limit: 1 } }, changesAsks);
  const waiting = reports.data.value?.items[0]?.workflowRunId;
  const writing = live.data.value?.items.find((run) => run.sessionId.startsWith(LONG_SESSION))?.runId;
  const running = <a href={writing ? href("runs", writing) : href("runs", undefined, { status: "running" })}>run in progress</a>;
  const steps: readonly Step[] = [
    { id: "open", title: "Look inside", text: <>Open the {running}. Its text, tool calls and cost arrive live.</> },
    { id: "cancel", title: "Stop it", text: <>Cancel that {running}. It ends at once, and what it wrote is kept.</> },
    {
      id: "approve",
      title: "Decide",
      text: (
        <>
          Approve the <a href={href("workflows", waiting)}>report</a>, or answer an agent under “Needs you”. They wait for you, and do nothing before.
        </>
      ),
    },
    {
      id: "limit",
      title: "Ask why",
      text: (
        <>
          Open a <a href={href("rejections")}>rejected run</a>. See the rule, then raise the limit with “Change limits”.
        </>
      ),
    },
    {
      id: "kill",
      title: "Kill the server",
      text: (
        <>
          Press <kbd>k</kbd> in the terminal of the demo. The page disconnects, every run goes on, and <code>athena verify</code> says ok.
        </>
      ),
    },
  ];
  const finished = steps.filter(({ id }) => done.value.includes(id)).length;
  return (
    <section class="panel guide" aria-label="Demo">
      <header>
        <h2>Five things to try</h2>
        <span class="quiet" role="status">
          {finished === steps.length ? "All done. Connect your own model with: athena init" : `${finished} of ${steps.length} done`}
        </span>
      </header>
      <ol>
        {steps.map(({ id, title, text }, index) => {
          const isDone = done.value.includes(id);
          return (
            <li key={id} class={isDone ? "done" : ""} data-step={id}>
              <b>
                <span class="mark" role="img" aria-label={isDone ? "Done" : `Step ${index + 1}`}>
                  {isDone ? "✓" : index + 1}
                </span>
                {title}
              </b>
              <p>{text}</p>
            </li>
          );
        })}
      </ol>
    </section>
  );
}
