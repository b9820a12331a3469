// What a person decides about: the question, and all of the text.

import { getAsk } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { plain } from "../format";
import { request } from "../server";
import { changesAsks } from "../state/asks";
import { reloadWhen, useLiveQuery } from "../state/live_query";
import { Json, Loaded } from "./ui";

export function AskSubject({ id }: { id: string }): JSX.Element {
  const live = useLiveQuery(`ask ${id}`, () => request(getAsk, { path: { askId: id } }), reloadWhen(changesAsks));
  return (
    <div class="subject">
      <Loaded live={live}>
        {(ask) => (
          <>
            <p>
              <b>{plain(ask.question)}</b>
            </p>
            {ask.status !== "open" && <p class="bad">Already decided: {ask.status}.</p>}
            {ask.subject ? (
              <pre tabIndex={0} aria-label="Text to approve">
                {plain(ask.subject)}
              </pre>
            ) : (
              <p class="quiet">
                {ask.redacted ? "The text was redacted." : ask.status === "open" ? "The steps before have no output." : "The text was replaced."}
              </p>
            )}
            {ask.truncated && <p class="quiet">A part is cut. The runs of the steps before show it in full.</p>}
            {ask.input && (
              <>
                <p class="quiet">Input of the workflow:</p>
                <Json value={ask.input} />
              </>
            )}
          </>
        )}
      </Loaded>
    </div>
  );
}
