// Formatting of numbers, times and amounts.

import { computed } from "@preact/signals";
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

// Money and times are formatted as on the command line (athena_core/text.py): both pass the cases of format.cases.json.

/** Format micro-dollars, rounded to cents; below ten cents to two digits, as in $0.012. */
export function dollars(micro: number): string {
  const amount = Math.round(Math.abs(micro));
  const step = Math.min(10_000, 10 ** Math.max(`${amount}`.length - 2, 0));
  const rounded = Math.floor((amount + Math.floor(step / 2)) / step) * step;
  const digits = `${rounded % 1e6}`.padStart(6, "0").replace(/0+$/, "").padEnd(2, "0");
  return `${micro < 0 ? "-" : ""}$${count(Math.floor(rounded / 1e6))}.${digits}`;
}

/** The units of time: the seconds from which each is used, its own seconds, its name, and the unit of the rest. */
const TIMES = [
  [172_800, 86_400, "days", 3_600, "h"],
  [3_600, 3_600, "h", 60, "min"],
  [60, 60, "min", 1, "s"],
] as const;

/** Format milliseconds as a duration in one or two units, rounded down. */
export function duration(ms: number): string {
  const whole = Math.max(0, Math.trunc(ms));
  if (whole < 1_000) return `${whole} ms`;
  if (whole < 10_000) return `${Math.floor(whole / 1_000)}.${Math.floor((whole % 1_000) / 100)} s`;
  const seconds = Math.floor(whole / 1_000);
  const found = TIMES.find(([least]) => seconds >= least);
  if (!found) return `${seconds} s`;
  const [, size, unit, smaller, part] = found;
  const rest = Math.floor((seconds % size) / smaller);
  return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${part}` : ""}`;
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

/** Format a time relative to now, rounded down: `3 min ago`. Only an upcoming one may be ahead: `in 2 h`. */
export function distance(iso: string, now: number, upcoming = false): string {
  const ms = upcoming ? Date.parse(iso) - now : Math.min(0, Date.parse(iso) - now);
  const seconds = Math.floor(Math.abs(ms) / 1_000);
  const [, size, unit] = TIMES.find(([least]) => seconds >= least) ?? [0, 1, "s"];
  const text = `${Math.floor(seconds / size)} ${unit}`;
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
