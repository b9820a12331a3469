// Workflows: step graph, progress and actions, live.

import type { StepState, Workflow, WorkflowRun, WorkflowRunDetails } from "@projectathena/client";
import {
  cancelWorkflowRun,
  createWorkflow,
  getWorkflowRun,
  listWorkflowRuns,
  listWorkflows,
  resumeWorkflow,
  runWorkflow,
} from "@projectathena/client/operations";
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Action, type ActionSpec } from "../components/actions";
import { Bar, Empty, Facts, Loaded, Panel, RunLink, Status, Table, Time } from "../components/ui";
import { Gantt, Graph } from "../components/workflow_graph";
import { duration, short } from "../format";
import { href, route } from "../route";
import { isAllowed } from "../state/caller";
import { type SeenEvent, text } from "../state/events";
import { request } from "../state/instant";
import { useLiveQuery, useRead } from "../state/live_query";
import { textLine } from "../state/schema";

const WORKFLOWS_MAX = 100; // one request per workflow

const isAbout = (event: SeenEvent, workflowId?: string): boolean =>
  event.type.startsWith("workflow.") && (workflowId === undefined || text(event, "workflowId") === workflowId);

export function Workflows(): JSX.Element {
  const { id } = route.value;
  if (id !== undefined) return <WorkflowDetail key={id} id={id} />;
  const live = useRead(listWorkflows, { query: { limit: WORKFLOWS_MAX } }, (event) => event.type === "workflow.created");
  return (
    <>
      <h1>
        Workflows{" "}
        {isAllowed(createWorkflow) && (
          <a class="button" href={href("form", createWorkflow.id)}>
            New workflow
          </a>
        )}
      </h1>
      <Loaded live={live}>
        {({ items, nextCursor }) =>
          items.length ? (
            <>
              <Table label="Workflows" heads={["Workflow", "~Steps", "Latest execution", "Progress", "~Created", "~Created by"]}>
                {items.map((workflow) => (
                  <Row key={workflow.id} workflow={workflow} />
                ))}
              </Table>
              {nextCursor && <p class="quiet">Showing the newest {WORKFLOWS_MAX}. Open an older one by its id: #/workflows/wf_…</p>}
            </>
          ) : (
            <Empty>No workflows yet. Create one above, or with: athena workflows create --body workflow.json</Empty>
          )
        }
      </Loaded>
    </>
  );
}

function Row({ workflow }: { workflow: Workflow }): JSX.Element {
  const live = useRead(getWorkflowRun, { path: { id: workflow.id } }, (event) => isAbout(event, workflow.id));
  const seen = live.data.value;
  return (
    <tr>
      <td>
        <a class="mono" href={href("workflows", workflow.id)} title={workflow.id}>
          …{workflow.id.slice(-8)}
        </a>
      </td>
      <td class="opt cut">{workflow.definition.steps.map((step) => step.id).join(", ")}</td>
      <td>{seen?.run ? <Status is={seen.run.status} /> : <span class="quiet">{seen ? "not run yet" : "…"}</span>}</td>
      <td>
        {seen?.run ? <Bar label="Progress" value={seen.progress.percentComplete} max={100} text={`${Math.round(seen.progress.percentComplete)} %`} /> : ""}
      </td>
      <td class="opt">
        <Time at={workflow.createdAt} />
      </td>
      <td class="opt">{workflow.createdBy}</td>
    </tr>
  );
}

function WorkflowDetail({ id }: { id: string }): JSX.Element {
  const live = useLiveQuery(
    `workflow ${id}`,
    () => request(getWorkflowRun, { path: { id } }),
    (state, events, reload) => {
      if (events.some((event) => isAbout(event, state.workflow.id) || concernsRunOf(state, event))) reload();
      return state;
    },
  );
  return (
    <>
      <p>
        <a href={href("workflows")}>All workflows</a>
      </p>
      <Loaded live={live}>{(seen) => <WorkflowState seen={seen} id={id} />}</Loaded>
    </>
  );
}

function concernsRunOf(state: WorkflowRunDetails, event: SeenEvent): boolean {
  return (
    event.runId !== undefined &&
    event.runId !== null &&
    state.nodes.some((node) => node.runId === event.runId || node.items?.some((item) => item.runId === event.runId))
  );
}

function WorkflowState({ seen, id }: { seen: WorkflowRunDetails; id: string }): JSX.Element {
  const { workflow, run, nodes, progress, eta } = seen;
  const open = run !== null && !["ok", "failed", "cancelled"].includes(run.status);
  const resumable = run !== null && (run.status === "failed" || run.status === "cancelled");
  return (
    <>
      <h1>
        Workflow <span class="mono">{short(workflow.id)}</span> {run ? <Status is={run.status} /> : <Status is="not-run-yet" />}
        {resumable && <Action action={resumeAction(run.id, run.workflowId)} />}
        {open && <Action action={cancelAction(run.id)} />}
        {!open && isAllowed(runWorkflow) && (
          <a class="button" href={href("form", runWorkflow.id, { of: workflow.id })}>
            Run now
          </a>
        )}
      </h1>
      <div class="columns">
        <Panel title="Progress">
          <Bar
            label="Steps"
            value={progress.completedSteps + progress.skippedSteps}
            max={progress.totalSteps}
            text={`${progress.completedSteps} of ${progress.totalSteps} ok`}
          />
          <Facts
            of={[
              ["Failed", progress.failedSteps ? String(progress.failedSteps) : undefined],
              ["Skipped", progress.skippedSteps ? String(progress.skippedSteps) : undefined],
              ["Estimated time left", open && run?.status !== "waiting" && eta.estimatedRemainingMs ? duration(eta.estimatedRemainingMs) : undefined],
              ["Started", run ? <Time at={run.startedAt ?? run.createdAt} /> : undefined],
              ["Ended", run?.finishedAt ? <Time at={run.finishedAt} /> : undefined],
              ["Requested by", run?.requestedBy],
              ["Execution", run ? <span class="mono">{short(run.id)}</span> : undefined],
            ]}
          />
        </Panel>
        <Panel title="Executions">
          <Runs id={workflow.id} shown={run?.id ?? id} />
        </Panel>
        <Panel title="Steps" wide>
          <Steps workflow={workflow} nodes={nodes} run={run} />
        </Panel>
      </div>
    </>
  );
}

function Runs({ id, shown }: { id: string; shown: string }): JSX.Element {
  const live = useRead(listWorkflowRuns, { path: { workflowId: id }, query: { limit: 20 } }, (event) => isAbout(event, id));
  return (
    <Loaded live={live}>
      {({ items }) =>
        items.length ? (
          <ul class="list">
            {items.map((run) => (
              <li key={run.id}>
                <Status is={run.status} />
                <a class="mono" aria-current={run.id === shown ? "true" : undefined} href={href("workflows", run.id)}>
                  …{run.id.slice(-8)}
                </a>
                <Time at={run.createdAt} />
              </li>
            ))}
          </ul>
        ) : (
          <Empty>No executions yet.</Empty>
        )
      }
    </Loaded>
  );
}

/** The graph, the times of its steps, and the chosen step in full: by default one that needs a person, failed or runs. */
function Steps({ workflow, nodes, run }: { workflow: Workflow; nodes: readonly StepState[]; run: WorkflowRun | null }): JSX.Element {
  const [given, choose] = useState<string>();
  const urgent = ["waiting", "failed", "running"].flatMap((status) => nodes.filter((node) => node.status === status));
  const chosen = given ?? urgent[0]?.stepId ?? workflow.definition.steps.at(-1)?.id ?? "";
  const needs = workflow.definition.dependencies.filter(({ to }) => to === chosen).map(({ from }) => from);
  const states = new Map(nodes.map((node) => [node.stepId, node]));
  return (
    <>
      <Graph definition={workflow.definition} states={states} chosen={chosen} choose={choose} />
      <ul class="chosen">
        <Step id={chosen} state={states.get(chosen)} needs={needs} run={run} />
      </ul>
      {run && <Gantt nodes={nodes} run={run} />}
    </>
  );
}

function Step(props: { id: string; state: StepState | undefined; needs: readonly string[]; run: WorkflowRun | null }): JSX.Element {
  const { id, state, needs, run } = props;
  const status = state?.status ?? "pending";
  const { approval, checkpoint } = state ?? {};
  return (
    <li class={`step ${status}`}>
      <header>
        <b>{id}</b> <Status is={status} />
      </header>
      {needs.length > 0 && <p class="quiet">after {needs.join(", ")}</p>}
      {state?.runId && (
        <p>
          <RunLink id={state.runId} /> <span class="quiet">attempt {state.attempt}</span>
        </p>
      )}
      {checkpoint?.error && <p class="bad">{checkpoint.error}</p>}
      {checkpoint?.artifact?.output && <Output text={checkpoint.artifact.output} more={checkpoint.artifact.outputTruncated ? state?.runId : undefined} />}
      {state?.itemCounts && (
        <p class="quiet">
          {state.itemCounts.ok} of {state.itemCounts.total} items ok{state.itemCounts.failed > 0 && `, ${state.itemCounts.failed} failed`}
        </p>
      )}
      {state?.note && <p class="quiet">{state.note}</p>}
      {approval && run && (
        <>
          <p>{approval.message ?? "Approval required"}</p>
          {approval.expiresAt && (
            <p class="quiet">
              expires <Time at={approval.expiresAt} upcoming />
            </p>
          )}
          <p>
            <a class="button primary" href={href("asks", approval.askId)}>
              Read and decide
            </a>
          </p>
        </>
      )}
    </li>
  );
}

const PREVIEW_CHARACTERS = 120;

/** The output of a step: its beginning, and all of it once opened. `more` is the run that has the rest. */
function Output({ text, more }: { text: string; more: string | null | undefined }): JSX.Element {
  const start = text.slice(0, PREVIEW_CHARACTERS);
  if (start === text && !more && !text.includes("\n")) return <p class="output">{text}</p>;
  return (
    <details class="output">
      <summary>{start} …</summary>
      <pre tabIndex={0}>{text}</pre>
      {more && (
        <p class="quiet">
          The rest is in the run <RunLink id={more} />
        </p>
      )}
    </details>
  );
}

// Actions

function resumeAction(id: string, workflowId: string): ActionSpec<unknown> {
  return {
    operation: resumeWorkflow,
    label: "Resume",
    request: () => ({ path: { id }, body: {}, respondAsync: true }),
    done: () => "Resumed. Completed steps are not repeated.",
    failure: () => (event) => (event.type === "workflow.run.failed" && text(event, "workflowId") === workflowId ? "The workflow failed again." : undefined),
  };
}

function cancelAction(id: string): ActionSpec<unknown> {
  return {
    operation: cancelWorkflowRun,
    label: "Cancel",
    danger: true,
    question: "Stops this execution and the runs of its steps. You can resume it later.",
    fields: { reason: textLine() },
    request: (body) => ({ path: { id }, body }),
    done: () => "Cancel requested.",
  };
}
