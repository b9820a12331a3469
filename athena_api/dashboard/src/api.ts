// The client of the public API: sends one request per operation.

import { signal } from "@preact/signals";
import type { Failure, Operation } from "./generated";

const PREFIX = "/api/v1";
const TIMEOUT_MS = 60_000;

type Plain = string | number | boolean;

/** The parts of a request: path parameters, query, body and options. */
export interface RequestParts {
  readonly path?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, Plain | undefined>>;
  readonly body?: Readonly<Record<string, unknown>>;
  /** The idempotency key. */
  readonly key?: string;
  /** Respond at once instead of waiting for the end of a run. */
  readonly detached?: boolean;
  /** The timeout in milliseconds. */
  readonly timeoutMs?: number;
}

/** The data of a response, and the log position that it reflects. */
export interface ApiResponse<T> {
  readonly data: T;
  readonly position: number;
}

/** An error response, or `UNREACHABLE` if there was no response. */
export class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status: number,
    readonly traceId?: string,
  ) {
    super(message);
  }
}

/** The highest log position in any response. */
export const head = signal(0);

/** Return the path and query of a request. */
export function pathOf(operation: Operation<unknown>, parts: RequestParts): string {
  const path = operation.path.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(parts.path?.[name] ?? ""));
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parts.query ?? {})) {
    if (value !== undefined && value !== "") query.set(name, String(value));
  }
  return PREFIX + path + (query.size ? `?${query}` : "");
}

/** Send one request. Throws ApiError. */
export async function request<T>(operation: Operation<T>, parts: RequestParts = {}): Promise<ApiResponse<T>> {
  const headers: Record<string, string> = {};
  if (parts.key !== undefined) headers["idempotency-key"] = parts.key;
  if (parts.detached) headers.prefer = "respond-async";
  const signal = AbortSignal.timeout(parts.timeoutMs ?? TIMEOUT_MS);
  const init: RequestInit = { method: operation.method, headers, cache: "no-store", signal };
  if (operation.method !== "GET" && parts.body !== undefined) {
    headers["content-type"] = "application/json";
    init.body = JSON.stringify(parts.body);
  }
  let response: Response;
  try {
    response = await fetch(pathOf(operation, parts), init);
  } catch {
    throw new ApiError("UNREACHABLE", "the server did not respond", 0);
  }
  const position = Number(response.headers.get("athena-position") ?? 0);
  if (position > head.value) head.value = position;
  let envelope: { ok: true; data: T } | Failure;
  try {
    envelope = (await response.json()) as { ok: true; data: T } | Failure;
  } catch {
    throw new ApiError("UNREACHABLE", `the response is not from Athena (status ${response.status}); check the proxy`, response.status);
  }
  if (!envelope.ok) {
    const { code, message, traceId } = envelope.error;
    throw new ApiError(code, message, response.status, traceId);
  }
  return { data: envelope.data, position };
}

/** Return a new idempotency key. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12)); // randomUUID requires TLS
  return `console-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
