// The route that applies the changes of a run, until the client has it.

import type { Operation } from "@projectathena/client";

export interface AppliedFile {
  readonly path: string;
  readonly result: string;
  readonly reason?: string | undefined;
}

export interface RunApplied {
  readonly runId: string;
  readonly workspaceId: string;
  readonly filesChanged: number;
  readonly files: readonly AppliedFile[];
}

export const applyRun: Operation<RunApplied> = { id: "applyRun", method: "POST", path: "/runs/:runId/apply", command: "runs apply" };
