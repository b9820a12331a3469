// An operation of the API: a request without its parts.

/** A row of the table of operations. `Answer` is the type of its data. */
export interface Operation<Answer> {
  readonly id: string;
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  /** The words of the `athena` command that sends it. */
  readonly command: string;
  /** True if the answer waits for the end of a run, unless the call is `respondAsync`. */
  readonly waits?: true;
  /** False for a read without a past: it refuses `asOf`. */
  readonly past?: false;
  /** Never set. It carries the type of the answer. */
  readonly answer?: Answer;
}
