// The members of a record, and tables of records.

import type { ComponentChildren, JSX } from "preact";
import { Fragment } from "preact";
import { count, duration, short, size } from "../format";
import { href } from "../route";
import { isObject, labelOf, type Members } from "../state/schema";
import { RunLink, Status, Table, Time } from "./ui";

/** Cells of columns that are not one member. */
export type Cells = Readonly<Record<string, (record: Members) => ComponentChildren>>;

/** The pages that a member leads to. */
const LINKS: Readonly<Record<string, string>> = {
  ...{ sessionId: "sessions", harnessProfileId: "profiles", runTemplateId: "templates", directiveId: "directives", workflowId: "workflows" },
  ...{ workspaceId: "workspaces", deadLetterId: "letters", requeuedFrom: "letters", messageId: "messages", askId: "asks", parentId: "tokens" },
};

/** The characters of a text that a cell shows. */
export const TEXT_CHARS = 120;

export const isBlank = (value: unknown): boolean => value === undefined || value === null || value === "";

/** A member of a record: its name says what it is. */
export function Member({ name, value, cell = false }: { name: string; value: unknown; cell?: boolean }): JSX.Element | null {
  const text = String(value);
  const page = LINKS[name];
  if (isBlank(value)) return null;
  if (page)
    return (
      <a class="cut" href={href(page, text)} title={text}>
        {short(text)}
      </a>
    );
  if (/[rR]unId$/.test(name) && text.startsWith("run_")) return <RunLink id={text} />;
  if (/(At|Since)$/.test(name)) return <Time at={text} upcoming={/^(expires|next)/.test(name)} />;
  if (name === "status" || name === "mergeGate") return <Status is={text} />;
  if (name === "keep") return value ? <Status is="kept" /> : null;
  if (typeof value === "boolean") return <>{value ? "yes" : "no"}</>;
  if (typeof value === "number") return <>{numberOf(name, value)}</>;
  if (Array.isArray(value) && value.every((one) => typeof one !== "object")) return <>{value.join(", ")}</>;
  const written = typeof value === "string" ? value : JSON.stringify(value);
  return <>{cell && written.length > TEXT_CHARS ? `${written.slice(0, TEXT_CHARS)} …` : written}</>;
}

/** Return a number with its unit, which the name says. */
function numberOf(name: string, value: number): string {
  if (/Bytes(Max)?$/.test(name)) return size(value);
  if (/Seconds(Max)?$/.test(name)) return duration(value * 1_000);
  return /[a-z]Ms(Max)?$/.test(name) ? duration(value) : count(value);
}

/** Return a member by its path: `config.model`. */
const at = (record: Members, path: string): unknown => path.split(".").reduce<unknown>((value, name) => (isObject(value) ? value[name] : undefined), record);

const lastOf = (path: string): string => path.split(".").at(-1) ?? "";

/** The columns of a list: `~#name` is a member of numbers, hidden on narrow screens. */
export function Rows(props: {
  label: string;
  columns: string;
  items: readonly Members[];
  first?: (record: Members) => ComponentChildren;
  firstLabel?: string;
  acts?: ((record: Members) => ComponentChildren) | false | undefined;
  after?: (record: Members) => ComponentChildren;
  cells?: Cells | undefined;
  idOf?: (record: Members) => string;
}): JSX.Element {
  const { label, items, first, after, acts, cells, idOf } = props;
  const columns = props.columns.split(" ").map((column) => {
    const [, marks = "", path = ""] = /^([~#]*)(.*)$/.exec(column) ?? [];
    return { marks, path, name: lastOf(path) };
  });
  const heads = [...columns.map(({ marks, name }) => `${marks}${labelOf(name, true)}`), ...(acts ? ["~#"] : [])];
  return (
    <Table label={label} heads={first ? [props.firstLabel ?? label, ...heads] : heads}>
      {items.map((record, index) => (
        <Fragment key={index}>
          <tr data-id={idOf?.(record)}>
            {first && <td>{first(record)}</td>}
            {columns.map(({ marks, path, name }) => (
              <td key={path} class={`${marks.includes("#") ? "num" : ""} ${marks.includes("~") ? "opt" : ""}`}>
                {cells?.[name]?.(record) ?? <Member name={name} value={at(record, path)} cell />}
              </td>
            ))}
            {acts && <td class="num opt">{acts(record)}</td>}
          </tr>
          {after?.(record)}
        </Fragment>
      ))}
    </Table>
  );
}
