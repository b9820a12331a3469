// The console: who is asking, one stream, and the page that the address names.

import { signal } from "@preact/signals";
import { render, type JSX } from "preact";
import { useEffect } from "preact/hooks";
import { ask, head, Refused } from "./api";
import { begin, position, state, type State } from "./state/event_stream";
import { count } from "./format";
import { getCaller, getCapabilities } from "./generated";
import { Events } from "./pages/events";
import { Fleet } from "./pages/fleet";
import { Nobody } from "./pages/identity";
import { Letters } from "./pages/dead_letters";
import { Rejections } from "./pages/rejections";
import { OneRun } from "./pages/run";
import { Runs } from "./pages/runs";
import { Schedules } from "./pages/schedules";
import { System } from "./pages/system";
import { Workflows } from "./pages/workflows";
import { href, LETTERS, place } from "./route";
import { follow } from "./state/traffic";
import { caller, Dialog, Notes } from "./components/ui";
import "./style.css";

interface Page {
  readonly title: string;
  readonly show: () => JSX.Element;
}

const PAGES: Readonly<Record<string, Page>> = {
  fleet: { title: "Fleet", show: () => <Fleet /> },
  runs: { title: "Runs", show: () => (place.value.id ? <OneRun key={place.value.id} id={place.value.id} /> : <Runs />) },
  rejections: { title: "Rejections", show: () => <Rejections /> },
  schedules: { title: "Schedules", show: () => <Schedules key={place.value.id} /> },
  workflows: { title: "Workflows", show: () => <Workflows key={place.value.id} /> },
  letters: { title: "Dead letters", show: () => <Letters /> },
  events: { title: "Events", show: () => <Events /> },
  system: { title: "System", show: () => <System /> },
};

const refused = signal<Refused | undefined>(undefined);

const SAID: Readonly<Record<State, string>> = {
  opening: "connecting",
  live: "live",
  behind: "behind",
  cut: "cut off",
  resting: "resting",
};

/** Whether what is on the screen is what the server knows. */
function Pulse(): JSX.Element {
  const is = state.value;
  const missing = Math.max(0, head.value - position.value);
  const told =
    is === "cut"
      ? "cut off: what you see may be old; reconnecting"
      : is === "behind"
        ? `behind by ${count(missing)} events`
        : `${SAID[is]} at ${count(position.value)}`;
  return (
    <span class={`pulse ${is}`} data-state={is} data-position={position.value}>
      <i aria-hidden="true" />
      {told}
    </span>
  );
}

function App(): JSX.Element {
  const { page, id } = place.value;
  const found = PAGES[page];
  useEffect(() => {
    document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
    document.title = `${id ? `${id} · ` : ""}${found?.title ?? "Nowhere"} · Athena`;
  }, [page, id]);
  if (refused.value) return <Nobody error={refused.value} />;
  if (!caller.value) return <p class="empty">Connecting …</p>;
  return (
    <>
      <a class="skip" href="#page" onClick={skip}>
        To the page
      </a>
      <header class="top">
        <a class="brand" href={href("fleet")}>
          Athena
        </a>
        <nav aria-label="Pages">
          {Object.entries(PAGES).map(([name, { title }]) => (
            <a key={name} href={href(name)} aria-current={name === page ? "page" : undefined}>
              {title}
            </a>
          ))}
        </nav>
        <Pulse />
        <a class="who" href={href("system")} title={`${caller.value.identity}, ${caller.value.role}`}>
          {caller.value.identity} <span class="quiet">{caller.value.role}</span>
        </a>
      </header>
      {state.value === "cut" && (
        <p class="banner" role="alert">
          The connection to the server is cut. What you see is as of position {count(position.value)}; it goes on from there once the server answers.
        </p>
      )}
      <main id="page" tabIndex={-1}>
        {found ? found.show() : <h1>There is no page {page}</h1>}
      </main>
      <Dialog />
      <Notes />
    </>
  );
}

function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("page")?.focus();
}

// `g` and a letter go to a page, `/` to its first filter
let going = false;
addEventListener("keydown", (event) => {
  const { target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || !(target instanceof HTMLElement)) return;
  if (target.closest("input, textarea, select, dialog")) return;
  const to = going ? LETTERS[event.key] : undefined;
  going = event.key === "g";
  if (to) location.hash = href(to);
  if (event.key === "/") {
    event.preventDefault();
    document.querySelector<HTMLElement>("[data-first]")?.focus();
  }
});

async function start(): Promise<void> {
  try {
    const abilities = await ask(getCapabilities);
    const answer = await ask(getCaller);
    refused.value = undefined;
    begin(answer.position, !answer.data.scope, abilities.data);
    caller.value = answer.data;
    await follow(answer.position);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (caller.value) return; // a scope may hide the feed's past; the page goes on without it
    refused.value = error;
    if (error.code === "UNREACHABLE") setTimeout(() => void start(), 2_000);
  }
}

const root = document.getElementById("console");
if (root) render(<App />, root);
void start();
