// The server of this page.

import { signal } from "@preact/signals";
import { type Answer, AthenaError, type Operation, type RequestParts, type StreamItem, type StreamParts, Transport } from "@projectathena/client";
import { caller } from "./state/caller";

/** The client. It sends each request once: live queries and people repeat what failed. */
export const client = new Transport({ deadlineMs: 0 });

/** Data, and the log position that it reflects. */
export type Snapshot<T> = Pick<Answer<T>, "data" | "position">;

/** The highest log position in any answer. */
export const head = signal(0);

/** The error that ended the login of the open page. While it is set, reads and streams wait, and writes fail. */
export const loggedOut = signal<AthenaError | undefined>(undefined);

const waiting: (() => void)[] = [];

/** Continue all reads and streams after a login. */
export function resumeReads(): void {
  loggedOut.value = undefined;
  for (const done of waiting.splice(0)) done();
}

function untilLoggedIn(): Promise<void> {
  return loggedOut.value ? new Promise((done) => waiting.push(done)) : Promise.resolve();
}

/** Return true if the server, or a proxy in front of it, no longer knows the caller. */
export function endsLogin({ code, status }: AthenaError): boolean {
  if (code === "INVALID_ANSWER") return [0, 401, 403].includes(status); // of a proxy; 0: it redirects to its own login
  return status === 401 || code === "AUTH_IDENTITY_AMBIGUOUS"; // the latter: another page planted a second cookie
}

/** Return true if an error ended the login of the open page. */
function isLoggedOut(error: unknown): boolean {
  if (!(error instanceof AthenaError && caller.value && endsLogin(error))) return false;
  loggedOut.value ??= error;
  return true;
}

/** Send one request as it is; a read waits while the caller is logged out. Throws AthenaError. */
export async function requestNow<T>(operation: Operation<T>, parts: RequestParts = {}): Promise<Answer<T>> {
  const reads = operation.method === "GET";
  for (;;) {
    if (reads) await untilLoggedIn();
    try {
      const answer = await client.request(operation, parts);
      if (answer.position > head.value) head.value = answer.position;
      return answer;
    } catch (error) {
      if (!isLoggedOut(error) || !reads) throw error;
    }
  }
}

/** Follow a stream after a cursor, over lost connections and logins. Throws AthenaError. */
export async function* follow(operation: Operation<unknown>, after: string | number, parts: StreamParts): AsyncGenerator<StreamItem, void, undefined> {
  for (let cursor = after; !parts.signal?.aborted; ) {
    await untilLoggedIn();
    try {
      for await (const item of client.stream(operation, cursor, { ...parts, deadlineMs: Number.POSITIVE_INFINITY })) {
        cursor = item.cursor ?? cursor;
        yield item;
      }
      return;
    } catch (error) {
      if (parts.signal?.aborted || !isLoggedOut(error)) throw error;
    }
  }
}
