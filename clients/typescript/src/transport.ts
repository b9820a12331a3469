// The transport: sends a request and its retries, and follows streams over reconnections.

import { AthenaError, unreachable } from "./errors.js";
import type { Failure } from "./generated/types.js";
import type { Operation } from "./operation.js";
import { type Frame, SseParser } from "./sse.js";
import { Cutoff, pauseAfter, retryAfterMs, sleep } from "./timing.js";

const PREFIX = "/api/v1";
const DEFAULT_URL = "http://127.0.0.1:8787";
const TIMEOUT_MS = 60_000;
const DEADLINE_MS = 120_000;
const ANSWER_BYTES_MAX = 256 << 20;
const SILENCE_MS_MAX = 45_000; // a stream sends a heartbeat every 15 s

/** Options of a client. */
export interface AthenaOptions {
  /** The address of the server, also with a path. Default: the origin of the page, or `http://127.0.0.1:8787`. */
  readonly baseUrl?: string | URL;
  /** The identity to send as `x-athena-identity`. Leave it out where a proxy sets it. */
  readonly identity?: string;
  /** The token to send instead of an identity. No error and no text of the client has it. */
  readonly token?: string;
  /** Headers of every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The fetch to use. Default: the global one. */
  readonly fetch?: typeof globalThis.fetch;
  /** Milliseconds for one attempt. Default: 60,000. Calls that wait for a run have no limit. */
  readonly timeoutMs?: number;
  /** Milliseconds for a call with its retries; 0 sends each request once. Default: 120,000. */
  readonly deadlineMs?: number;
  /** The bytes that an answer may have after decompression. Default: 256 MiB. */
  readonly answerBytesMax?: number;
}

/** Options of a call. */
export interface CallOptions {
  /** Aborts the call, with its retries. */
  readonly signal?: AbortSignal;
  /** As for the client. */
  readonly timeoutMs?: number;
  /** As for the client. A call that waits for a run counts it from its first failure on. */
  readonly deadlineMs?: number;
  /** Headers of this request. */
  readonly headers?: Readonly<Record<string, string>>;
}

const SENT = { cache: "no-store", redirect: "manual" } as const; // another host must not get the identity or token

type Plain = string | number | boolean;

/** The parts of a request. */
export interface RequestParts extends CallOptions {
  readonly path?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, Plain | readonly string[] | null | undefined>>;
  readonly body?: object;
  /** The key of this logical call. Default: a new one for each call. */
  readonly idempotencyKey?: string;
  /** The version that a write replaces, as an earlier answer gave it in `etag`. */
  readonly ifMatch?: string;
  /** Answer as of this event id, position or time, without what was erased since. */
  readonly asOf?: string;
  /** Wait until the answer can reflect this log position. */
  readonly minPosition?: number;
  /** `allow` answers at once, from views that may lag behind the log. */
  readonly stale?: "allow";
  /** Answer at once, with the record so far, instead of waiting for the end of a run. */
  readonly respondAsync?: boolean;
}

/** An answer: its data, and what its headers say. */
export interface Answer<T> {
  readonly data: T;
  readonly status: number;
  /** The log position that the answer reflects. */
  readonly position: number;
  /** With `asOf`: when the last event that the answer reflects was recorded. Absent before the first one. */
  readonly asOf: string | undefined;
  /** The version, for `ifMatch`. */
  readonly etag: string | undefined;
  /** True if an earlier request with the same key gave this answer. */
  readonly replayed: boolean;
  readonly traceId: string | undefined;
}

/** Parts of a stream. */
export interface StreamParts extends CallOptions {
  readonly path?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, Plain | readonly string[] | null | undefined>>;
  /** Called without an error when a connection opens, and with one when it is lost or does not open. */
  readonly onConnection?: (lost: AthenaError | undefined) => void;
}

/** An item of a stream: the name of its frame, its data, and the cursor to resume from. */
export interface StreamItem {
  readonly name: string;
  readonly data: unknown;
  readonly cursor: string | undefined;
}

/** Return the path and query of a request, from `/api/v1` on. Throws RangeError for an id that would change the path. */
export function pathOf(operation: Operation<unknown>, parts: Omit<RequestParts, "body">): string {
  const path = operation.path.replace(/:(\w+)/g, (_, name: string) => {
    const value = parts.path?.[name] ?? "";
    if (["", ".", ".."].includes(value)) throw new RangeError(`${name}: "${value}" is not a valid id`);
    return encodeURIComponent(value);
  });
  const query = new URLSearchParams();
  const given: RequestParts["query"] = {
    ...parts.query,
    asOf: parts.asOf,
    minPosition: parts.minPosition,
    stale: parts.stale,
  };
  for (const [name, value] of Object.entries(given)) {
    if (value !== undefined && value !== null && value !== "") query.set(name, String(value));
  }
  return PREFIX + path + (query.size ? `?${query}` : "");
}

/** Return a new idempotency key. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // randomUUID requires TLS
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Return the address of a server without a slash at its end. Throws RangeError or TypeError. */
function baseOf(given: string | URL | undefined): string {
  const page = globalThis.location?.href;
  const own = page?.startsWith("http") ? new URL(page).origin : DEFAULT_URL;
  const { protocol, host, pathname, username, password } = new URL(given ?? own, page);
  if (!/^https?:$/.test(protocol)) throw new RangeError(`baseUrl: "${given}" does not begin with http:// or https://`);
  if (username || password) throw new RangeError("baseUrl: an address cannot hold a user or a password");
  return `${protocol}//${host}${pathname.replace(/\/+$/, "")}`;
}

/** Return the token of the options. Throws RangeError, which does not quote it. */
function tokenOf({ token, identity }: AthenaOptions): string | undefined {
  if (token === undefined) return undefined;
  if (!/^[!-~]+$/.test(token)) throw new RangeError("token: it is empty, or has characters other than visible ASCII");
  if (identity) throw new RangeError("token: give it or an identity, not both");
  return token;
}

/** Sends requests to a server. Throws RangeError or TypeError for a wrong address. */
export class Transport {
  readonly #token: string | undefined; // a private field, which no console prints
  readonly #base: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #fetch: typeof globalThis.fetch;
  readonly #timeoutMs: number;
  readonly #deadlineMs: number;
  readonly #answerBytesMax: number;

  constructor(options: AthenaOptions = {}) {
    this.#token = tokenOf(options);
    this.#base = baseOf(options.baseUrl);
    this.#headers = { ...(options.identity ? { "x-athena-identity": options.identity } : {}), ...options.headers };
    const { fetch } = options;
    this.#fetch = (...parts) => (fetch ?? globalThis.fetch)(...parts);
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS;
    this.#answerBytesMax = options.answerBytesMax ?? ANSWER_BYTES_MAX;
  }

  /** Send a request, and again after lost connections and `same-key` errors. Throws AthenaError. */
  async request<T>(operation: Operation<T>, parts: RequestParts = {}): Promise<Answer<T>> {
    const url = this.#base + pathOf(operation, parts);
    const init = this.#initOf(operation, parts);
    const waits = operation.waits === true && !parts.respondAsync;
    const timeoutMs = parts.timeoutMs ?? (waits ? undefined : this.#timeoutMs);
    const deadlineMs = parts.deadlineMs ?? this.#deadlineMs;
    let giveUpAt = waits ? undefined : Date.now() + deadlineMs;
    for (let failures = 1; ; failures++) {
      const answer = await this.#attempt<T>(url, init, parts.signal, timeoutMs);
      if (!(answer instanceof Failed)) return answer;
      giveUpAt ??= Date.now() + deadlineMs;
      const pause = answer.retryAfterMs + pauseAfter(failures);
      if (answer.error.retryWith !== "same-key" || Date.now() + pause >= giveUpAt) throw answer.error;
      await sleep(pause, parts.signal);
    }
  }

  #initOf(operation: Operation<unknown>, parts: RequestParts): RequestInit {
    const headers = this.#headersOf(parts);
    const init: RequestInit = { method: operation.method, headers, ...SENT };
    if (parts.ifMatch !== undefined) headers.set("if-match", parts.ifMatch);
    if (parts.respondAsync) headers.set("prefer", "respond-async");
    if (operation.method === "GET") return init;
    headers.set("idempotency-key", parts.idempotencyKey ?? newKey());
    if (parts.body === undefined) return init;
    headers.set("content-type", "application/json");
    return { ...init, body: JSON.stringify(parts.body) };
  }

  /** Return the headers of the client and of a call. Throws TypeError for values that cannot be sent. */
  #headersOf(parts: CallOptions): Headers {
    const headers = new Headers({ ...this.#headers, ...parts.headers });
    if (this.#token) headers.set("authorization", `Bearer ${this.#token}`);
    return headers;
  }

  async #attempt<T>(
    url: string,
    init: RequestInit,
    outer: AbortSignal | undefined,
    timeoutMs: number | undefined,
  ): Promise<Answer<T> | Failed> {
    const cutoff = new Cutoff(outer);
    try {
      if (timeoutMs !== undefined) cutoff.arm(timeoutMs);
      const response = await this.#fetch(url, { ...init, signal: cutoff.signal });
      return answerOf<T>(response, await textOf(response, this.#answerBytesMax));
    } catch (error) {
      if (outer?.aborted) throw outer.reason;
      if (error instanceof Failed) return error;
      return new Failed(unreachable(lossOf(error, cutoff, timeoutMs), 0, error));
    } finally {
      cutoff.close();
      cutoff.controller.abort(); // also closes the connection of an answer that is too large
    }
  }

  /**
   * Yield the items of a stream after a cursor: each once and in order, over lost connections and restarts of the
   * server. Ends when the signal is aborted or the caller stops iterating. Throws AthenaError if the server rejects the
   * stream, or is not reached before the deadline.
   */
  async *stream(
    operation: Operation<unknown>,
    after: string | number | undefined,
    parts: StreamParts = {},
  ): AsyncGenerator<StreamItem, void, undefined> {
    let cursor = after;
    let failures = 0;
    let giveUpAt: number | undefined = Date.now() + (parts.deadlineMs ?? this.#deadlineMs);
    const opened = (): void => {
      giveUpAt = undefined;
      parts.onConnection?.(undefined);
    };
    while (!parts.signal?.aborted) {
      let failed: Failed;
      try {
        const url = this.#base + pathOf(operation, { ...parts, query: { ...parts.query, after: cursor } });
        for await (const frame of this.#frames(url, parts, opened)) {
          failures = 0;
          cursor = frame.id ?? cursor;
          yield { name: frame.event, data: dataOf(frame), cursor: frame.id };
        }
        failed = new Failed(unreachable("the server ended the stream", 0));
      } catch (error) {
        if (!(error instanceof Failed)) throw error;
        failed = error;
      }
      if (parts.signal?.aborted) return;
      const pause = failed.retryAfterMs + pauseAfter(++failures);
      const { retryable } = failed.error;
      if (!retryable || (giveUpAt !== undefined && Date.now() + pause >= giveUpAt)) throw failed.error;
      parts.onConnection?.(failed.error);
      await sleep(pause, parts.signal).catch(() => undefined);
    }
  }

  /** Yield the frames of one connection. Throws Failed if it is lost or rejected. */
  async *#frames(url: string, parts: StreamParts, opened: () => void): AsyncGenerator<Frame, void, undefined> {
    const cutoff = new Cutoff(parts.signal);
    const headers = this.#headersOf(parts);
    headers.set("accept", "text/event-stream");
    const lost = (error: unknown): Failed => new Failed(unreachable(lossOf(error, cutoff, SILENCE_MS_MAX), 0, error));
    try {
      cutoff.arm(parts.timeoutMs ?? this.#timeoutMs);
      const response = await this.#fetch(url, { headers, ...SENT, signal: cutoff.signal }).catch((error) => {
        throw lost(error);
      });
      if (!response.ok || !response.headers.get("content-type")?.startsWith("text/event-stream")) {
        const text = await textOf(response, this.#answerBytesMax).catch((error) => {
          throw error instanceof Failed ? error : lost(error);
        });
        const answer = answerOf(response, text);
        throw answer instanceof Failed ? answer : new Failed(notAthena(response));
      }
      opened();
      const reader = (response.body ?? new ReadableStream<Uint8Array>()).getReader();
      const decoder = new TextDecoder();
      const parser = new SseParser();
      for (;;) {
        cutoff.arm(SILENCE_MS_MAX);
        const { done, value } = await reader.read().catch((error) => {
          throw lost(error);
        });
        cutoff.disarm(); // a slow consumer is not a silent server
        if (done) return;
        yield* framesOf(parser, decoder.decode(value, { stream: true }));
      }
    } finally {
      cutoff.close();
      cutoff.controller.abort(); // also closes the connection of a consumer that stops early
    }
  }
}

/** A failed attempt. */
class Failed {
  constructor(
    readonly error: AthenaError,
    readonly retryAfterMs: number = 0,
  ) {}
}

/** Return the text of an answer. Throws Failed if it is too large. */
async function textOf(response: Response, bytesMax: number): Promise<string> {
  const reader = (response.body ?? new Blob().stream()).getReader();
  const decoder = new TextDecoder();
  const parts: string[] = [];
  for (let bytes = 0; ; ) {
    const { done, value } = await reader.read();
    if (done) return parts.join("") + decoder.decode();
    bytes += value.length;
    if (bytes > bytesMax) throw new Failed(invalid(`the answer is larger than ${bytesMax} bytes`, response.status));
    parts.push(decoder.decode(value, { stream: true }));
  }
}

function lossOf(error: unknown, cutoff: Cutoff, timeoutMs: number | undefined): string {
  if (cutoff.timedOut) return `the server did not answer within ${timeoutMs} ms`;
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return `the server did not answer (${cause instanceof Error ? cause.message : String(cause)})`;
}

function framesOf(parser: SseParser, text: string): Frame[] {
  try {
    return parser.push(text);
  } catch (error) {
    throw new Failed(invalid("a frame of the stream is too large", 200, error));
  }
}

function dataOf(frame: Frame): unknown {
  const envelope = envelopeOf(frame.data);
  if (!envelope?.ok) throw new Failed(invalid(`a frame of the stream is not from Athena (${frame.event})`, 200));
  return envelope.data;
}

function invalid(message: string, status: number, cause?: unknown): AthenaError {
  return new AthenaError({ code: "INVALID_ANSWER", message, status }, { cause });
}

function notAthena({ status }: Response): AthenaError {
  const message = `the response is not from Athena (status ${status}); check the address and the proxy`;
  if (status === 429 || status >= 500) return unreachable(message, status);
  return invalid(message, status);
}

type Envelope<T> = { readonly ok: true; readonly data: T } | Failure;

function envelopeOf<T>(text: string): Envelope<T> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && "ok" in value ? (value as Envelope<T>) : undefined;
  } catch {
    return undefined;
  }
}

function answerOf<T>(response: Response, text: string): Answer<T> | Failed {
  const { headers, status } = response;
  const traceId = headers.get("x-trace-id") ?? undefined;
  const csv = headers.get("content-type")?.startsWith("text/csv");
  const envelope: Envelope<T> | undefined = csv ? { ok: true, data: text as T } : envelopeOf<T>(text);
  if (envelope === undefined) return new Failed(notAthena(response), retryAfterMs(headers.get("retry-after")));
  if (!envelope.ok) {
    return new Failed(new AthenaError({ ...envelope.error, status }), retryAfterMs(headers.get("retry-after")));
  }
  return {
    data: envelope.data,
    status,
    position: Number(headers.get("athena-position") ?? 0),
    asOf: headers.get("athena-as-of") ?? undefined,
    etag: headers.get("etag") ?? undefined,
    replayed: headers.get("idempotency-replayed") === "true",
    traceId,
  };
}
