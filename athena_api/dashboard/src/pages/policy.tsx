// The limits in force, and who changed them.

import { getAuditTrail, getPolicy } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { AuditDetails } from "../components/audit";
import { ChangeLimits } from "../components/policy";
import { RecordMembers } from "../components/records";
import { Empty, Loaded, Panel, Time } from "../components/ui";
import { visible } from "../format";
import { isAllowed } from "../state/caller";
import { useRead } from "../state/live_query";

const CHANGES_MAX = 20;

export function Policy(): JSX.Element {
  const live = useRead(getPolicy, {}, ({ type }) => type === "policy.updated");
  return (
    <>
      <h1>
        Policy <ChangeLimits />
      </h1>
      <div class="columns">
        <Loaded live={live}>
          {(policy) =>
            policy ? (
              <RecordMembers title="Current limits" of={{ ...policy }} />
            ) : (
              <Empty>No policy is set, so there are no limits. Set some with “Change limits”.</Empty>
            )
          }
        </Loaded>
        {isAllowed(getAuditTrail) && (
          <Panel title="Changes">
            <History />
          </Panel>
        )}
      </div>
    </>
  );
}

function History(): JSX.Element {
  const live = useRead(getAuditTrail, { query: { kind: "policy", limit: CHANGES_MAX } }, ({ type }) => type === "policy.updated");
  return (
    <Loaded live={live}>
      {({ items }) => (
        <>
          {!items.length && <Empty>The limits were never changed.</Empty>}
          {items.map((entry) => (
            <article key={entry.id}>
              <h3>
                <b>{visible(entry.actor)}</b> <Time at={entry.createdAt} />
              </h3>
              {entry.reason && <p>{visible(entry.reason)}</p>}
              <AuditDetails record={{ ...entry }} />
            </article>
          ))}
        </>
      )}
    </Loaded>
  );
}
