// The error of a call.

import type { ErrorCode, RetryWith } from "./generated/types.js";

/** The parts of an error. */
export interface ErrorParts {
  readonly code: ErrorCode | ClientErrorCode | (string & {});
  readonly message: string;
  readonly retryable?: boolean;
  readonly retryWith?: RetryWith | (string & {}) | undefined;
  readonly status?: number;
  readonly traceId?: string | undefined;
  readonly details?: unknown;
  readonly runId?: string | undefined;
}

/** Codes of the client itself. `UNREACHABLE`: no answer came from an Athena server. `RUN_PAUSED`: the run waits for `resumeRun`. */
export type ClientErrorCode = "UNREACHABLE" | "INVALID_ANSWER" | "RUN_PAUSED";

/** An error answer of the server, or `UNREACHABLE` if no server answered. */
export class AthenaError extends Error {
  override readonly name = "AthenaError";
  /** The stable code. */
  readonly code: ErrorCode | ClientErrorCode | (string & {});
  /** True if a retry may succeed. */
  readonly retryable: boolean;
  /** The key of a retry. `same-key`: nothing was decided. `new-key`: the run of the key failed. Absent if none helps. */
  readonly retryWith: RetryWith | (string & {}) | undefined;
  /** The HTTP status; 0 if there was no answer. */
  readonly status: number;
  /** The id of the request in the server's log and events. */
  readonly traceId: string | undefined;
  /** The run that the error is about. */
  readonly runId: string | undefined;
  /** The invalid fields of the input, or other details. */
  readonly details: unknown;

  constructor(parts: ErrorParts, options?: ErrorOptions) {
    super(parts.message, options);
    this.code = parts.code;
    this.retryable = parts.retryable ?? false;
    this.retryWith = parts.retryWith;
    this.status = parts.status ?? 0;
    this.traceId = parts.traceId;
    this.runId = parts.runId ?? runIdOf(parts.details);
    this.details = parts.details;
  }
}

function runIdOf(details: unknown): string | undefined {
  if (typeof details !== "object" || details === null || !("runId" in details)) return undefined;
  return typeof details.runId === "string" ? details.runId : undefined;
}

/** Return the error for a request without an answer from Athena. */
export function unreachable(message: string, status: number, cause?: unknown): AthenaError {
  const parts = { code: "UNREACHABLE", message, retryable: true, retryWith: "same-key", status } as const;
  return new AthenaError(parts, { cause });
}
