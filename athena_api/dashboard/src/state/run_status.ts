// Run statuses, and the events that set them.

export const ENDINGS: Readonly<Record<string, string>> = {
  "run.completed": "completed",
  "run.failed": "failed",
  "run.cancelled": "cancelled",
  "run.timed-out": "timed-out",
  "run.crashed": "crashed",
};
export const OPEN = new Set(["queued", "running", "paused"]);
export const UNSUCCESSFUL = new Set(["failed", "timed-out", "crashed"]);
export const STATUSES = ["queued", "running", "paused", "completed", "failed", "cancelled", "timed-out", "crashed"];

export type OpenStatus = "queued" | "running" | "paused";

/** Return the status of an open run after an event of this type. */
export function statusAfter(type: string): OpenStatus | undefined {
  switch (type) {
    case "run.queued":
      return "queued";
    case "run.created":
    case "run.resumed":
      return "running";
    case "run.paused":
      return "paused";
  }
  return undefined;
}
