// The tree of the steps of a run, with a bar for the time of each.

import type { JSX, TargetedKeyboardEvent } from "preact";
import { count, duration } from "../format";
import { now } from "../state/clock";
import { type StepRow, WHOLE } from "../state/run_steps";
import { usePageKeys } from "./page_keys";
import { Windowed } from "./windowed";

interface TreeProps {
  /** The rows below the run itself. */
  readonly rows: readonly StepRow[];
  /** The whole run. */
  readonly run: StepRow;
  readonly selected: string;
  readonly select: (key: string) => void;
  readonly toggle: (key: string, open: boolean) => void;
}

const keyOf = (row: StepRow | undefined): string => row?.step.key ?? WHOLE;

export function StepTree(props: TreeProps): JSX.Element {
  const { run, selected, select, toggle } = props;
  const rows = [run, ...props.rows];
  const at = rows.findIndex(({ step }) => step.key === selected);
  const move = (to: number): void => select(keyOf(rows[Math.max(0, Math.min(rows.length - 1, to))]));
  const walk = (step: number) => (): void => {
    move(at + step);
    document.querySelector<HTMLElement>("[role=tree]")?.focus({ preventScroll: true });
  };
  usePageKeys({ j: walk(1), k: walk(-1) });
  const keys = (event: TargetedKeyboardEvent<HTMLUListElement>): void => {
    const row = rows[at];
    const acts: Readonly<Record<string, () => void>> = {
      ArrowDown: () => move(at + 1),
      ArrowUp: () => move(at - 1),
      Home: () => move(0),
      End: () => move(rows.length - 1),
      ArrowRight: () => (row?.open === false ? toggle(selected, true) : row?.open && move(at + 1)),
      ArrowLeft: () => (row?.open ? toggle(selected, false) : row?.parent && select(row.parent)),
      Enter: () => row?.open !== undefined && toggle(selected, !row.open),
    };
    const act = acts[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  };
  const first = run.step.span.from;
  const end = run.step.span.to ?? now.value;
  const row = (index: number): JSX.Element => {
    const one = rows[index] as StepRow;
    return <TreeRow key={keyOf(one)} row={one} first={first} whole={Math.max(1, end - first)} selected={index === at} {...{ select, toggle }} />;
  };
  return (
    <>
      <p class="scale" aria-hidden="true">
        <span>0</span>
        <span>{duration((end - first) / 2)}</span>
        <span>{duration(end - first)}</span>
      </p>
      <Windowed
        role="tree"
        aria-label="Steps"
        aria-activedescendant={`step-${selected}`}
        tabIndex={0}
        class="tree"
        onKeyDown={keys}
        count={rows.length}
        row={row}
        shown={at}
      />
    </>
  );
}

function TreeRow(props: { row: StepRow; first: number; whole: number; selected: boolean } & Pick<TreeProps, "select" | "toggle">): JSX.Element {
  const { row, first, whole, selected, select, toggle } = props;
  const { step, level, place, of, open } = row;
  const { kind, name, from, to, failed, detail, retries } = step.span;
  const end = to ?? first + whole;
  const left = Math.max(0, Math.min(99.6, (100 * (from - first)) / whole));
  const width = Math.max(0.4, Math.min((100 * (end - from)) / whole, 100 - left));
  const caret = (event: Event): void => {
    event.stopPropagation();
    toggle(step.key, !open);
  };
  return (
    <li
      id={`step-${step.key}`}
      role="treeitem"
      aria-level={level}
      aria-posinset={place}
      aria-setsize={of}
      aria-expanded={open}
      aria-selected={selected}
      class={`${kind} ${failed ? "failed" : ""} ${to === undefined ? "open" : ""}`}
      onClick={() => select(step.key)}
    >
      <span class="cut" title={detail}>
        <span class="caret" aria-hidden="true" onClick={open === undefined ? undefined : caret}>
          {open === undefined ? "" : open ? "▾" : "▸"}
        </span>
        {name}
        {retries ? <span class="warn"> {retries === 1 ? "1 retry" : `${count(retries)} retries`}</span> : null}
        {open === false && <span class="quiet"> +{count(step.children.length)}</span>}
      </span>
      <span class="track">
        <i style={{ left: `${left}%`, width: `${width}%` }} />
      </span>
      <span class="num">
        {duration(end - from)}
        {to === undefined && " …"}
        {failed && <span class="unseen"> failed</span>}
      </span>
    </li>
  );
}
