// Notices: short messages about the result of an action.

import { effect, signal } from "@preact/signals";
import type { JSX } from "preact";
import { href, route } from "../route";

interface Notice {
  readonly id: number;
  readonly text: string;
  readonly failed: boolean;
  /** Link to the rejected runs. */
  readonly isPolicyError: boolean;
  /** The page that it belongs to. */
  readonly place: string;
}

const SHOWN_MAX = 2;

const notices = signal<readonly Notice[]>([]);
let noticeId = 0;

const place = (): string => location.hash.split("?", 1)[0] ?? "";

/** Show a notice on the current page. It replaces the notice `replaces`, and one of the same text. Return its id. */
export function notify(text: string, failed = false, isPolicyError = false, replaces = 0): number {
  const id = ++noticeId;
  const others = notices.value.filter((notice) => notice.id !== replaces && notice.text !== text);
  notices.value = [...others.slice(1 - SHOWN_MAX), { id, text, failed, isPolicyError, place: place() }];
  setTimeout(() => drop(id), failed ? 15_000 : 6_000);
  return id;
}

function drop(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

effect(() => {
  void route.value;
  const here = place();
  notices.value = notices.peek().filter((notice) => notice.place === here);
});

export function Notices(): JSX.Element {
  return (
    <div class="notices" role="status" aria-live="polite">
      {notices.value.map((notice) => (
        <p key={notice.id} class={notice.failed ? "failed" : ""}>
          <span>
            {notice.text} {notice.isPolicyError && <a href={href("rejections")}>View rejected runs</a>}
          </span>
          <button type="button" class="small" aria-label="Dismiss" onClick={() => drop(notice.id)}>
            ×
          </button>
        </p>
      ))}
    </div>
  );
}
