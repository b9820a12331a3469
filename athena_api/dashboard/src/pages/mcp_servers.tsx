// MCP servers: their tools, and what changed in them since they were accepted.

import type { McpServerDetails, McpServerEntry, McpToolEntry } from "@projectathena/client";
import { acceptMcpTools, checkMcpServer, getMcpServer, listMcpServers } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { Action, type ActionSpec } from "../components/actions";
import { Call } from "../components/call";
import { Empty, Facts, Loaded, NoPast, Panel, Status, Table, Time } from "../components/ui";
import { count, visibleLine } from "../format";
import { at, href, route } from "../route";
import type { CallPart } from "../state/call_text";
import { type SeenEvent, text } from "../state/events";
import { useRead } from "../state/live_query";
import { type ToolDefinition, toolChanges, toolParts } from "../state/mcp_tools";
import type { AttachedServer } from "../state/run_timeline";
import { textLine } from "../state/schema";

const FIRST_CHARS = 200;

const isAbout = (event: SeenEvent, server?: string): boolean =>
  event.type.startsWith("mcp-server.") && (server === undefined || text(event, "server") === server);

export function McpServers(): JSX.Element {
  const { id } = route.value;
  if (at.value !== undefined) return <PastServers name={id} />;
  if (id !== undefined) return <McpServerPage key={id} name={id} />;
  const live = useRead(listMcpServers, {}, (event) => isAbout(event));
  return (
    <>
      <h1>MCP servers</h1>
      <Loaded live={live}>
        {({ servers }) =>
          servers.length ? (
            <Table label="MCP servers" heads={["Server", "Status", "#Tools", "#To accept", "~Program", "~Protocol", "~Listed"]}>
              {servers.map((entry) => (
                <tr key={entry.server}>
                  <td>
                    <a href={href("mcp", entry.server)}>{entry.server}</a>
                  </td>
                  <td>
                    <State of={entry} />
                  </td>
                  <td class="num">{count(entry.tools)}</td>
                  <td class="num">{entry.changed > 0 && count(entry.changed)}</td>
                  <td class="opt">{programOf(entry)}</td>
                  <td class="opt">{protocolOf(entry)}</td>
                  <td class="opt">
                    <Time at={entry.listedAt} />
                  </td>
                </tr>
              ))}
            </Table>
          ) : (
            <Empty>No MCP servers. An operator registers them in the file of ATHENA_MCP_SERVERS.</Empty>
          )
        }
      </Loaded>
    </>
  );
}

function PastServers({ name = "MCP servers" }: { name: string | undefined }): JSX.Element {
  return (
    <>
      <h1>{name}</h1>
      <NoPast>MCP servers and their tools are known for now only: they have no past. The events have what was accepted when.</NoPast>
    </>
  );
}

function State({ of: { state, registered, missing = [] } }: { of: McpServerEntry }): JSX.Element {
  return (
    <>
      <Status is={state} /> {!registered && <span class="quiet">not registered here</span>}
      {missing.map((one) => (
        <div class="bad" key={one}>
          {one}
        </div>
      ))}
    </>
  );
}

const programOf = ({ serverInfo }: McpServerEntry): string => visibleLine([serverInfo?.name, serverInfo?.version].filter(Boolean).join(" "));

const protocolOf = ({ transport, protocolVersion }: McpServerEntry): string => [transport, protocolVersion].filter(Boolean).join(", ");

function McpServerPage({ name }: { name: string }): JSX.Element {
  const live = useRead(getMcpServer, { path: { server: name } }, (event) => isAbout(event, name));
  return (
    <>
      <p>
        <a href={href("mcp")}>All MCP servers</a>
      </p>
      <Loaded live={live}>
        {(details) => (
          <>
            <h1>
              {name} <State of={details.server} />
              {details.server.registered && <Action action={checkAction(name)} />}
            </h1>
            <div class="columns">
              <Changes of={details} />
              <Panel title="Server">
                <Facts
                  of={[
                    ["Program", programOf(details.server)],
                    ["Protocol", protocolOf(details.server)],
                    ["Listed", <Time at={details.server.listedAt} />],
                    ["Accepted", details.server.acceptedAt ? <Time at={details.server.acceptedAt} /> : undefined],
                    ["Accepted by", details.server.acceptedBy],
                    ["Note", details.note],
                  ]}
                />
              </Panel>
              <Panel title="Tools" wide>
                {details.tools.length ? (
                  details.tools.map((tool) => <Tool key={tool.name} tool={tool} />)
                ) : (
                  <Empty>Not listed yet. Check the server to list its tools.</Empty>
                )}
              </Panel>
            </div>
          </>
        )}
      </Loaded>
    </>
  );
}

/** The tools that differ from the accepted ones. */
function Changes({ of: details }: { of: McpServerDetails }): JSX.Element | null {
  const tools = details.tools.filter(({ state }) => state !== "accepted");
  if (!tools.length) return null;
  return (
    <Panel title="Changes to accept" wide aside={<Action action={acceptAction(details, tools)} />}>
      <p class="quiet">Until they are accepted, these tools are refused. The texts are the server's: models read and follow them.</p>
      {tools.map((tool) => (
        <Change key={tool.name} details={details} tool={tool} />
      ))}
    </Panel>
  );
}

const STATES: Readonly<Record<string, string>> = { new: "new", changed: "changed", removed: "not offered any more" };

/** What changed in a tool: the differences of a changed one, all of a new one. */
function Change({ details, tool }: { details: McpServerDetails; tool: McpToolEntry }): JSX.Element {
  const parts = tool.state === "changed" ? toolChanges(tool.accepted ?? {}, tool.listed ?? {}) : tool.state === "new" ? toolParts(tool.listed ?? {}) : [];
  return (
    <article class="ask" aria-label={visibleLine(tool.name)}>
      <header>
        <h3>
          <span class="mono">{visibleLine(tool.name)}</span> <span class="quiet">{STATES[tool.state]}</span>
        </h3>
        <Action action={acceptAction(details, [tool])} label="Accept" />
      </header>
      {tool.state !== "removed" && <Texts parts={parts} />}
    </article>
  );
}

function Texts({ parts }: { parts: readonly CallPart[] }): JSX.Element {
  if (!parts.length) return <p class="quiet">The texts were redacted.</p>;
  return <Call of={{ line: "", parts, brief: false }} toolName={undefined} />;
}

function Tool({ tool }: { tool: McpToolEntry }): JSX.Element {
  const found: ToolDefinition = tool.listed ?? tool.accepted ?? {};
  const [first = ""] = (found.description ?? "").split("\n", 1);
  return (
    <details>
      <summary>
        <b class="mono">{visibleLine(tool.name)}</b> {visibleLine(first.slice(0, FIRST_CHARS))}{" "}
        {tool.readOnly && <span class="quiet">(declared read-only)</span>}
      </summary>
      <p class="quiet">
        Models know it as <span class="mono">{tool.publicName}</span>
      </p>
      <Texts parts={toolParts(found)} />
    </details>
  );
}

function checkAction(server: string): ActionSpec<McpServerDetails> {
  return {
    operation: checkMcpServer,
    label: "Check",
    request: () => ({ path: { server } }),
    done: ({ tools }) => `${server} answered: ${tools.length} tools.`,
  };
}

/** Accept tools as they are listed now. */
function acceptAction({ server: { server }, listingSha256 }: McpServerDetails, tools: readonly McpToolEntry[]): ActionSpec<McpServerDetails> {
  const names = tools.map(({ name }) => name);
  return {
    operation: acceptMcpTools,
    label: "Accept",
    question: "Runs may call these tools as they are now. That holds for open runs, too.",
    subject: () => <p class="mono">{names.map(visibleLine).join(", ")}</p>,
    fields: { note: textLine("The reason, for the record") },
    request: (values) => ({ path: { server }, body: { listingSha256, tools: names, ...values } }),
    done: () => "Accepted.",
  };
}

/** A server that a run uses. */
export function AttachedServerLine({ name, of }: { name: string; of: AttachedServer }): JSX.Element {
  return (
    <div>
      <a href={href("mcp", name)}>{name}</a> {of.protocol}, {count(of.tools)} {of.tools === 1 ? "tool" : "tools"}
      {of.refused.length > 0 && <span class="bad"> changed, so refused: {of.refused.map(visibleLine).join(", ")}</span>}
    </div>
  );
}
