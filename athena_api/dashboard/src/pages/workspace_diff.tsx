// The changes of a run in its own workspace: the diff, and the action that applies it to the shared workspace.

import { useSignal } from "@preact/signals";
import { type AppliedFile, type AppliedRun, AthenaError, type RunDiff, type RunDiffFile } from "@projectathena/client";
import { applyRun, getRunDiff } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { type ActionSpec, Busy, openDialog } from "../components/actions";
import { Counts, Line } from "../components/diff";
import { Hidden } from "../components/marked";
import { Copy, Empty, ErrorMessage, Loaded, Panel, Time, Window } from "../components/ui";
import { count, visibleLine } from "../format";
import { isAllowed } from "../state/caller";
import type { Marks } from "../state/decided_text";
import { type FileDiff, openedAtFirst, openedWith, readDiff } from "../state/diff";
import { request } from "../state/instant";
import { useRead } from "../state/live_query";
import { WorkspaceLine } from "./workspaces";

const FILES_SHOWN = 50;
const LINES_SHOWN = 500; // of one file
const LINES_SHOWN_MAX = 5_000; // of all files together
const LINES_AT_FIRST = 300;
const RESULTS_SHOWN = 100;

/** The section of the run page. `recorded` is true once the run has ended and its changes are known. */
export function Changes({ runId, workspaceId, recorded }: { runId: string; workspaceId: string; recorded: boolean }): JSX.Element {
  return recorded ? (
    <RecordedChanges runId={runId} workspaceId={workspaceId} />
  ) : (
    <Panel title="Changes" wide>
      <WorkspaceLine id={workspaceId} />
      <Empty>Recorded when the run ends</Empty>
    </Panel>
  );
}

/** The recorded diff, or the exact one once it was opened here. */
function RecordedChanges({ runId, workspaceId }: { runId: string; workspaceId: string }): JSX.Element {
  const live = useRead(getRunDiff, { path: { runId } }, ({ type, payload }) => type === "workspace.applied" && payload.runId === runId);
  const exact = useSignal<RunDiff | undefined>(undefined);
  const shownOf = (found: RunDiff): RunDiff =>
    (exact.value?.subjectHash === found.subjectHash ? { ...exact.value, ...{ applied: found.applied } } : found) as RunDiff;
  const diff = live.data.value && shownOf(live.data.value);
  return (
    <Panel title="Changes" wide aside={diff && diff.filesTotal > 0 && <Application diff={diff} open={(opened) => (exact.value = opened)} />}>
      <WorkspaceLine id={workspaceId} />
      <Loaded live={live}>{(found) => (found.filesTotal ? <Diff of={shownOf(found)} /> : <Empty>No changes</Empty>)}</Loaded>
    </Panel>
  );
}

function Diff({ of }: { of: RunDiff }): JSX.Element {
  const { files, filesTotal, addedLines, removedLines, diff, truncated } = of;
  const { notes, files: sections } = useMemo(() => readDiff(diff ?? ""), [diff]);
  const linesOf = (path: string): number => Math.min(LINES_SHOWN, sections.get(path)?.lines.length ?? 0);
  const first = useSignal(0);
  const opened = useSignal<readonly string[] | undefined>(undefined);
  const paths = useMemo(() => files.slice(0, FILES_SHOWN).map(({ path }) => path), [files]);
  const open = opened.value ?? openedAtFirst(paths, linesOf, LINES_AT_FIRST);
  const toggle = (path: string): void => {
    opened.value = open.includes(path) ? open.filter((other) => other !== path) : openedWith(open, path, linesOf, LINES_SHOWN_MAX);
  };
  return (
    <>
      <p class="essentials">
        <span>
          {count(filesTotal)} {filesTotal === 1 ? "file" : "files"} <Counts added={addedLines} removed={removedLines} />
        </span>
        {diff && <Copy text={diff} label="Copy diff" />}
        {of.redacted && <span>Redacted</span>}
      </p>
      {of.exact ? <p class="quiet">This is the exact diff: no part is hidden.</p> : <Hidden spans={of.hidden} total={of.hiddenTotal} />}
      {of.exactNeeded && !of.exact && (!of.hiddenTotal || of.binaryFiles > 0) && <p class="lacks">The diff does not show all that an apply writes.</p>}
      {of.notShown?.map((path) => (
        <p key={path} class="lacks">
          Not shown as it is: <span class="mono">{visibleLine(path)}</span>
        </p>
      ))}
      {truncated && (
        <p class="outcome warn">
          <strong>Truncated</strong>: the diff is too large, so its end is not shown. Applying brings back all changes.
          {files.length < filesTotal && ` The first ${count(files.length)} of ${count(filesTotal)} files are listed.`}
        </p>
      )}
      {notes.map((note) => (
        <p key={note} class="quiet">
          {visibleLine(note)}
        </p>
      ))}
      <Window of={files} size={FILES_SHOWN} first={first.value} what="files" move={(to) => (first.value = to)} />
      <div class="diff">
        {files.slice(first.value, first.value + FILES_SHOWN).map((file) => (
          <File key={file.path} file={file} section={sections.get(file.path)} marks={of} open={open.includes(file.path)} toggle={() => toggle(file.path)} />
        ))}
      </div>
    </>
  );
}

const MARKS: Readonly<Record<string, string>> = { added: "A", modified: "M", deleted: "D", retyped: "T" };

function File(props: { file: RunDiffFile; section: FileDiff | undefined; marks: Marks; open: boolean; toggle: () => void }): JSX.Element {
  const { file, section, marks, open, toggle } = props;
  const click = (event: Event): void => {
    event.preventDefault(); // the state opens it
    toggle();
  };
  return (
    <details open={open}>
      <summary onClick={click}>
        <b class={`letter ${file.change}`} role="img" aria-label={file.change} title={file.change}>
          {MARKS[file.change] ?? "?"}
        </b>
        <span class="mono path">{visibleLine(file.path)}</span>
        {file.binary ? <span class="quiet">binary</span> : <Counts added={file.added} removed={file.removed} />}
      </summary>
      {open && <Lines file={file} section={section} marks={marks} />}
    </details>
  );
}

const MODES: Readonly<Record<string, string>> = { "100755": "(executable)", "120000": "(symbolic link)" };

function Lines({ file, section, marks }: { file: RunDiffFile; section: FileDiff | undefined; marks: Marks }): JSX.Element {
  const first = useSignal(0);
  const lines = section?.lines ?? [];
  return (
    <>
      {section?.notes.map((note) => (
        <p key={note} class="quiet">
          {visibleLine(note)} {MODES[note.slice(-6)]}
        </p>
      ))}
      {!lines.length && <p class="quiet">{file.binary ? "A binary file: its contents are not shown" : "No lines"}</p>}
      <Window of={lines} size={LINES_SHOWN} first={first.value} what="lines" move={(to) => (first.value = to)} />
      {lines.length > 0 && (
        <pre>
          {lines.slice(first.value, first.value + LINES_SHOWN).map((line, index) => (
            <Line key={first.value + index} line={line} marks={marks} />
          ))}
        </pre>
      )}
    </>
  );
}

// Applying

/** Who applied the changes, and the button that does: once the exact diff is open, if the recorded one hides a part. */
function Application({ diff, open }: { diff: RunDiff; open: (exact: RunDiff) => void }): JSX.Element {
  const { runId, subjectHash } = diff;
  const [last] = diff.applied; // newest first
  const locked = diff.exactNeeded && !diff.exact;
  const look = async (): Promise<void> => {
    try {
      const { data } = await request(applyRun, { path: { runId }, body: { dryRun: true, subjectHash } });
      openDialog(applyAction(diff, data));
    } catch (error) {
      if (!(error instanceof AthenaError)) throw error;
      openDialog(refusedAction(diff, error));
    }
  };
  const show = async (): Promise<void> => {
    try {
      open((await request(getRunDiff, { path: { runId }, query: { exact: true } })).data);
    } catch (error) {
      if (!(error instanceof AthenaError)) throw error;
      openDialog(refusedAction(diff, error));
    }
  };
  return (
    <span>
      {last && (
        <>
          Applied <Time at={last.at} /> by {visibleLine(last.by)}
          {diff.applied.length > 1 && `, ${count(diff.applied.length)} times in all`}{" "}
        </>
      )}
      {isAllowed(applyRun) && (
        <>
          {locked && <Busy label="Show the exact diff" title="This is recorded" act={show} />}{" "}
          <Busy label={last ? "Apply again …" : "Apply …"} title={locked ? "Show the exact diff first" : undefined} disabled={locked} act={look} />
        </>
      )}
    </span>
  );
}

const LABEL = "Apply changes";

function baseOf({ runId, subjectHash }: RunDiff): Pick<ActionSpec<AppliedRun>, "operation" | "label" | "request" | "done"> {
  return {
    operation: applyRun,
    label: LABEL,
    request: () => ({ path: { runId }, body: { subjectHash } }),
    done: ({ files, filesChanged }) => `Applied: ${summaryOf(files) || `${count(filesChanged)} files`}.`, // a repeated key has no list
  };
}

/** Return the action that applies the changes, as its dry run showed them. */
function applyAction(diff: RunDiff, { files }: AppliedRun): ActionSpec<AppliedRun> {
  const conflicts = files.some(({ result }) => result === "conflict");
  const open = files.some(({ result }) => result !== "already");
  return {
    ...baseOf(diff),
    question: conflicts
      ? "Nothing can be applied, because of these files:"
      : open
        ? `In the shared workspace: ${summaryOf(files)}.`
        : "The shared workspace has all of these changes already.",
    subject: () => <Results files={conflicts ? files.filter(({ result }) => result === "conflict") : files} />,
    blocked: conflicts || !open,
  };
}

/** Return the action of changes that cannot be applied: its dialog says why. */
function refusedAction(diff: RunDiff, error: AthenaError): ActionSpec<AppliedRun> {
  return { ...baseOf(diff), question: "Nothing can be applied.", subject: () => <ErrorMessage error={error} />, blocked: true };
}

const RESULTS: Readonly<Record<string, string>> = {
  conflict: "conflict",
  written: "written",
  merged: "merged with other changes",
  deleted: "deleted",
  already: "already there",
};

function summaryOf(files: readonly AppliedFile[]): string {
  return Object.entries(RESULTS)
    .map(([name, text]) => [files.filter(({ result }) => result === name).length, text] as const)
    .filter(([number]) => number)
    .map(([number, text]) => `${count(number)} ${number === 1 ? "file" : "files"} ${text}`)
    .join(", ");
}

/** The result of each file. */
function Results({ files }: { files: readonly AppliedFile[] }): JSX.Element {
  const order = Object.keys(RESULTS);
  const sorted = [...files].sort((one, other) => order.indexOf(one.result) - order.indexOf(other.result));
  return (
    <ul class="list results" tabIndex={0} aria-label="Files">
      {sorted.slice(0, RESULTS_SHOWN).map(({ path, result, reason }) => (
        <li key={path}>
          <span class="when">{RESULTS[result] ?? result}</span>
          <span class="path">
            <span class="mono">{visibleLine(path)}</span> {reason && <span class="quiet">{visibleLine(reason)}</span>}
          </span>
        </li>
      ))}
      {sorted.length > RESULTS_SHOWN && <li class="quiet">and {count(sorted.length - RESULTS_SHOWN)} more files</li>}
    </ul>
  );
}
