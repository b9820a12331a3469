// The caller: who is asking, and what they may do.

import { signal } from "@preact/signals";
import type { Caller, Operation } from "../generated";

/** Who is asking; there before anything else is shown. */
export const caller = signal<Caller | undefined>(undefined);

export const isAllowed = (operation: Operation<unknown>): boolean => caller.value?.operations.includes(operation.id) ?? false;
