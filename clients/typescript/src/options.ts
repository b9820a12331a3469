// The parameters that many methods share.

import type { CallOptions, RequestParts } from "./transport.js";

/** Options of a read. */
export type ReadOptions = CallOptions & Pick<RequestParts, "asOf" | "minPosition" | "stale">;

/** Options of a write. */
export type WriteOptions = CallOptions & Pick<RequestParts, "idempotencyKey" | "ifMatch" | "respondAsync">;

/** Where a list begins, and the size of its pages. */
export interface PageQuery {
  /** The `nextCursor` of a page; the list begins after it. */
  readonly cursor?: string | undefined;
  /** The items of a page, 1 to 500. A page may hold fewer. */
  readonly limit?: number | undefined;
}
