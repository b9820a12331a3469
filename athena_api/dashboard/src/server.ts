// The server of this page.

import { signal } from "@preact/signals";
import { type Answer, type Operation, type RequestParts, Transport } from "@projectathena/client";

/** The client. It sends each request once: live queries and people repeat what failed. */
export const client = new Transport({ deadlineMs: 0 });

/** Data, and the log position that it reflects. */
export type Snapshot<T> = Pick<Answer<T>, "data" | "position">;

/** The highest log position in any answer. */
export const head = signal(0);

/** Send one request. Throws AthenaError. */
export async function request<T>(operation: Operation<T>, parts: RequestParts = {}): Promise<Answer<T>> {
  const answer = await client.request(operation, parts);
  if (answer.position > head.value) head.value = answer.position;
  return answer;
}
