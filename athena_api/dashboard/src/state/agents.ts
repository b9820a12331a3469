// The agents, for their names.

import { signal } from "@preact/signals";
import { AthenaError, type HarnessProfile } from "@projectathena/client";
import { listHarnessProfiles } from "@projectathena/client/operations";
import { caller, isAllowed } from "./caller";
import { request } from "./instant";

const AGENTS_MAX = 200;

/** The agents, once read. */
export const agents = signal<readonly HarnessProfile[]>([]);

/** Read the agents. Without them, their ids are shown. A scope excludes them, and each denial is recorded. */
export async function readAgents(): Promise<void> {
  if (!isAllowed(listHarnessProfiles) || caller.value?.scope) return;
  try {
    agents.value = (await request(listHarnessProfiles, { query: { limit: AGENTS_MAX } })).data.items;
  } catch (error) {
    if (!(error instanceof AthenaError)) throw error;
  }
}
