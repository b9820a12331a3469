// The form that changes limits of the policy.

import type { PolicyDocument } from "@projectathena/client";
import { getPolicy, putPolicy } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { request } from "../state/instant";
import { reloadWhen, useLiveQuery } from "../state/live_query";
import { Action, type ActionSpec } from "./actions";

const LIMITS = [
  { name: "maxConcurrentRuns", label: "Concurrent runs", hint: "Runs at the same time. Empty: no limit" },
  { name: "costBudgetDailyUsd", label: "Daily budget (USD)", hint: "For all runs of a UTC day. Empty: no limit" },
] as const;

interface Versioned {
  readonly policy: PolicyDocument | null;
  readonly etag: string | undefined;
}

/** A button that opens the form. Rejected if the policy has changed meanwhile. */
export function ChangeLimits(): JSX.Element {
  const live = useLiveQuery<Versioned>(
    "limits",
    async () => {
      const { data, etag, position } = await request(getPolicy);
      return { data: { policy: data, etag }, position };
    },
    reloadWhen((event) => event.type === "policy.updated"),
  );
  const current = live.data.value;
  return <>{current && <Action action={changeAction(current)} />}</>;
}

function changeAction({ policy, etag }: Versioned): ActionSpec<PolicyDocument> {
  const { updatedAt: _, ...rest } = policy ?? { schemaVersion: 1, updatedAt: "" };
  return {
    operation: putPolicy,
    label: "Change limits",
    question: "Applies to requests from now on. Runs in progress continue.",
    fields: [
      ...LIMITS.map((limit) => ({ ...limit, kind: "number" as const, value: String(policy?.[limit.name] ?? "") })),
      { name: "auditComment", label: "Reason", hint: "Recorded in the audit log", required: true },
    ],
    request: (values) => {
      const limits = LIMITS.map(({ name }) => [name, values[name] ? Number(values[name]) : undefined] as const);
      return { body: { policy: { ...rest, ...Object.fromEntries(limits) }, auditComment: values.auditComment }, ...(etag ? { ifMatch: etag } : {}) };
    },
    done: () => "The new limits are in force.",
  };
}
