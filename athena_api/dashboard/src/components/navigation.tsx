// The navigation: the pages that are used most, and menus of the others.

import type { JSX, TargetedToggleEvent } from "preact";
import { GROUPS, href, TITLES } from "../route";
import { isAllowed } from "../state/caller";
import { openAskCount } from "../state/open_asks";
import { KINDS } from "./record_rows";

/** The number of open asks. */
function AskBadge(): JSX.Element | null {
  const open = openAskCount();
  return open ? (
    <span class="badge" title="Open asks">
      {open}
    </span>
  ) : null;
}

const isShown = (page: string): boolean => !KINDS[page] || isAllowed(KINDS[page].list);

export function Navigation({ page }: { page: string }): JSX.Element {
  return (
    <nav aria-label="Pages">
      {GROUPS.map(([title, pages]) =>
        title ? <Menu key={title} title={title} pages={pages} page={page} /> : pages.map((name) => <PageLink key={name} name={name} page={page} />),
      )}
    </nav>
  );
}

function PageLink({ name, page }: { name: string; page: string }): JSX.Element {
  return (
    <a href={href(name)} aria-current={name === page ? "page" : undefined}>
      {TITLES[name]}
      {name === "asks" && <AskBadge />}
    </a>
  );
}

const [WIDTH, MARGIN] = [224, 8];

/** A button that opens links. They stand under it, inside the window. */
function Menu({ title, pages, page }: { title: string; pages: readonly string[]; page: string }): JSX.Element {
  const id = `menu-${title}`;
  const place = ({ currentTarget }: TargetedToggleEvent<HTMLElement>): void => {
    const { left = 0, bottom = 0 } = currentTarget.previousElementSibling?.getBoundingClientRect() ?? {};
    currentTarget.style.top = `${bottom + 4}px`;
    currentTarget.style.left = `${Math.max(MARGIN, Math.min(left, innerWidth - WIDTH - MARGIN))}px`;
  };
  return (
    <>
      <button type="button" popovertarget={id} aria-current={pages.includes(page) ? "true" : undefined}>
        {title} <span aria-hidden="true">▾</span>
      </button>
      <div id={id} popover="auto" onBeforeToggle={place} onClick={({ currentTarget }) => currentTarget.hidePopover()}>
        {pages.filter(isShown).map((name) => (
          <PageLink key={name} name={name} page={page} />
        ))}
      </div>
    </>
  );
}
