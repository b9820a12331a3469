// The workspace of a run, on a line.

import type { WorkspaceRecord } from "@projectathena/client";
import { getWorkspace } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { SessionLink, Status } from "../components/ui";
import { short, words } from "../format";
import { href } from "../route";
import { isAllowed } from "../state/caller";
import type { SeenEvent } from "../state/events";
import { useRead } from "../state/live_query";

const isOfWorkspaces = ({ type }: SeenEvent): boolean => type.startsWith("workspace.");

const useWorkspace = (id: string) =>
  useRead(getWorkspace, { path: { workspaceId: id } }, (event: SeenEvent) => isOfWorkspaces(event) && event.payload.workspaceId === id);

/** A workspace on one line, for the page of a run. */
export function WorkspaceLine({ id }: { id: string }): JSX.Element {
  const workspace = useWorkspace(id).data.value;
  return (
    <p class="essentials">
      <span>
        Own workspace <WorkspaceLink id={id} />
      </span>
      {workspace && (
        <>
          <span>
            of <Owner workspace={workspace} />
          </span>
          <span>{sourceText(workspace)}</span>
          <States workspace={workspace} />
        </>
      )}
    </p>
  );
}

export function WorkspaceLink({ id }: { id: string }): JSX.Element {
  return isAllowed(getWorkspace) ? (
    <a class="mono" href={href("workspaces", id)} title={id}>
      {short(id)}
    </a>
  ) : (
    <span class="mono">{short(id)}</span>
  );
}

function Owner({ workspace: { kind, sessionId, workflowRunId } }: { workspace: WorkspaceRecord }): JSX.Element {
  return (
    <>
      {words(kind)} {workflowRunId ? <span class="mono">{short(workflowRunId)}</span> : sessionId ? <SessionLink id={sessionId} /> : ""}
    </>
  );
}

function States({ workspace: { status, keep } }: { workspace: WorkspaceRecord }): JSX.Element {
  return (
    <>
      <Status is={status} /> {keep && <Status is="kept" />}
    </>
  );
}

/** Return where the files of a workspace came from. */
function sourceText({ source, commit }: WorkspaceRecord): string {
  return commit ? `${source} of ${commit.slice(0, 10)}` : source === "empty" ? "began empty" : source;
}
