// Notices: short messages about the result of an action.

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { href } from "../route";

interface Notice {
  readonly id: number;
  readonly text: string;
  readonly failed: boolean;
  /** Link to the rejected runs. */
  readonly isPolicyError: boolean;
}

const notices = signal<readonly Notice[]>([]);
let noticeId = 0;

export function notify(text: string, failed = false, isPolicyError = false): void {
  const id = ++noticeId;
  notices.value = [...notices.value.slice(-3), { id, text, failed, isPolicyError }];
  setTimeout(() => drop(id), failed ? 15_000 : 6_000);
}

function drop(id: number): void {
  notices.value = notices.value.filter((notice) => notice.id !== id);
}

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
