// The server: health, views, workers, policy, limits and versions.

import { useSignal } from "@preact/signals";
import { AthenaError, type Capabilities, type Health, type ViewDigests } from "@projectathena/client";
import { getAdminHealth, getViewDigests, listAgents, listPermissionRules, listWorkers } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { Commands, Copy, Empty, ErrorMessage, Facts, Loaded, NoPast, Panel, Status, Table, Time } from "../components/ui";
import { clock, count } from "../format";
import { at } from "../route";
import { head } from "../server";
import { caller, isAllowed, loginOf } from "../state/caller";
import { capabilities, health, position, state } from "../state/event_stream";
import { request } from "../state/instant";
import { useRead, useReloadEvery } from "../state/live_query";
import { OutsideAgents } from "./agents";
import { PermissionRules } from "./permission_rules";

const WORKERS_MS = 5_000; // heartbeats are not events

export function System(): JSX.Element {
  return at.value === undefined ? <PresentSystem /> : <PastSystem />;
}

/** The recorded part of the system: the permission rules. */
function PastSystem(): JSX.Element {
  return (
    <>
      <h1>System</h1>
      <NoPast>The server, your access, diagnostics, workers and outside agents are known for now only: they have no past.</NoPast>
      <div class="columns">
        {isAllowed(listPermissionRules) && (
          <Panel title="Permission rules" wide>
            <PermissionRules />
          </Panel>
        )}
      </div>
    </>
  );
}

function PresentSystem(): JSX.Element {
  const server = capabilities.value;
  const first = useRead(getAdminHealth, {}, () => false);
  const seen = health.value ?? first.data.value;
  return (
    <>
      <h1>System {seen && <Status is={seen.status} />}</h1>
      <div class="columns">
        {seen && <Problems health={seen} />}
        <Panel title="Server">{server && <ServerFacts server={server} />}</Panel>
        <Panel title="Your access">
          <Facts
            of={[
              ["Identity", caller.value?.identity],
              ["Role", caller.value?.role],
              ["Scope", caller.value?.scope ? JSON.stringify(caller.value.scope) : "everything"],
              ["Logged in by", loginText()],
              ["Token", caller.value?.token?.tokenId && <span class="mono">{caller.value.token.tokenId}</span>],
              ["Allowed operations", count(caller.value?.operations.length ?? 0)],
            ]}
          />
        </Panel>
        {seen && <Diagnostics health={seen} />}
        {isAllowed(listPermissionRules) && (
          <Panel title="Permission rules" wide>
            <PermissionRules />
          </Panel>
        )}
        <Panel title="Workers" wide>
          <Workers />
        </Panel>
        {isAllowed(listAgents) && <OutsideAgents />}
        <Panel title="Limits" wide>
          <Facts of={Object.entries(server?.limits ?? {}).map(([name, value]) => [spaced(name), value === null ? undefined : count(Number(value))] as const)} />
        </Panel>
      </div>
    </>
  );
}

function loginText(): string | undefined {
  const { auth } = capabilities.value ?? {};
  return (caller.value && loginOf(caller.value)) ?? (auth?.enabled ? `proxy, header ${auth.identityHeader}` : undefined);
}

function spaced(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function Diagnostics({ health }: { health: Health }): JSX.Element {
  return (
    <Panel title="Diagnostics" wide>
      <Facts
        of={[
          ["Log head", count(Math.max(head.value, health.head))],
          ["Page position", `${count(position.value)} (${state.value})`],
          ["Pending writes", count(health.queue)],
          ["Open streams", count(health.streams)],
          ["View generation", health.generation],
          ["Next view generation", health.candidate],
          ["Server clock", `${clock(health.now)} local time`],
        ]}
      />
      <Commands operation={getAdminHealth} request={{}} />
      <Views health={health} />
    </Panel>
  );
}

function Problems({ health }: { health: Health }): JSX.Element | null {
  const { problems = [], reason } = health; // absent on older servers
  if (!problems.length && !reason) return null;
  return (
    <Panel title="Problems" wide>
      {reason && <p class="bad">{reason}</p>}
      {problems.length > 0 && (
        <Table label="Problems" heads={["Background loop", "Since", "#Failures", "Last failure"]}>
          {problems.map((worker) => (
            <tr key={worker.loop}>
              <td>{worker.loop}</td>
              <td>
                <Time at={worker.since} />
              </td>
              <td class="num">{count(worker.count)}</td>
              <td class="bad">{worker.message}</td>
            </tr>
          ))}
        </Table>
      )}
    </Panel>
  );
}

function Views({ health }: { health: Health }): JSX.Element {
  const report = useSignal<ViewDigests | undefined>(undefined);
  const error = useSignal<AthenaError | undefined>(undefined);
  const busy = useSignal(false);
  const hash = async (): Promise<void> => {
    busy.value = true;
    error.value = undefined;
    try {
      report.value = (await request(getViewDigests)).data;
    } catch (failed) {
      if (!(failed instanceof AthenaError)) throw failed;
      error.value = failed;
    } finally {
      busy.value = false;
    }
  };
  const digests = report.value?.views;
  return (
    <>
      <h3 class="more">Views</h3>
      <Table label="Views" heads={["View", "~#Version", "#Position", "~#Lag", "Status", ...(digests ? ["~#Rows", "Checksum"] : [])]}>
        {Object.entries(health.projections).map(([name, worker]) => {
          const digest = digests?.[name];
          return (
            <tr key={name}>
              <td>{name}</td>
              <td class="num opt">{worker.version}</td>
              <td class="num">{count(worker.position)}</td>
              <td class="num opt">{count(worker.lag)}</td>
              <td>{worker.error ? <span class="bad">{worker.error}</span> : <Status is="ok" />}</td>
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
        The checksum of a view covers all its rows. At the same position, it must equal the checksum on other servers with this log, and after a rebuild (
        <code>athena replay --verify</code>).
      </p>
      {isAllowed(getViewDigests) && (
        <p>
          <button type="button" disabled={busy.value} onClick={() => void hash()}>
            {busy.value ? "Computing …" : "View checksums"}
          </button>{" "}
          {report.value && <Copy text={JSON.stringify(report.value, null, 2)} label="Copy checksums" />}
        </p>
      )}
      {error.value && <ErrorMessage error={error.value} />}
      {report.value && <Commands operation={getViewDigests} request={{}} />}
    </>
  );
}

/** The processes that execute runs: servers, workers and commands. */
function Workers(): JSX.Element {
  const live = useRead(listWorkers, {}, (event) => event.type === "run.leased");
  useReloadEvery(live, WORKERS_MS);
  return (
    <Loaded live={live}>
      {({ items }) =>
        items.length ? (
          <Table label="Workers" heads={["Worker", "Status", "Kind", "#Runs", "~Host", "~Providers", "~Started", "~Heartbeat"]}>
            {items.map((worker) => (
              <tr key={worker.id}>
                <td class="mono" title={worker.id}>
                  …{worker.id.slice(-8)}
                </td>
                <td>
                  <Status is={worker.status} />
                  {(worker.problems ?? []).map((problem) => (
                    <div class="bad" key={problem.loop} title={problem.message}>
                      {problem.loop} failing
                    </div>
                  ))}
                </td>
                <td>{worker.kind}</td>
                <td class="num">
                  {count(worker.running)} of {count(worker.concurrency)}
                </td>
                <td class="opt">
                  {worker.host}:{worker.pid}
                </td>
                <td class="opt">{worker.providers.join(", ")}</td>
                <td class="opt">
                  <Time at={worker.since} />
                </td>
                <td class="opt">
                  <Time at={worker.heartbeat} />
                </td>
              </tr>
            ))}
          </Table>
        ) : (
          <Empty>No workers. Start one with: athena worker</Empty>
        )
      }
    </Loaded>
  );
}

function ServerFacts({ server }: { server: Capabilities }): JSX.Element {
  return (
    <Facts
      of={[
        ["Version", server.version],
        ["Log", <span class="mono">{server.logId}</span>],
        ["Store", server.stateStore],
        ["Durability", server.durability],
        ["Scheduler", server.scheduler],
        ["Authentication", server.auth.enabled ? `on (${server.auth.mode}), header ${server.auth.identityHeader}` : "off (every caller is the local Admin)"],
        ["Providers", server.providers.join(", ")],
        ["API", <a href="/docs">Documentation</a>],
      ]}
    />
  );
}
