// The caller: identity, role and allowed operations.

import { signal } from "@preact/signals";
import type { Caller, Operation } from "@projectathena/client";
import { clock } from "../format";

/** The caller; loaded before any page is shown. */
export const caller = signal<Caller | undefined>(undefined);

export const isAllowed = (operation: Operation<unknown>): boolean => caller.value?.operations.includes(operation.id) ?? false;

/** Return how the caller logged in and until when that holds, or undefined without a token. */
export function loginOf({ token }: Caller): string | undefined {
  if (!token) return undefined;
  return `${token.session ? "session" : "token"}${token.expiresAt ? `, expires ${clock(token.expiresAt)}` : ""}`;
}
