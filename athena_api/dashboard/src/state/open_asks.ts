// The open asks of the server, for the fleet page and for their number on every page.

import type { AskPage } from "@projectathena/client";
import { listAsks } from "@projectathena/client/operations";
import { foldAsks } from "./asks";
import { caller, isAllowed } from "./caller";
import { request } from "./instant";
import { LiveQuery } from "./live_query";

const ASKS_MAX = 20;

let open: LiveQuery<AskPage> | undefined;

/** Return the open asks, oldest first; undefined if the caller may not see any. Read at the first use. */
export function openAsks(): LiveQuery<AskPage> | undefined {
  if (!caller.value || !isAllowed(listAsks)) return undefined;
  open ??= new LiveQuery(() => request(listAsks, { query: { limit: ASKS_MAX } }), foldAsks);
  return open;
}

/** Return the number of open asks as text, empty without any. */
export function openAskCount(): string {
  const page = openAsks()?.data.value;
  const count = page?.items.filter(({ status }) => status === "open").length ?? 0;
  return count ? `${count}${page?.nextCursor ? "+" : ""}` : "";
}
