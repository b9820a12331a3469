// The server: whether it is well, how far its views are, its limits and versions.

import type { JSX } from "preact";
import { ask, head } from "../api";
import { capabilities, health, position, state } from "../feed";
import { clock, count } from "../format";
import { getAdminHealth, getPolicy, type Capabilities, type Health } from "../generated";
import { useLive, whenever } from "../live";
import { caller, Commands, Facts, Json, Panel, Shown, Status, Table } from "../ui";

export function System(): JSX.Element {
  const abilities = capabilities.value;
  const first = useLive("health", () => ask(getAdminHealth), whenever(() => false));
  const policy = useLive("policy", () => ask(getPolicy), whenever((event) => event.type === "policy.updated"));
  const seen = health.value ?? first.data.value;
  return (
    <>
      <h1>System {seen && <Status is={seen.status} />}</h1>
      <div class="columns">
        <div class="stack">
          {seen && <Log health={seen} />}
          <Panel title="This server">
            {abilities && <About found={abilities} />}
          </Panel>
          <Panel title="You">
            <Facts
              of={[
                ["Identity", caller.value?.identity],
                ["Role", caller.value?.role],
                ["Scope", caller.value?.scope ? JSON.stringify(caller.value.scope) : "everything"],
                ["May use", `${caller.value?.operations.length ?? 0} operations`],
              ]}
            />
          </Panel>
          <Panel title="The policy in force">
            <Shown live={policy}>{(document) => (document ? <Json value={document} /> : <p class="quiet">There is none: nothing is limited by one.</p>)}</Shown>
          </Panel>
        </div>
        {seen && <Views health={seen} />}
        <Panel title="Limits" wide>
          <Facts
            of={Object.entries(abilities?.limits ?? {}).map(([name, value]) => [words(name), value === null ? undefined : count(Number(value))] as const)}
          />
        </Panel>
      </div>
    </>
  );
}

function words(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => " " + letter.toLowerCase());
}

function Log({ health }: { health: Health }): JSX.Element {
  return (
    <Panel title="The log and the streams">
      <Facts
        of={[
          ["Head", count(Math.max(head.value, health.head))],
          ["This page has seen", `${count(position.value)} (${state.value})`],
          ["Transactions that wait", count(health.queue)],
          ["Open streams", count(health.streams)],
          ["Generation of the views", health.generation],
          ["Next generation", health.candidate],
          ["Its clock", `${clock(health.now)} here`],
        ]}
      />
      <Commands operation={getAdminHealth} asked={{}} />
    </Panel>
  );
}

function Views({ health }: { health: Health }): JSX.Element {
  return (
    <Panel title="Views">
      <Table label="Views" heads={["View", "#Version", "#Position", "#Behind", "State"]}>
        {Object.entries(health.projections).map(([name, one]) => (
          <tr key={name}>
            <td>{name}</td>
            <td class="num">{one.version}</td>
            <td class="num">{count(one.position)}</td>
            <td class="num">{count(one.lag)}</td>
            <td>{one.error ? <span class="bad">{one.error}</span> : <Status is="ok" />}</td>
          </tr>
        ))}
      </Table>
      <p class="quiet">
        Whether a rebuild from the log comes to the same, digest by digest: <code>athena replay --verify</code>
      </p>
    </Panel>
  );
}

function About({ found }: { found: Capabilities }): JSX.Element {
  return (
    <Facts
      of={[
        ["Version", found.version],
        ["Log", <span class="mono">{found.logId}</span>],
        ["Store", found.stateStore],
        ["Durability", found.durability],
        ["Scheduler", found.scheduler],
        ["Authentication", found.auth.enabled ? `on (${found.auth.mode}), from ${found.auth.identityHeader}` : "off: everybody is the local Admin"],
        ["Providers", found.providers.join(", ")],
        ["API", <a href="/docs">its documentation</a>],
      ]}
    />
  );
}
