// The routes of workspaces, until the client has them.

import type { Operation } from "@projectathena/client";

export interface Workspace {
  readonly workspaceId: string;
  readonly kind: string;
  readonly sessionId?: string | undefined;
  readonly workflowRunId?: string | undefined;
  readonly source: string;
  readonly commit?: string | undefined;
  readonly status: string;
  readonly keep: boolean;
  readonly createdAt: string;
  readonly lastUsedAt: string;
  readonly runs: number;
  readonly cleanedAt?: string | undefined;
  readonly sizeBytes?: number | undefined;
}

export interface WorkspacesPage {
  readonly items: readonly Workspace[];
  readonly nextCursor?: string | undefined;
}

export interface ChangedFile {
  readonly path: string;
  readonly change: string;
  readonly added: number;
  readonly removed: number;
  readonly binary: boolean;
}

export interface RunDiff {
  readonly runId: string;
  readonly workspaceId: string;
  readonly files: readonly ChangedFile[];
  readonly filesTotal: number;
  readonly diff?: string | undefined;
  readonly addedLines: number;
  readonly removedLines: number;
  readonly redacted?: boolean | undefined;
  readonly truncated: boolean;
  readonly evidenceId?: string | undefined;
  readonly applied: readonly { readonly at: string; readonly by: string }[];
}

export interface AppliedFile {
  readonly path: string;
  readonly result: string;
}

export interface RunApplied {
  readonly runId: string;
  readonly workspaceId: string;
  readonly files: readonly AppliedFile[];
}

export const listWorkspaces: Operation<WorkspacesPage> = { id: "listWorkspaces", method: "GET", path: "/workspaces", command: "workspaces list" };
export const getWorkspace: Operation<Workspace> = { id: "getWorkspace", method: "GET", path: "/workspaces/:workspaceId", command: "workspaces get" };
export const keepWorkspace: Operation<Workspace> = { id: "keepWorkspace", method: "POST", path: "/workspaces/:workspaceId/keep", command: "workspaces keep" };
export const cleanWorkspace: Operation<Workspace> = { id: "cleanWorkspace", method: "DELETE", path: "/workspaces/:workspaceId", command: "workspaces clean" };
export const getRunDiff: Operation<RunDiff> = { id: "getRunDiff", method: "GET", path: "/runs/:runId/diff", command: "runs diff" };
export const applyRun: Operation<RunApplied> = { id: "applyRun", method: "POST", path: "/runs/:runId/apply", command: "runs apply" };
