// The outside agents of the server: the registered ones, and the processes that work on runs.

import type { AgentList, LiveAgentProcess } from "@projectathena/client";
import { listAgents } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { Panel, RunLink, Table, Time } from "../components/ui";
import { size } from "../format";
import { useRead, useReloadEvery } from "../state/live_query";

const MEMORY_MS = 5_000; // memory is not an event

/** The panel of the agents; nothing without one. */
export function OutsideAgents(): JSX.Element | null {
  const found = useRead(listAgents, {}, ({ type }) => type === "agent.attached");
  useReloadEvery(found, MEMORY_MS);
  const all = found.data.value;
  if (!all || !(all.agents.length || all.live.length)) return null;
  return (
    <Panel title="Outside agents" wide aside={<span class="quiet">{memoryOf(all)}</span>}>
      <Table label="Outside agents" heads={["Agent", "Status", "#Processes", "#Memory", "~Mode", "~In a sandbox", "~Model calls"]}>
        {all.agents.map(({ name, installed, missing = [], mode, boxedMode, provider, wire }) => {
          const processes = all.live.filter(({ agent }) => agent === name);
          return (
            <tr key={name}>
              <td class="main">{name}</td>
              <td>
                {installed ? "installed" : <span class="bad">not installed</span>}
                {missing.map((one) => (
                  <div class="bad" key={one}>
                    {one}
                  </div>
                ))}
              </td>
              <td class="num">{processes.length || ""}</td>
              <td class="num">{processes.length > 0 && size(memory(processes))}</td>
              <td class="opt">{mode}</td>
              <td class="opt">{boxedMode ?? mode}</td>
              <td class="opt">
                {provider}, {wire}
              </td>
            </tr>
          );
        })}
      </Table>
      {all.live.length > 0 && (
        <Table label="Processes of agents" heads={["Process", "Status", "Run", "#Memory", "~Started"]}>
          {all.live.map(({ agent, runId, waiting, memoryBytes, since }) => (
            <tr key={runId}>
              <td>{agent}</td>
              <td>{waiting ? "waits for a person" : "working"}</td>
              <td>
                <RunLink id={runId} />
              </td>
              <td class="num">{size(memoryBytes)}</td>
              <td class="opt">
                <Time at={since} />
              </td>
            </tr>
          ))}
        </Table>
      )}
    </Panel>
  );
}

const memory = (processes: readonly LiveAgentProcess[]): number => processes.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0);

function memoryOf({ memoryBytes, memoryBytesMax }: AgentList): string {
  return memoryBytesMax ? `${size(memoryBytes)} of ${size(memoryBytesMax)}` : size(memoryBytes);
}
