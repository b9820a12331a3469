// Permission rules: calls that Athena allows without asking.

import type { PermissionRule } from "@projectathena/client";
import { listPermissionRules, revokePermissionRule } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { Action, type ActionSpec } from "../components/actions";
import { Call } from "../components/call";
import { Empty, Loaded, MorePages, RunLink, SessionLink, Status, Table, Time } from "../components/ui";
import { count, short } from "../format";
import { href } from "../route";
import { callText } from "../state/call_text";
import { request } from "../state/instant";
import { useRead } from "../state/live_query";

const RULES_MAX = 50;

/** The permission rules, newest first. */
export function PermissionRules(): JSX.Element {
  const query = { limit: RULES_MAX };
  const live = useRead(
    listPermissionRules,
    { query },
    ({ type, payload }) => type.startsWith("permission-rule.") || (type === "run.answered" && payload.cause === "rule"),
  );
  return (
    <Loaded live={live}>
      {({ items, nextCursor }) => (
        <>
          {items.length ? <Rules rules={items} /> : <Empty>No rules. “Always” on an ask creates one.</Empty>}
          <MorePages next={nextCursor} what="rules" read={(cursor) => request(listPermissionRules, { query: { ...query, cursor } })}>
            {(rules) => <Rules rules={rules} />}
          </MorePages>
        </>
      )}
    </Loaded>
  );
}

function Rules({ rules }: { rules: readonly PermissionRule[] }): JSX.Element {
  return (
    <Table label="Permission rules" heads={["Status", "Allows", "Where", "~#Uses", "~Created", "~Expires", "#"]}>
      {rules.map((rule) => (
        <tr key={rule.id}>
          <td>
            <Status is={rule.status} />
          </td>
          <td>
            <RuleCall rule={rule} />
          </td>
          <td>
            <Where rule={rule} />
          </td>
          <td class="num opt">{count(rule.uses)}</td>
          <td class="opt">
            <Time at={rule.createdAt} /> <span class="quiet">by</span> {rule.createdBy} <a href={href("asks", rule.askId)}>ask</a>
          </td>
          <td class="opt">{rule.revokedAt ? <Time at={rule.revokedAt} /> : <Time at={rule.expiresAt} upcoming={rule.status === "in-force"} />}</td>
          <td class="num">{rule.status === "in-force" && <Action action={revokeAction(rule)} label="Revoke" />}</td>
        </tr>
      ))}
    </Table>
  );
}

function RuleCall({ rule }: { rule: PermissionRule }): JSX.Element {
  if (rule.arguments === undefined)
    return (
      <>
        <b>{rule.toolName}</b> <span class="quiet">{rule.redacted ? "redacted" : ""}</span>
      </>
    );
  const call = callText(rule.toolName, rule.arguments);
  if (call.brief) return <Call of={call} toolName={rule.toolName} marks={rule} />;
  return (
    <details>
      <summary class="mono">
        {rule.toolName} {call.line}
      </summary>
      <Call of={call} toolName={rule.toolName} marks={rule} />
    </details>
  );
}

function Where({ rule }: { rule: PermissionRule }): JSX.Element {
  if (rule.runId)
    return (
      <>
        run <RunLink id={rule.runId} />
      </>
    );
  if (rule.sessionId)
    return (
      <>
        session <SessionLink id={rule.sessionId} />
      </>
    );
  return <>agent {short(rule.harnessProfileId ?? "")}</>;
}

function revokeAction(rule: PermissionRule): ActionSpec<PermissionRule> {
  return {
    operation: revokePermissionRule,
    label: "Revoke rule",
    danger: true,
    question: "The next call of this kind asks again.",
    subject: () => <RuleCall rule={rule} />,
    request: () => ({ path: { ruleId: rule.id } }),
    done: () => "Revoked.",
  };
}
