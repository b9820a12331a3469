// An entry of the audit trail: what changed, and the fleet before it.

import type { JSX } from "preact";
import { visible } from "../format";
import { href } from "../route";
import { positionOf } from "../state/events";
import { changesOf, type Members } from "../state/schema";
import { BeforeAndAfter, Json, Table } from "./ui";

const shown = (value: unknown): string => (value === undefined ? "" : visible(typeof value === "string" ? value : JSON.stringify(value)));

/** The values that differ between two documents, because of the event at a position. */
export function Changes({ before, after, position }: { before: unknown; after: unknown; position: number }): JSX.Element {
  return (
    <Table label={`Changes by event ${position}`} heads={["Field", "Before", "After"]}>
      {changesOf(before, after).map((change) => (
        <tr key={change.path}>
          <td class="mono">{visible(change.path)}</td>
          <td>{change.before !== undefined && <del>{shown(change.before)}</del>}</td>
          <td>{change.after !== undefined && <ins>{shown(change.after)}</ins>}</td>
        </tr>
      ))}
    </Table>
  );
}

export function AuditDetails({ record }: { record: Members }): JSX.Element {
  const { before, after, details, id, traceId } = record;
  const position = positionOf(String(id));
  return (
    <>
      {(before !== undefined || after !== undefined) && <Changes before={before} after={after} position={position} />}
      {details !== undefined && <Json value={details} />}
      <p>
        Fleet: <BeforeAndAfter position={position} />{" "}
        <a class="button small" href={href("events", undefined, { traceId: String(traceId) })}>
          Events of the request
        </a>
      </p>
    </>
  );
}
