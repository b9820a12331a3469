// Lists and records of any kind, as their rows describe them.

import { type Operation, pathOf } from "@projectathena/client";
import type { JSX } from "preact";
import { plain, short } from "../format";
import { FILTERS, href, route } from "../route";
import type { Snapshot } from "../server";
import { isAllowed } from "../state/caller";
import { request } from "../state/instant";
import { reloadWhen, useLiveQuery, useRead } from "../state/live_query";
import { isObject, labelOf, type Members } from "../state/schema";
import { Action, type ActionSpec } from "./actions";
import { FORMS, pathKey } from "./form_rows";
import { type Act, CONVERSATION, type FormLink, KINDS, type Kind, type Part } from "./record_rows";
import { isBlank, Member, Rows, TEXT_CHARS } from "./rows";
import { Empty, Facts, Filter, Json, Loaded, MorePages, Panel, RunLink, Status, Time } from "./ui";

interface Page {
  readonly items: readonly Members[];
  readonly nextCursor?: string;
}

const concerns = (pattern: string, type: string): boolean => new RegExp(`^(${pattern})`).test(type);

const LIMIT = 100;
const HIDDEN = ["schemaVersion", "transcriptPath", "nextCursor", "items"];

const read = async (operation: Operation<unknown>, parts: Parameters<typeof request>[1]): Promise<Snapshot<Page>> =>
  (await request(operation, parts)) as Snapshot<Page>;

export function Records(): JSX.Element {
  const { page, id } = route.value;
  const kind = KINDS[page] as Kind;
  return id !== undefined && kind.get ? <Record key={id} kind={kind} get={kind.get} id={id} /> : <List key={page} kind={kind} />;
}

function List({ kind }: { kind: Kind }): JSX.Element {
  const { page, id: open, filters } = route.value;
  const names = FILTERS[page] ?? [];
  const query = Object.fromEntries(names.flatMap((name) => (filters[name] ? [[name, filters[name]]] : [])));
  const readPage = (cursor?: string): Promise<Snapshot<Page>> => read(kind.list, { query: { ...kind.query, ...query, limit: LIMIT, cursor } });
  const live = useLiveQuery(
    `${page} ${JSON.stringify(query)}`,
    () => readPage(),
    reloadWhen(({ type }) => concerns(kind.events, type)),
  );
  const inPlace = !kind.get;
  const idOf = (record: Members): string => String(record[kind.id ?? "id"]);
  const link = (record: Members): JSX.Element => {
    const id = idOf(record);
    const shown = kind.link ? <Time at={String(record[kind.link])} /> : short(id);
    const isOpen = inPlace && open === id;
    return (
      <a
        class={kind.link ? "" : "cut"}
        title={id}
        aria-expanded={inPlace ? isOpen : undefined}
        href={href(page, isOpen ? undefined : id, inPlace ? filters : {})}
      >
        {shown}
      </a>
    );
  };
  const details = (record: Members): JSX.Element | false =>
    inPlace &&
    open === idOf(record) && (
      <tr class="inner">
        <td colSpan={9}>
          <p class="narrow">
            <Acts kind={kind} record={record} id={idOf(record)} />
          </p>
          {kind.details ? kind.details(record) : <RecordMembers of={record} />}
        </td>
      </tr>
    );
  const rows = (items: readonly Members[]): JSX.Element => (
    <Rows
      label={kind.title}
      firstLabel={kind.link ? labelOf(kind.link) : kind.one}
      columns={kind.columns}
      items={items}
      first={link}
      acts={kind.acts?.some(({ operation }) => isAllowed(operation)) && ((record) => <Acts kind={kind} record={record} id={idOf(record)} />)}
      after={details}
      cells={kind.cells}
      idOf={idOf}
    />
  );
  return (
    <>
      <h1>
        {kind.title} <Forms of={kind.create ? [{ operation: kind.create, label: FORMS[kind.create.id]?.title ?? "" }] : []} first={!names.length} />
        {kind.csv && (
          <a class="button" href={pathOf(kind.list, { query: { ...query, format: "csv" } })} download>
            CSV
          </a>
        )}
      </h1>
      <p class="quiet">{kind.about}</p>
      {names.length > 0 && (
        <div class="filters">
          {names.map((name, index) => (
            <Filter key={name} name={name} label={labelOf(name)} {...filterOf(kind, name)} first={index === 0} />
          ))}
        </div>
      )}
      <Loaded live={live}>
        {({ items, nextCursor }) => (
          <>
            {items.length ? rows(items) : <Empty>{Object.keys(query).length ? `No ${kind.title.toLowerCase()} match these filters.` : kind.empty}</Empty>}
            <MorePages key={JSON.stringify(query)} next={nextCursor} what={kind.title.toLowerCase()} read={readPage}>
              {rows}
            </MorePages>
          </>
        )}
      </Loaded>
    </>
  );
}

function filterOf({ options }: Kind, name: string): { options?: readonly string[]; time?: boolean } {
  const fixed = options?.[name];
  return fixed ? { options: fixed } : { time: name.startsWith("created") };
}

/** Links to forms that the role allows. */
function Forms({ of, id, first = false }: { of: readonly FormLink[]; id?: string; first?: boolean }): JSX.Element {
  return (
    <>
      {of
        .filter(({ operation }) => isAllowed(operation))
        .map(({ operation, label, by }) => (
          <a key={label} class="button" data-first={first ? "" : undefined} href={href("form", operation.id, by ? { [by]: id } : {})}>
            {label}
          </a>
        ))}
    </>
  );
}

function Record({ kind, get, id }: { kind: Kind; get: Operation<unknown>; id: string }): JSX.Element {
  const key = pathKey(get) ?? "";
  const live = useRead(get, { path: { [key]: id } }, ({ type }) => concerns(kind.events, type));
  const found = live.data.value;
  const name = isObject(found) && found.displayName;
  return (
    <>
      <p>
        <a href={href(route.value.page)}>All {kind.title.toLowerCase()}</a>
      </p>
      <h1>
        {kind.one} {typeof name === "string" && name && <span>{plain(name)}</span>} <span class={name ? "mono quiet" : "mono"}>{short(id)}</span>
        {isObject(found) && (
          <>
            {kind.cells?.status?.(found) ?? (typeof found.status === "string" && <Status is={found.status} />)}
            <Forms of={kind.forms ?? []} id={id} />
            <Acts kind={kind} record={found} id={id} />
          </>
        )}
      </h1>
      <Loaded live={live}>
        {(record) => (
          <div class="columns">
            {isObject(record) && <RecordMembers of={record} />}
            {isObject(record) && kind.more?.(record)}
            {kind.parts?.map((part) => isAllowed(part.list) && <PartPanel key={part.title} part={part} id={id} events={kind.events} />)}
          </div>
        )}
      </Loaded>
    </>
  );
}

const isPlain = (value: unknown): boolean => typeof value !== "object" || (Array.isArray(value) && value.every((one) => typeof one !== "object"));
const isLong = (value: unknown): boolean => (typeof value === "string" ? value.length > TEXT_CHARS || value.includes("\n") : !isPlain(value));

/** Return true for a list of records without parts. */
const isTable = (value: unknown): value is readonly Members[] =>
  Array.isArray(value) && value.every((one) => isObject(one) && Object.values(one).every(isPlain));

const columnsOf = (items: readonly Members[]): string => [...new Set(items.flatMap(Object.keys))].join(" ");

/** Return the members, with the members of small objects among them. */
function flat(record: Members): readonly (readonly [label: string, name: string, value: unknown])[] {
  return Object.entries(record).flatMap(([name, value]) =>
    isObject(value) && Object.values(value).every(isPlain)
      ? Object.entries(value).map(([inner, member]) => [`${labelOf(name, true)}: ${labelOf(inner, true).toLowerCase()}`, inner, member] as const)
      : [[labelOf(name, true), name, value] as const],
  );
}

/** The members of a record: short ones as facts, texts and objects in full. */
export function RecordMembers({ of, title = "Details" }: { of: Members; title?: string }): JSX.Element {
  const members = flat(of).filter(([, name, value]) => !HIDDEN.includes(name) && !isBlank(value));
  return (
    <>
      <Panel title={title} wide>
        <Facts of={members.filter(([, , value]) => !isLong(value)).map(([label, name, value]) => [label, <Member name={name} value={value} />] as const)} />
      </Panel>
      {members
        .filter(([, , value]) => isLong(value))
        .map(([label, , value]) => (
          <Panel key={label} title={label} wide={typeof value === "string"}>
            {isTable(value) ? <Rows label={label} columns={columnsOf(value)} items={value} /> : <Json value={value} />}
          </Panel>
        ))}
    </>
  );
}

function PartPanel({ part, id, events }: { part: Part; id: string; events: string }): JSX.Element {
  const { list, by, columns, title, empty } = part;
  const key = pathKey(list);
  const readPage = (cursor?: string): Promise<Snapshot<Page>> =>
    read(list, { ...(key ? { path: { [key]: id } } : {}), query: { ...(by ? { [by]: id } : {}), limit: LIMIT, cursor } });
  const live = useLiveQuery(
    `${title} ${id}`,
    () => readPage(),
    reloadWhen(({ type, sessionId }) => concerns(events, type) || sessionId === id),
  );
  const rows = (items: readonly Members[]): JSX.Element =>
    columns === CONVERSATION ? <Conversation items={items} /> : <Rows label={title} columns={columns} items={items} />;
  return (
    <Panel title={title} wide>
      <Loaded live={live}>
        {({ items, nextCursor }) => (
          <>
            {items.length ? rows(items) : <Empty>{empty}</Empty>}
            <MorePages next={nextCursor} what={title.toLowerCase()} read={readPage}>
              {rows}
            </MorePages>
          </>
        )}
      </Loaded>
    </Panel>
  );
}

function Conversation({ items }: { items: readonly Members[] }): JSX.Element {
  return (
    <div class="transcript">
      {items.map(({ id, role, content, createdAt, runId, toolName, redacted }) => (
        <article key={id} class={String(role)}>
          <header>
            {String(toolName ?? role)} <Time at={String(createdAt)} /> <RunLink id={String(runId)} />
          </header>
          <pre tabIndex={0}>{redacted ? "Redacted" : String(content ?? "")}</pre>
        </article>
      ))}
    </div>
  );
}

/** The acts on a record that are possible now. */
export function Acts({ kind, record, id }: { kind: Kind; record: Members; id: string }): JSX.Element {
  const acts = kind.acts?.filter(({ when }) => when?.(record) ?? true) ?? [];
  return (
    <>
      {acts.map((act) => (
        <Action key={act.label} action={actionOf(act, kind, record, id)} label={act.label} />
      ))}
    </>
  );
}

function actionOf(
  { operation, label, question, fields, danger = false, done, body, leaves }: Act,
  kind: Kind,
  record: Members,
  id: string,
): ActionSpec<unknown> {
  const key = pathKey(operation) ?? "";
  const leave = (): void => {
    if (leaves) location.hash = href(route.value.page);
  };
  return {
    operation,
    label: question ? `${label} ${kind.one.toLowerCase()}` : label,
    danger,
    ...(question
      ? {
          question,
          subject: () => (
            <Facts
              of={[
                [kind.one, id],
                ["Session", record.sessionId as string | undefined],
              ]}
            />
          ),
        }
      : {}),
    ...(fields ? { fields } : {}),
    request: (values) => ({
      path: { [key]: id },
      ...(body || fields ? { body: { ...body, ...values } } : {}),
      ...(operation.waits ? { respondAsync: true } : {}),
    }),
    done: () => (typeof done === "string" ? done : done(record)),
    after: leave,
  };
}
