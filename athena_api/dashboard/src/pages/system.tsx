// The server: whether it is well, how far its views are, its limits and versions.

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { ask, head, Refused } from "../api";
import { capabilities, health, position, state } from "../state/event_stream";
import { clock, count } from "../format";
import { getAdminHealth, getPolicy, getViewDigests, listWorkers, type Capabilities, type Health, type ViewDigests } from "../generated";
import { useLive, whenever } from "../state/live_query";
import { LETTERS } from "../route";
import { caller, Commands, Copy, Empty, Facts, Json, may, Panel, Shown, Status, Table, Time, Trouble } from "../components/ui";

const WORKERS_MS = 5_000; // a heartbeat is no event

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
        {seen && <Problems health={seen} />}
        {seen && <Views health={seen} />}
        <Panel title="Workers" wide>
          <Workers />
        </Panel>
        <Panel title="Keys" wide>
          <Facts
            of={[
              ...Object.entries(LETTERS).map(([key, page]) => [page, <kbd>g {key}</kbd>] as const),
              ["filters", <kbd>/</kbd>],
              ["close a dialog", <kbd>Esc</kbd>],
            ]}
          />
        </Panel>
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

function Problems({ health }: { health: Health }): JSX.Element | null {
  const { problems = [], reason } = health; // an older server does not send them
  if (!problems.length && !reason) return null;
  return (
    <Panel title="Problems">
      {reason && <p class="bad">{reason}</p>}
      {problems.length > 0 && (
        <Table label="Problems" heads={["Loop", "Since", "#Failures", "Last failure"]}>
          {problems.map((one) => (
            <tr key={one.loop}>
              <td>{one.loop}</td>
              <td>
                <Time at={one.since} />
              </td>
              <td class="num">{count(one.count)}</td>
              <td class="bad">{one.message}</td>
            </tr>
          ))}
        </Table>
      )}
    </Panel>
  );
}

function Views({ health }: { health: Health }): JSX.Element {
  const found = useSignal<ViewDigests | undefined>(undefined);
  const error = useSignal<Refused | undefined>(undefined);
  const busy = useSignal(false);
  const hash = async (): Promise<void> => {
    busy.value = true;
    error.value = undefined;
    try {
      found.value = (await ask(getViewDigests)).data;
    } catch (failed) {
      if (!(failed instanceof Refused)) throw failed;
      error.value = failed;
    } finally {
      busy.value = false;
    }
  };
  const digests = found.value?.views;
  return (
    <Panel title="Views">
      <Table label="Views" heads={["View", "~#Version", "#Position", "#Behind", "State", ...(digests ? ["~#Rows", "Digest"] : [])]}>
        {Object.entries(health.projections).map(([name, one]) => {
          const digest = digests?.[name];
          return (
            <tr key={name}>
              <td>{name}</td>
              <td class="num opt">{one.version}</td>
              <td class="num">{count(one.position)}</td>
              <td class="num">{count(one.lag)}</td>
              <td>{one.error ? <span class="bad">{one.error}</span> : <Status is="ok" />}</td>
              {digest && (
                <>
                  <td class="num opt">{count(digest.rows)}</td>
                  <td class="mono" title={`${digest.sha256} at ${digest.position}`}>
                    {digest.sha256.slice(0, 8)}…
                  </td>
                </>
              )}
            </tr>
          );
        })}
      </Table>
      <p class="quiet">
        A digest is the hash of all rows of a view. Servers that hold the same log come to the same at the same position, and so does a rebuild: <code>athena replay --verify</code>
      </p>
      {may(getViewDigests) && (
        <p>
          <button type="button" disabled={busy.value} onClick={() => void hash()}>
            {busy.value ? "Reading every row …" : "Take the digests"}
          </button>{" "}
          {found.value && <Copy text={JSON.stringify(found.value, null, 2)} label="Copy them" />}
        </p>
      )}
      {error.value && <Trouble error={error.value} />}
      {found.value && <Commands operation={getViewDigests} asked={{}} />}
    </Panel>
  );
}

/** Who executes runs: servers, workers and commands. */
function Workers(): JSX.Element {
  const live = useLive("workers", () => ask(listWorkers), whenever((event) => event.type === "run.leased"));
  useEffect(() => {
    const timer = setInterval(live.again, WORKERS_MS);
    return () => clearInterval(timer);
  }, [live]);
  return (
    <Shown live={live}>
      {({ items }) =>
        items.length ? (
          <Table label="Workers" heads={["Worker", "State", "Kind", "#Runs", "~Where", "~Providers", "~Since", "~Heartbeat"]}>
            {items.map((one) => (
              <tr key={one.id}>
                <td class="mono" title={one.id}>
                  …{one.id.slice(-8)}
                </td>
                <td>
                  <Status is={one.status} />
                  {(one.problems ?? []).map((problem) => (
                    <div class="bad" key={problem.loop} title={problem.message}>
                      {problem.loop} fails
                    </div>
                  ))}
                </td>
                <td>{one.kind}</td>
                <td class="num">
                  {count(one.running)} of {count(one.concurrency)}
                </td>
                <td class="opt">
                  {one.host}, process {one.pid}
                </td>
                <td class="opt">{one.providers.join(", ")}</td>
                <td class="opt">
                  <Time at={one.since} />
                </td>
                <td class="opt">
                  <Time at={one.heartbeat} />
                </td>
              </tr>
            ))}
          </Table>
        ) : (
          <Empty>Nobody executes runs: start one with athena worker.</Empty>
        )
      }
    </Shown>
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
