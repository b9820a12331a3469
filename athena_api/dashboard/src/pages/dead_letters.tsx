// A dead letter: work or a message that failed permanently.

import type { DeadLetter } from "@projectathena/client";
import type { JSX } from "preact";
import { Facts, Json, RunLink, Time } from "../components/ui";

/** The attempts and the payload of a dead letter. */
export function DeadLetterDetails({ letter }: { letter: DeadLetter }): JSX.Element {
  return (
    <div class="columns">
      <section class="panel">
        <h2>Attempts</h2>
        <ol class="ticker">
          {letter.attempts.map((attempt) => (
            <li key={attempt.at}>
              <Time at={attempt.at} />
              <span>
                {attempt.runId && <RunLink id={attempt.runId} />} <b>{attempt.code}</b> {attempt.message}
              </span>
            </li>
          ))}
          {!letter.attempts.length && (
            <li>
              <span />
              <span>{letter.error}</span>
            </li>
          )}
        </ol>
        <Facts
          of={[
            ["From", letter.sourcePersona ?? letter.source],
            ["To", letter.targetPersona],
            ["Retries", String(letter.retryCount)],
            ["Requeued from", letter.requeuedFrom],
            ["Decided by", letter.decidedBy],
            ["Note", letter.auditNote],
          ]}
        />
      </section>
      <section class="panel">
        <h2>Payload</h2>
        {letter.redacted ? <p class="quiet">Redacted</p> : <Json value={letter.payload} />}
      </section>
    </div>
  );
}
