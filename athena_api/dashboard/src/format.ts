// Formatting of numbers, times and amounts.

import { computed } from "./signals";
import { zone } from "./state/preferences";

const whole = new Intl.NumberFormat("en");

export const count = (value: number): string => whole.format(value);

const UNITS = ["bytes", "kB", "MB", "GB"];

/** Format a number of bytes. */
export function size(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const value = bytes / 1_000 ** power;
  return `${power && value < 10 ? value.toFixed(1) : count(Math.round(value))} ${UNITS[power]}`;
}

/** Format micro-dollars. */
export function dollars(micro: number): string {
  const value = micro / 1e6;
  if (value === 0) return "$0";
  return `$${Math.abs(value) < 0.01 ? value.toPrecision(2) : value.toFixed(2)}`;
}

function two(large: number, unit: string, rest: number, smaller: string): string {
  return rest ? `${large} ${unit} ${rest} ${smaller}` : `${large} ${unit}`;
}

/** Format milliseconds as a duration. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  if (ms < 3_600_000) return two(Math.floor(ms / 60_000), "min", Math.round((ms % 60_000) / 1_000), "s");
  if (ms < 172_800_000) return two(Math.floor(ms / 3_600_000), "h", Math.round((ms % 3_600_000) / 60_000), "min");
  return `${Math.round(ms / 86_400_000)} days`;
}

/** The formats of dates and times in the zone of the reader. */
const formats = computed(() => {
  const timeZone = zone.value || undefined;
  const time = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", timeZone });
  return { day: new Intl.DateTimeFormat("en-CA", { timeZone }), time, suffix: zone.value && ` ${zone.value}` };
});

/** Format a time in the zone of the reader, with the date unless it is today. */
export function clock(iso: string): string {
  const { day, time, suffix } = formats.value;
  const at = new Date(iso);
  return day.format(at) === day.format(new Date()) ? `${time.format(at)}${suffix}` : dateTime(iso);
}

/** Format a time with its date in the zone of the reader. */
export function dateTime(iso: string): string {
  const { day, time, suffix } = formats.value;
  const at = new Date(iso);
  return `${day.format(at)} ${time.format(at)}${suffix}`;
}

/** Format a time relative to now: `3 min ago`. Only an upcoming one may be ahead: `in 2 h`. */
export function distance(iso: string, now: number, upcoming = false): string {
  const ms = upcoming ? Date.parse(iso) - now : Math.min(0, Date.parse(iso) - now);
  const far = Math.abs(ms);
  const [value, unit] =
    far < 60_000 ? [far / 1_000, "s"] : far < 3_600_000 ? [far / 60_000, "min"] : far < 172_800_000 ? [far / 3_600_000, "h"] : [far / 86_400_000, "days"];
  const text = `${Math.round(value)} ${unit}`;
  return ms > 0 ? `in ${text}` : `${text} ago`;
}

/** Shorten an id to its prefix and its last six characters. */
export function short(id: string): string {
  return id.length > 18 ? `${id.slice(0, id.indexOf("_") + 1)}…${id.slice(-6)}` : id;
}

/** Return the milliseconds between two times. */
export const between = (from: string, to: string | number): number => new Date(to).getTime() - new Date(from).getTime();

/** Return true for the profile of a request without one. */
export const isGenerated = (profileId: string): boolean => profileId.startsWith("shadow-harness-");

/** Return an agent profile as text. A request without a profile runs under a generated one. */
export function profileText(id: string, provider: string, model: string): string {
  return isGenerated(id) ? `default (${[provider, model].filter(Boolean).join(" / ")})` : short(id);
}

/** Format a name such as `session-busy` as words. */
export const words = (name: string): string => name.replaceAll("-", " ");

const point = (char: string): string => `[U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}]`;

// Controls of writing direction: a text with them may look like another one.
const DIRECTIONS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Show the controls of writing direction as their code points. */
export const plain = (text: string): string => text.replace(DIRECTIONS, point);

// Everything without a shape of its own: controls, formats, odd spaces, fillers, variation selectors, halves of pairs.
const UNSEEN = /[^\P{C}\n\t]|[\p{Zl}\p{Zp}]|[^\P{Zs} ]|\p{Variation_Selector}|[\u115f\u1160\u2800\u3164\uffa0]/gu;

/** Show every character that cannot be seen as its code point, but line breaks, tabs and spaces. For text to approve. */
export const visible = (text: string): string => text.replace(UNSEEN, point);

/** Show a text on one line, with its line breaks and tabs as code points. */
export const visibleLine = (text: string): string => visible(text).replace(/[\n\t]/g, point);
