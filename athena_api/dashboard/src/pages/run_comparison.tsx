// Two runs side by side: what each turn wrote, called and got, and where they first differ.

import { useSignal } from "@preact/signals";
import type { Run } from "@projectathena/client";
import type { ComponentChildren, JSX } from "preact";
import { useMemo } from "preact/hooks";
import { Call } from "../components/call";
import { LongText, Markdown } from "../components/markdown";
import { type RunView, useRunView } from "../components/run_view";
import { Empty, ErrorMessage, RunLink, Status, Window } from "../components/ui";
import { between, count, dollars, duration, profileText } from "../format";
import { callText } from "../state/call_text";
import { now } from "../state/clock";
import { type ComparedTurn, comparedTurns, differences, firstDifference } from "../state/comparison";
import { outcomeOf } from "../state/run_outcome";
import { runTimeline } from "../state/run_timeline";

const TURNS_SHOWN = 20;

interface Side {
  readonly run: Run;
  readonly turns: readonly ComparedTurn[];
  readonly calls: number;
  readonly tokens: number;
  readonly costMicroUsd: number;
}

function useSide({ run, events, transcript }: RunView): Side | undefined {
  const [record, all, entries] = [run.data.value, events.data.value, transcript.entries.value];
  return useMemo(() => {
    if (!record || !all) return undefined;
    const { toolCalls, inputTokens, outputTokens, costMicroUsd } = runTimeline(all);
    return { run: record, turns: comparedTurns(entries, all), calls: toolCalls, tokens: inputTokens + outputTokens, costMicroUsd };
  }, [record, all, entries]);
}

export function Comparison({ one, other }: { one: string; other: string }): JSX.Element {
  const views = [useRunView(one), useRunView(other)] as const;
  const [left, right] = [useSide(views[0]), useSide(views[1])];
  const error = views[0].run.error.value ?? views[1].run.error.value;
  if (error && !(left && right)) return <ErrorMessage error={error} />;
  if (!left || !right) return <p class="empty">Loading …</p>;
  return (
    <>
      <h1>Two runs side by side</h1>
      <Totals sides={[left, right]} />
      <Turns left={left.turns} right={right.turns} />
    </>
  );
}

function Totals({ sides: [left, right] }: { sides: readonly [Side, Side] }): JSX.Element {
  const took = ({ run }: Side): number => between(run.createdAt, run.finishedAt ?? now.value);
  const rows: readonly (readonly [string, (side: Side) => ComponentChildren, ((side: Side) => number)?, ((difference: number) => string)?])[] = [
    ["Run", ({ run }) => <RunLink id={run.runId} />],
    ["Outcome", ({ run }) => outcomeLine(run)],
    ["Agent", ({ run }) => run.agentName ?? profileText(run.harnessProfileId, run.provider, run.model)],
    ["Model", ({ run }) => `${run.provider} ${run.model}`],
    ["Turns", ({ turns }) => count(turns.length - 1), ({ turns }) => turns.length - 1, count],
    ["Tool calls", ({ calls }) => count(calls), ({ calls }) => calls, count],
    ["Tokens", ({ tokens }) => count(tokens), ({ tokens }) => tokens, count],
    ["Cost", ({ costMicroUsd }) => dollars(costMicroUsd), ({ costMicroUsd }) => costMicroUsd, dollars],
    ["Time", (side) => duration(took(side)), took, duration],
  ];
  return (
    <div class="scroll" role="region" aria-label="Totals" tabIndex={0}>
      <table class="totals">
        <tbody>
          {rows.map(([name, shown, value, format]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>{shown(left)}</td>
              <td>{shown(right)}</td>
              <td class="num quiet">{value && format && deltaOf(value(right) - value(left), format)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function deltaOf(difference: number, format: (value: number) => string): string {
  return difference === 0 ? "same" : `${difference > 0 ? "+" : "−"}${format(Math.abs(difference))}`;
}

function outcomeLine(run: Run): JSX.Element {
  return (
    <>
      <Status is={run.status} /> <span class="quiet">{outcomeOf(run)?.reason ?? ""}</span>
    </>
  );
}

function Turns({ left, right }: { left: readonly ComparedTurn[]; right: readonly ComparedTurn[] }): JSX.Element {
  const all = Array.from({ length: Math.max(left.length, right.length) }, (_, index) => index);
  const first = firstDifference(left, right);
  const chosen = useSignal<number | undefined>(undefined);
  const from = chosen.value ?? Math.floor(Math.max(0, first) / TURNS_SHOWN) * TURNS_SHOWN;
  return (
    <>
      <p class="first-difference">
        {first < 0 ? "No difference in text, calls and results." : `First difference: ${nameOf(first)}, ${differences(left[first], right[first]).join(", ")}.`}
      </p>
      <Window of={all} size={TURNS_SHOWN} first={from} what="turns" move={(to) => (chosen.value = to)} />
      {all.slice(from, from + TURNS_SHOWN).map((turn) => (
        <Turn key={turn} name={nameOf(turn)} left={left[turn]} right={right[turn]} first={turn === first} />
      ))}
    </>
  );
}

const nameOf = (turn: number): string => (turn ? `turn ${turn}` : "input");

function Turn(props: { name: string; left: ComparedTurn | undefined; right: ComparedTurn | undefined; first: boolean }): JSX.Element {
  const { name, left, right, first } = props;
  const parts = differences(left, right);
  return (
    <section class={`panel compared ${first ? "first" : ""}`}>
      <header>
        <h2>{name}</h2>
        {parts.length ? <span class="warn">differs: {parts.join(", ")}</span> : <span class="quiet">same</span>}
      </header>
      <div class="columns">
        <Cell of={left} />
        <Cell of={right} />
      </div>
    </section>
  );
}

function Cell({ of }: { of: ComparedTurn | undefined }): JSX.Element {
  if (!of) return <Empty>Not in this run</Empty>;
  return (
    <div>
      {of.text && <Markdown text={of.text} />}
      {of.calls.map((call, index) => (
        <div key={index} class="call">
          <Call of={callText(call.name, call.arguments)} toolName={call.name} />
          {call.result && (
            <details open={call.failed}>
              <summary class={call.failed ? "bad" : ""}>{call.failed ? "Result: failed" : "Result"}</summary>
              <LongText text={call.result} />
            </details>
          )}
        </div>
      ))}
      {of.tokens > 0 && (
        <p class="quiet">
          {count(of.tokens)} tokens{of.costMicroUsd > 0 && `, ${dollars(of.costMicroUsd)}`}
        </p>
      )}
    </div>
  );
}
