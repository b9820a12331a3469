// The scale of the time slider: whole steps between the first event of the log and now.

const STEPS_S = [1, 5, 15, 60, 300, 900, 3_600, 21_600, 86_400];
const STEPS_MAX = 1_000;

export interface TimeScale {
  /** Milliseconds between two places of the slider. */
  readonly stepMs: number;
  /** The last place, which is now. */
  readonly last: number;
  readonly begin: number;
  readonly end: number;
}

/** Return the scale of the times between two, in milliseconds. */
export function timeScale(begin: number, end: number): TimeScale {
  const range = Math.max(0, end - begin);
  const stepMs = 1_000 * (STEPS_S.find((seconds) => range / (1_000 * seconds) <= STEPS_MAX) ?? Math.ceil(range / STEPS_MAX / 1_000));
  return { stepMs, last: Math.max(1, Math.ceil(range / stepMs)), begin, end };
}

/** Return the time at a place of the slider; undefined for now. */
export function timeAt({ stepMs, last, begin, end }: TimeScale, place: number): string | undefined {
  if (place >= last) return undefined;
  return new Date(Math.max(begin, end - (last - place) * stepMs)).toISOString();
}

/** Return the place of a time. Only now is at the end. */
export function placeOf({ stepMs, last, end }: TimeScale, time: string | undefined): number {
  if (time === undefined) return last;
  return Math.min(last - 1, Math.max(0, last - Math.round((end - Date.parse(time)) / stepMs)));
}
