// The public names.

export { Athena, type EventsOptions, type RunSpec } from "./client.js";
export { AthenaError, type ClientErrorCode } from "./errors.js";
export type * from "./generated/events.js";
export { eventOf } from "./generated/events.js";
export type * from "./generated/methods.js";
export type * from "./generated/types.js";
export type { Operation } from "./operation.js";
export type { PageQuery, ReadOptions, WriteOptions } from "./options.js";
export type { Pages } from "./pages.js";
export type { RunHandle } from "./run_handle.js";
export type { RunPart } from "./run_text.js";
export {
  type Answer,
  type AthenaOptions,
  type CallOptions,
  newKey,
  pathOf,
  type RequestParts,
  type StreamItem,
  type StreamParts,
  Transport,
} from "./transport.js";
