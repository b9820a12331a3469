// The console: who is asking, one stream, and the page that the address names.

import { signal } from "@preact/signals";
import { type JSX, render } from "preact";
import { useEffect } from "preact/hooks";
import { ApiError, head, request } from "./api";
import { Dialog } from "./components/actions";
import { Notices } from "./components/notices";
import { count } from "./format";
import { getCaller, getCapabilities } from "./generated";
import { DeadLetters } from "./pages/dead_letters";
import { Events } from "./pages/events";
import { Fleet } from "./pages/fleet";
import { SignIn } from "./pages/identity";
import { Rejections } from "./pages/rejections";
import { RunDetail } from "./pages/run";
import { Runs } from "./pages/runs";
import { Schedules } from "./pages/schedules";
import { System } from "./pages/system";
import { Workflows } from "./pages/workflows";
import { href, route, SHORTCUTS } from "./route";
import { caller } from "./state/caller";
import { eventStream, position, type StreamState, state } from "./state/event_stream";
import { startTraffic } from "./state/traffic";
import "./style.css";

interface Page {
  readonly title: string;
  readonly show: () => JSX.Element;
}

const PAGES: Readonly<Record<string, Page>> = {
  fleet: { title: "Fleet", show: () => <Fleet /> },
  runs: { title: "Runs", show: () => (route.value.id ? <RunDetail key={route.value.id} id={route.value.id} /> : <Runs />) },
  rejections: { title: "Rejections", show: () => <Rejections /> },
  schedules: { title: "Schedules", show: () => <Schedules key={route.value.id} /> },
  workflows: { title: "Workflows", show: () => <Workflows key={route.value.id} /> },
  letters: { title: "Dead letters", show: () => <DeadLetters /> },
  events: { title: "Events", show: () => <Events /> },
  system: { title: "System", show: () => <System /> },
};

const signInError = signal<ApiError | undefined>(undefined);

const STATE_TEXT: Readonly<Record<StreamState, string>> = {
  opening: "connecting",
  live: "live",
  behind: "behind",
  cut: "cut off",
  resting: "resting",
};

/** Whether what is on the screen is what the server knows. */
function StreamIndicator(): JSX.Element {
  const is = state.value;
  const missing = Math.max(0, head.value - position.value);
  const text =
    is === "cut"
      ? "cut off: what you see may be old; reconnecting"
      : is === "behind"
        ? `behind by ${count(missing)} events`
        : `${STATE_TEXT[is]} at ${count(position.value)}`;
  return (
    <span class={`pulse ${is}`} data-state={is} data-position={position.value}>
      <i aria-hidden="true" />
      {text}
    </span>
  );
}

function App(): JSX.Element {
  const { page, id } = route.value;
  const shown = PAGES[page];
  useEffect(() => {
    document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
    document.title = `${id ? `${id} · ` : ""}${shown?.title ?? "Nowhere"} · Athena`;
  }, [page, id]);
  if (signInError.value) return <SignIn error={signInError.value} />;
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
        <StreamIndicator />
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
        {shown ? shown.show() : <h1>There is no page {page}</h1>}
      </main>
      <Dialog />
      <Notices />
    </>
  );
}

function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("page")?.focus();
}

// `g` and a letter go to a page, `/` to its first filter
let afterG = false;
addEventListener("keydown", (event) => {
  const { target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || !(target instanceof HTMLElement)) return;
  if (target.closest("input, textarea, select, dialog")) return;
  const to = afterG ? SHORTCUTS[event.key] : undefined;
  afterG = event.key === "g";
  if (to) location.hash = href(to);
  if (event.key === "/") {
    event.preventDefault();
    document.querySelector<HTMLElement>("[data-first]")?.focus();
  }
});

async function start(): Promise<void> {
  try {
    const abilities = await request(getCapabilities);
    const answer = await request(getCaller);
    signInError.value = undefined;
    eventStream.begin(answer.position, !answer.data.scope, abilities.data);
    caller.value = answer.data;
    await startTraffic(answer.position);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (caller.value) return; // a scope may hide the feed's past; the page goes on without it
    signInError.value = error;
    if (error.code === "UNREACHABLE") setTimeout(() => void start(), 2_000);
  }
}

const root = document.getElementById("console");
if (root) render(<App />, root);
void start();
