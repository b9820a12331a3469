// Timeouts, pauses and back-off.

const FIRST_PAUSE_MS = 200;
const PAUSE_MS_MAX = 5_000;
const DOUBLINGS_MAX = 10;
const ASKED_MS_MAX = 3_600_000; // a timer of more than 24 days ends at once

/** Return a pause after a number of failures in a row (at least 1): exponential, with full jitter. */
export function pauseAfter(failures: number): number {
  return Math.random() * Math.min(PAUSE_MS_MAX, FIRST_PAUSE_MS * 2 ** Math.min(failures - 1, DOUBLINGS_MAX));
}

/** Return the milliseconds of a `Retry-After` header, which holds seconds or a date: an hour at most. */
export function retryAfterMs(header: string | null): number {
  if (header === null) return 0;
  const ms = /^\d+$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(0, ms), ASKED_MS_MAX);
}

/** Wait. Throws the reason of the signal if it is aborted. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const done = (): void => {
      signal?.removeEventListener("abort", aborted);
      resolve();
    };
    const timer = setTimeout(done, ms);
    const aborted = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    signal?.addEventListener("abort", aborted, { once: true });
  });
}

/** A signal that is aborted with another one, or when a timer ends. Call `close` at the end. */
export class Cutoff {
  readonly controller = new AbortController();
  timedOut = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly outer?: AbortSignal) {
    if (outer?.aborted) this.controller.abort(outer.reason);
    else outer?.addEventListener("abort", this.#follow);
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Start the timer, or start it again. */
  arm(ms: number): void {
    this.disarm();
    this.#timer = setTimeout(() => {
      this.timedOut = true;
      this.controller.abort(new Error(`no answer within ${ms} ms`));
    }, ms);
  }

  disarm(): void {
    clearTimeout(this.#timer);
  }

  close(): void {
    this.disarm();
    this.outer?.removeEventListener("abort", this.#follow);
  }

  readonly #follow = (): void => this.controller.abort(this.outer?.reason);
}
