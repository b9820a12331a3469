// Asks: what waits for a person.

import type { SeenEvent } from "./events";

const CHANGES: ReadonlySet<string> = new Set([
  "workflow.approval.requested",
  "workflow.approval.granted",
  "workflow.approval.rejected",
  "workflow.step.cancelled",
]);

/** Return true if the list of open asks may differ after an event. */
export const changesAsks = ({ type }: SeenEvent): boolean => CHANGES.has(type);
