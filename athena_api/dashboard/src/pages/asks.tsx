// Asks: what waits for a person, what was decided, and one ask in full.

import { useSignal } from "@preact/signals";
import type { Ask } from "@projectathena/client";
import { answerAsk, getAsk, listAsks } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { latest } from "../components/answering";
import { Answers, AskArticle, AskBody, AskCards, AskContext, AskKeys, kindText, useCall } from "../components/ask";
import { Call } from "../components/call";
import { Marked } from "../components/marked";
import { Copy, Empty, Facts, Filter, Json, Loaded, MorePages, Panel, Status, Table, Time } from "../components/ui";
import { clock, visible } from "../format";
import { href, route } from "../route";
import { changesAsks, decidersOf, decisionOf, foldAsks, isYesOrNo } from "../state/asks";
import { difference, pretty } from "../state/call_text";
import { isAllowed } from "../state/caller";
import { request } from "../state/instant";
import { reloadWhen, useLiveQuery, useRead } from "../state/live_query";
import { openAsks } from "../state/open_asks";

const STATUSES = ["open", "approved", "rejected", "answered", "expired", "cancelled"];
const KINDS = ["tool-permission", "question", "choice", "workflow-approval"];

export function Asks(): JSX.Element {
  const { id, filters } = route.value;
  return id === undefined ? <AskLists filters={filters} /> : <AskDetail key={id} id={id} />;
}

function AskLists({ filters }: { filters: Readonly<Record<string, string>> }): JSX.Element {
  const { status = "open", kind, sessionId, runId, harnessProfileId } = filters;
  const query = { status, kind, sessionId, runId, harnessProfileId, limit: 50 };
  const key = JSON.stringify(query);
  const live = useLiveQuery(`asks ${key}`, () => request(listAsks, { query }), status === "open" ? foldAsks : reloadWhen(changesAsks));
  const show = (asks: readonly Ask[]): JSX.Element => (status === "open" ? <AskCards asks={asks} /> : <Decided asks={asks} />);
  return (
    <>
      <h1>Asks {status === "open" && <AskKeys />}</h1>
      <div class="filters">
        <Filter name="status" label="Status" options={STATUSES} />
        <Filter name="kind" label="Kind" options={KINDS} />
        <Filter name="sessionId" label="Session" first />
        <Filter name="runId" label="Run" />
        <Filter name="harnessProfileId" label="Agent (profile)" />
      </div>
      <Loaded live={live}>
        {(page) => (
          <>
            {page.items.length === 0 && (
              <Empty>
                {status === "open"
                  ? "Nothing waits for a decision. Agents ask before the calls for which their profile says so."
                  : "No asks match these filters."}
              </Empty>
            )}
            {page.items.length > 0 && status === "open" && <h2 class="more">Waiting for a decision, oldest first</h2>}
            {(status === "open" || page.items.length > 0) && show(page.items)}
            <MorePages key={key} next={page.nextCursor} what="asks" read={(cursor) => request(listAsks, { query: { ...query, cursor } })}>
              {show}
            </MorePages>
          </>
        )}
      </Loaded>
    </>
  );
}

function Decided({ asks }: { asks: readonly Ask[] }): JSX.Element {
  return (
    <Table label="Asks" heads={["Status", "Ask", "~Kind", "Decision", "~#Asked"]}>
      {asks.map((ask) => (
        <tr key={ask.id}>
          <td>
            <Status is={ask.status} />
          </td>
          <td>
            <a href={href("asks", ask.id)}>
              <Marked text={ask.question} of={ask} />
            </a>
          </td>
          <td class="opt">{kindText(ask)}</td>
          <td>{decisionOf(ask)}</td>
          <td class="num opt">
            <Time at={ask.askedAt} />
          </td>
        </tr>
      ))}
    </Table>
  );
}

function AskDetail({ id }: { id: string }): JSX.Element {
  const live = useRead(getAsk, { path: { askId: id } }, changesAsks);
  return (
    <>
      <p>
        <a href={href("asks")}>All asks</a>
      </p>
      <Loaded live={live}>{(ask) => <AskState ask={latest(ask)} />}</Loaded>
    </>
  );
}

function AskState({ ask }: { ask: Ask }): JSX.Element {
  const call = useCall(ask);
  const note = useSignal("");
  const open = ask.status === "open";
  return (
    <AskArticle ask={ask} shown class="whole" focused note={note.value}>
      <h1 id={`ask-${ask.id}`}>
        <Marked text={ask.question} of={ask} /> <Status is={ask.status} />
      </h1>
      <AskContext ask={ask} />
      <div class="columns">
        <Panel title={isYesOrNo(ask) ? "To approve" : "Question"} wide aside={open && isYesOrNo(ask) && <AskKeys one={ask} />}>
          <AskBody ask={ask} call={call} />
          {!isYesOrNo(ask) && (
            <p class="prose">
              <Marked text={ask.question} of={ask} />
            </p>
          )}
          {open && isYesOrNo(ask) && isAllowed(answerAsk) && (
            <label class="field">
              <span>Note (recorded with the answer)</span>
              <input value={note.value} onInput={(event) => (note.value = event.currentTarget.value)} />
            </label>
          )}
          <Answers ask={ask} shown note={note.value} />
          {!open && <NextAsk />}
        </Panel>
        <Panel title="Details">
          <Facts
            of={[
              ["Kind", kindText(ask)],
              ["Who may answer", decidersOf(ask)],
              ["Expires", open && ask.expiresAt ? <Time at={ask.expiresAt} upcoming /> : undefined],
              ["At its expiry", open && ask.expiresAt && (ask.onExpiry === "cancel" ? "the run is cancelled" : "it is denied")],
              ["Run", ask.runId && (ask.parked ? "parked: no slot, and its timeout is paused" : open ? "held: it keeps its slot" : undefined)],
              ["Profile", ask.harnessProfileId && <span class="mono">{ask.harnessProfileId}</span>],
              ["Id", <span class="mono">{ask.id}</span>],
            ]}
          />
          <p class="quiet">
            Hash of the text to approve: <span class="mono hash">{ask.subjectHash}</span> <Copy text={ask.subjectHash} label="Copy hash" />
          </p>
        </Panel>
        <Panel title="History">
          <History ask={ask} />
        </Panel>
      </div>
    </AskArticle>
  );
}

/** Leads to the ask that has waited longest. */
function NextAsk(): JSX.Element | null {
  const next = openAsks()?.data.value?.items.find((ask) => latest(ask).status === "open");
  return next ? (
    <p>
      Next:{" "}
      <a href={href("asks", next.id)}>
        <Marked text={next.question} of={next} />
      </a>
    </p>
  ) : null;
}

function History({ ask }: { ask: Ask }): JSX.Element {
  const decision = decisionOf(ask);
  const { arguments: asked, editedArguments: edited } = ask;
  return (
    <>
      <ol class="causes">
        <li>
          <time dateTime={ask.askedAt}>{clock(ask.askedAt)}</time>
          <span>Asked{ask.agentName ? ` by ${ask.agentName}` : ""}</span>
        </li>
        {decision && (
          <li>
            {ask.decidedAt && <time dateTime={ask.decidedAt}>{clock(ask.decidedAt)}</time>}
            <span>
              {decision}
              {ask.note && `: ${visible(ask.note)}`}
            </span>
          </li>
        )}
      </ol>
      {ask.ruleId && (
        <p>
          Permission rule: <a href={href("system")}>{ask.ruleId}</a>
        </p>
      )}
      {ask.values && <Json value={visible(JSON.stringify(ask.values, null, 2))} />}
      {edited !== undefined && (
        <Call
          of={{ line: "", parts: [{ title: "Changes", blocks: difference(pretty(asked ?? ""), pretty(edited)) }], brief: true }}
          toolName={ask.toolName}
          marks={ask}
        />
      )}
    </>
  );
}
