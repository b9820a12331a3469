// The caller: identity, role and allowed operations.

import { signal } from "@preact/signals";
import type { Caller, Operation } from "@projectathena/client";
import { clock } from "../format";
import { at } from "../route";

/** The caller; loaded before any page is shown. */
export const caller = signal<Caller | undefined>(undefined);

/** Return true if the caller may send an operation from this page. A page that shows the past only reads. */
export function isAllowed({ id, method }: Operation<unknown>): boolean {
  if (method !== "GET" && at.value !== undefined) return false;
  return caller.value?.operations.includes(id) ?? false;
}

/** Return how the caller logged in and until when that holds, or undefined without a token. */
export function loginOf({ token }: Caller): string | undefined {
  if (!token) return undefined;
  return `${token.session ? "session" : "token"}${token.expiresAt ? `, expires ${clock(token.expiresAt)}` : ""}`;
}
