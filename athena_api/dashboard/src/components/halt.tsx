// The halt: its button, and the banner while nothing starts.

import type { HaltRecord } from "@projectathena/client";
import { getHalt, liftHalt, startHalt } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { visible } from "../format";
import { isAllowed } from "../state/caller";
import { request } from "../state/instant";
import { LiveQuery, reloadWhen } from "../state/live_query";
import { textLine } from "../state/schema";
import { Action, type ActionSpec } from "./actions";
import { Time } from "./ui";

let halt: LiveQuery<HaltRecord> | undefined;

/** Return the halt of the server, read at the first use. */
function useHalt(): HaltRecord | undefined {
  if (!isAllowed(getHalt)) return undefined;
  halt ??= new LiveQuery(
    () => request(getHalt),
    reloadWhen(({ type }) => type.startsWith("halt.")),
  );
  return halt.data.value;
}

const START: ActionSpec<HaltRecord> = {
  operation: startHalt,
  label: "Halt",
  danger: true,
  question: "Nothing starts or continues until an Admin lifts the halt. Requests are rejected with the reason. What waits keeps its place.",
  fields: {
    reason: textLine("Shown to everyone whose request is rejected"),
    cancelRunning: { type: "boolean", default: false, title: "Also cancel all running runs" },
  },
  required: ["reason"],
  request: (body) => ({ body }),
  done: () => "Halted. Nothing starts.",
};

const LIFT: ActionSpec<HaltRecord> = {
  operation: liftHalt,
  label: "Lift",
  question: "What waits continues in its order.",
  request: () => ({}),
  done: () => "The halt is lifted.",
};

/** Return what can be done about the halt now. */
export const haltActions = (): readonly ActionSpec<HaltRecord>[] => [halt?.data.value?.halted ? LIFT : START];

/** The red button. Absent while halted. */
export function HaltButton(): JSX.Element | null {
  return useHalt()?.halted === false ? (
    <span class="stop">
      <Action action={START} />
    </span>
  ) : null;
}

/** Who halted, why and since when; on all pages. */
export function HaltBanner(): JSX.Element | null {
  const seen = useHalt();
  if (!seen?.halted) return null;
  return (
    <div class="banner halted" role="alert">
      <span>
        <strong>Halted</strong>
        {seen.by && ` by ${seen.by}`} <Time at={seen.since} />: {seen.reason ? visible(seen.reason) : "no reason is left"}. Nothing starts or continues.
      </span>
      {isAllowed(liftHalt) ? <Action action={LIFT} /> : <span>An Admin can lift it.</span>}
    </div>
  );
}
