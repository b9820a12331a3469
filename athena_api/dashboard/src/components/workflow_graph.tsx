// A workflow as a graph, and a run of it as bars of time.

import type { StepState, WorkflowDefinition, WorkflowRun } from "@projectathena/client";
import type { JSX } from "preact";
import { between, duration } from "../format";
import { now } from "../state/clock";
import { placesOf } from "../state/workflow_layout";

const [WIDTH, HEIGHT, GAP_X, GAP_Y] = [184, 44, 48, 14];
const BARS_MAX = 200;

/** The steps from left to right, with the edges between them. */
export function Graph(props: {
  definition: WorkflowDefinition;
  states: ReadonlyMap<string, StepState>;
  chosen: string;
  choose: (id: string) => void;
}): JSX.Element {
  const { definition, states, chosen, choose } = props;
  const { places, columns, rows } = placesOf(definition);
  const left = (id: string): number => (places.get(id)?.column ?? 0) * (WIDTH + GAP_X);
  const top = (id: string): number => (places.get(id)?.row ?? 0) * (HEIGHT + GAP_Y);
  const [width, height] = [columns * (WIDTH + GAP_X) - GAP_X, rows * (HEIGHT + GAP_Y) - GAP_Y];
  return (
    <div class="pan" role="region" aria-label="Graph of the steps" tabIndex={0}>
      <div class="graph" style={{ width: `${width}px`, height: `${height}px` }}>
        <svg width={width} height={height} aria-hidden="true">
          {definition.dependencies.map(({ from, to }) => {
            const [x, y, endX, endY] = [left(from) + WIDTH, top(from) + HEIGHT / 2, left(to), top(to) + HEIGHT / 2];
            const bend = GAP_X / 2;
            return <path key={`${from} ${to}`} d={`M${x} ${y}C${x + bend} ${y} ${endX - bend} ${endY} ${endX} ${endY}`} class={states.get(from)?.status} />;
          })}
        </svg>
        {definition.steps.map(({ id }) => {
          const status = states.get(id)?.status ?? "pending";
          return (
            <button
              type="button"
              key={id}
              class={`node ${status}`}
              title={id}
              aria-pressed={id === chosen}
              style={{ left: `${left(id)}px`, top: `${top(id)}px`, width: `${WIDTH}px`, height: `${HEIGHT}px` }}
              onClick={() => choose(id)}
            >
              <b>{id}</b> <span class={`status ${status}`}>{status}</span>
            </button>
          );
        })}
      </div>
    </div>
  );
}

/** When each step ran, in its last attempt. */
export function Gantt({ nodes, run }: { nodes: readonly StepState[]; run: WorkflowRun }): JSX.Element | null {
  const from = run.startedAt ?? run.createdAt;
  const whole = Math.max(1, between(from, run.finishedAt ?? now.value));
  const started = nodes.filter(({ checkpoint }) => checkpoint?.startedAt);
  if (!started.length) return null;
  return (
    <>
      <h3 class="more">Times</h3>
      <ol class="gantt">
        {started.slice(0, BARS_MAX).map(({ stepId, status, checkpoint }) => {
          const begin = checkpoint?.startedAt ?? from;
          const took = Math.max(0, between(begin, checkpoint?.finishedAt ?? now.value));
          const offset = Math.max(0, between(from, begin));
          return (
            <li key={stepId} class={status}>
              <span class="cut">{stepId}</span>
              <span class="track">
                <i style={{ left: `${Math.min(100, (offset / whole) * 100)}%`, width: `${Math.min(100, (took / whole) * 100)}%` }} />
              </span>
              <span class="num">{duration(took)}</span>
            </li>
          );
        })}
      </ol>
      {started.length > BARS_MAX && <p class="quiet">and {started.length - BARS_MAX} more steps</p>}
    </>
  );
}
