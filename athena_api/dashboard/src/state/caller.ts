// The caller: identity, role and allowed operations.

import { signal } from "@preact/signals";
import type { Caller, Operation } from "@projectathena/client";

/** The caller; loaded before any page is shown. */
export const caller = signal<Caller | undefined>(undefined);

export const isAllowed = (operation: Operation<unknown>): boolean => caller.value?.operations.includes(operation.id) ?? false;
