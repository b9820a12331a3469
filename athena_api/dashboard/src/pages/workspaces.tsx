// Workspaces of sessions and workflow runs: list, keep, clean.

import type { WorkspaceRecord } from "@projectathena/client";
import { cleanWorkspace, getWorkspace, keepWorkspace, listWorkspaces } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { Action, type ActionSpec } from "../components/actions";
import { Empty, Facts, Filter, Loaded, MorePages, Panel, SessionLink, Status, Table, Time } from "../components/ui";
import { count, short, size, words } from "../format";
import { href, route } from "../route";
import { isAllowed } from "../state/caller";
import type { SeenEvent } from "../state/events";
import { request } from "../state/instant";
import { reloadWhen, useLiveQuery } from "../state/live_query";

const isOfWorkspaces = ({ type }: SeenEvent): boolean => type.startsWith("workspace.");

export function Workspaces(): JSX.Element {
  const { id, filters } = route.value;
  return id ? <WorkspaceDetail key={id} id={id} /> : <WorkspaceList query={{ status: filters.status, kind: filters.kind, sessionId: filters.sessionId }} />;
}

function WorkspaceList({ query }: { query: Readonly<Record<string, string | undefined>> }): JSX.Element {
  const read = (cursor?: string) => request(listWorkspaces, { query: { ...query, limit: 100, cursor } });
  const live = useLiveQuery(JSON.stringify(query), () => read(), reloadWhen(isOfWorkspaces));
  return (
    <>
      <h1>Workspaces</h1>
      <p class="quiet">The directories of sessions and workflow runs that do not work in the shared workspace.</p>
      <div class="filters">
        <Filter name="status" label="Status" options={["active", "cleaned"]} />
        <Filter name="kind" label="Kind" options={["session", "workflow-run"]} />
        <Filter name="sessionId" label="Session" first />
      </div>
      <Loaded live={live}>
        {({ items, nextCursor }) => (
          <>
            {items.length ? <Rows items={items} /> : <Empty>No workspaces{Object.values(query).some(Boolean) ? " match these filters" : ""}.</Empty>}
            <MorePages key={JSON.stringify(query)} next={nextCursor ?? undefined} what="workspaces" read={read}>
              {(more) => <Rows items={more} />}
            </MorePages>
          </>
        )}
      </Loaded>
    </>
  );
}

function Rows({ items }: { items: readonly WorkspaceRecord[] }): JSX.Element {
  return (
    <Table label="Workspaces" heads={["Workspace", "Status", "Of", "~Source", "~#Size", "~#Runs", "Last used", "~#"]}>
      {items.map((workspace) => (
        <tr key={workspace.workspaceId} data-workspace={workspace.workspaceId}>
          <td>
            <WorkspaceLink id={workspace.workspaceId} />
          </td>
          <td>
            <States workspace={workspace} />
          </td>
          <td>
            <Owner workspace={workspace} />
          </td>
          <td class="opt">{sourceText(workspace)}</td>
          <td class="num opt">{sizeText(workspace)}</td>
          <td class="num opt">{count(workspace.runs)}</td>
          <td>
            <Time at={workspace.lastUsedAt} />
          </td>
          <td class="num opt">
            <Actions workspace={workspace} brief />
          </td>
        </tr>
      ))}
    </Table>
  );
}

function WorkspaceDetail({ id }: { id: string }): JSX.Element {
  const live = useWorkspace(id);
  const found = live.data.value;
  return (
    <>
      <h1>
        Workspace {short(id)} {found && <States workspace={found} />} {found && <Actions workspace={found} />}
      </h1>
      <Loaded live={live}>
        {(workspace) => (
          <Panel title="Details">
            <Facts
              of={[
                ["Workspace", <span class="mono">{id}</span>],
                ["Of", <Owner workspace={workspace} />],
                ["Source", sourceText(workspace, true)],
                ["Size", sizeText(workspace)],
                ["Runs", count(workspace.runs)],
                ["Created", <Time at={workspace.createdAt} />],
                ["Last used", <Time at={workspace.lastUsedAt} />],
                ["Cleaned", workspace.cleanedAt && <CleanedAt workspace={workspace} />],
              ]}
            />
          </Panel>
        )}
      </Loaded>
    </>
  );
}

const CAUSES: Readonly<Record<string, string>> = { policy: "because it was unused", erasure: "with the text of its runs" };

function CleanedAt({ workspace: { cleanedAt, cleanedBy, cause = "" } }: { workspace: WorkspaceRecord }): JSX.Element {
  return (
    <>
      <Time at={cleanedAt} /> {CAUSES[cause] ?? (cleanedBy && `by ${cleanedBy}`)}
    </>
  );
}

const useWorkspace = (id: string) =>
  useLiveQuery(
    `workspace ${id}`,
    () => request(getWorkspace, { path: { workspaceId: id } }),
    reloadWhen((event: SeenEvent) => isOfWorkspaces(event) && event.payload.workspaceId === id),
  );

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
function sourceText({ source, commit }: WorkspaceRecord, full = false): string {
  return commit ? `${source} of ${full ? commit : commit.slice(0, 10)}` : source === "empty" ? "began empty" : source;
}

const sizeText = ({ sizeBytes }: WorkspaceRecord): string => (sizeBytes === undefined || sizeBytes === null ? "" : size(sizeBytes));

// Actions

function Actions({ workspace, brief = false }: { workspace: WorkspaceRecord; brief?: boolean }): JSX.Element | null {
  if (workspace.status !== "active") return null;
  return (
    <>
      <Action action={keepAction(workspace)} label={brief ? (workspace.keep ? "Release" : "Keep") : undefined} />
      <Action action={cleanAction(workspace)} label={brief ? "Clean" : undefined} />
    </>
  );
}

function keepAction({ workspaceId, keep }: WorkspaceRecord): ActionSpec<WorkspaceRecord> {
  return {
    operation: keepWorkspace,
    label: keep ? "Release workspace" : "Keep workspace",
    question: keep ? "Athena may clean it again once it was unused for long enough." : "Athena does not clean it, however long it is unused.",
    request: () => ({ path: { workspaceId }, body: { keep: !keep } }),
    done: () => (keep ? "Released." : "Kept."),
  };
}

function cleanAction(workspace: WorkspaceRecord): ActionSpec<WorkspaceRecord> {
  return {
    operation: cleanWorkspace,
    label: "Clean workspace",
    danger: true,
    question: "Deletes its files, also the ones that no run has brought back. Recorded diffs stay.",
    subject: () => (
      <p>
        <span class="mono">{short(workspace.workspaceId)}</span> of <Owner workspace={workspace} /> {sizeText(workspace)}
      </p>
    ),
    request: () => ({ path: { workspaceId: workspace.workspaceId } }),
    done: () => "Cleaned.",
  };
}
