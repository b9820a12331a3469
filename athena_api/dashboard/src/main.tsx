// The console: loads the caller, opens the event stream, and shows the page that the URL names.

import { signal } from "@preact/signals";
import { AthenaError, type Caller } from "@projectathena/client";
import { getCaller, getCapabilities } from "@projectathena/client/operations";
import type { JSX } from "preact";
import { Fragment, render } from "preact";
import { useLayoutEffect } from "preact/hooks";
import { Dialog } from "./components/actions";
import { Form } from "./components/form";
import { HaltBanner, HaltButton } from "./components/halt";
import { Help } from "./components/help";
import { handleKey } from "./components/keys";
import { Navigation } from "./components/navigation";
import { Notices } from "./components/notices";
import { openHelp, openPalette, overlay, Palette } from "./components/palette";
import { KINDS } from "./components/record_rows";
import { Records } from "./components/records";
import { PastBar, UnknownInstant } from "./components/time_control";
import { count, dateTime } from "./format";
import { Asks } from "./pages/asks";
import { Events } from "./pages/events";
import { Fleet } from "./pages/fleet";
import { LoginDialog, LogOut, SignIn } from "./pages/identity";
import { McpServers } from "./pages/mcp_servers";
import { Policy } from "./pages/policy";
import { RunDetail } from "./pages/run";
import { Comparison } from "./pages/run_comparison";
import { Runs } from "./pages/runs";
import { System } from "./pages/system";
import { Workflows } from "./pages/workflows";
import { at, filter, href, knownFilters, route, TITLES, unknownFilters } from "./route";
import { head, requestNow } from "./server";
import { caller, loginOf } from "./state/caller";
import { startClock } from "./state/clock";
import { eventStream, position, type StreamState, state } from "./state/event_stream";
import { instant, instantError, isSeeking } from "./state/instant";
import { shareLogins } from "./state/login";
import { openAskCount } from "./state/open_asks";
import { startPreferences } from "./state/preferences";
import "./shown_text";
import "./style.css";

const PAGES: Readonly<Record<string, () => JSX.Element>> = {
  fleet: () => <Fleet />,
  runs: () => {
    const { id, filters } = route.value;
    if (!id) return <Runs />;
    return filters.compare ? <Comparison key={id + filters.compare} one={id} other={filters.compare} /> : <RunDetail key={id} id={id} />;
  },
  asks: () => <Asks />,
  workflows: () => <Workflows key={route.value.id} />,
  mcp: () => <McpServers key={route.value.id} />,
  events: () => <Events />,
  policy: () => <Policy />,
  form: () => <Form key={location.hash} />,
  system: () => <System />,
};

const signInError = signal<AthenaError | undefined>(undefined);

/** The state of the event stream. Its position is in the tooltip. */
function StreamIndicator(): JSX.Element {
  const is = state.value;
  const texts: Readonly<Record<StreamState, string>> = {
    opening: "Connecting",
    live: "Live",
    behind: `${count(Math.max(0, head.value - position.value))} events behind`,
    cut: "Disconnected – data may be stale, reconnecting",
    resting: "Paused in the background",
    past: "Standing still",
  };
  const text = texts[is];
  return (
    <span class={`pulse ${is}`} data-state={is} data-position={position.value} title={`Position ${count(position.value)}`}>
      <i aria-hidden="true" />
      {text}
    </span>
  );
}

/** Names the filters in the URL that the page does not have, and so does not apply. */
function UnknownFilters(): JSX.Element | null {
  const { page } = route.value;
  const unknown = unknownFilters(route.value);
  if (!unknown.length || !TITLES[page]) return null;
  const known = knownFilters(route.value);
  return (
    <p class="trouble" role="alert">
      Unknown {unknown.length === 1 ? "filter" : "filters"} in the address, not applied: <b>{unknown.join(", ")}</b>.{" "}
      {known.length > 0 && `This page has ${known.filter((name) => name !== "event").join(", ")}.`}{" "}
      <button type="button" class="small" onClick={() => filter(Object.fromEntries(unknown.map((name) => [name, undefined])))}>
        Remove
      </button>
    </p>
  );
}

function whoOf(who: Caller): string {
  const login = loginOf(who);
  return `${who.identity}, ${who.role}${login ? `, logged in by ${login}` : ""}`;
}

/** The page of the address at its moment. The fleet page stays while the moment changes, because it has the slider. */
function Page(): JSX.Element {
  const { page } = route.value;
  const show = PAGES[page] ?? (KINDS[page] && (() => <Records />));
  if (!show) return <h1>Page not found: {page}</h1>;
  if (instantError.value) return <UnknownInstant error={instantError.value} />;
  if (page === "fleet") return show();
  return isSeeking.value ? <p class="empty">Loading …</p> : <Fragment key={at.value}>{show()}</Fragment>;
}

/** The buttons of the palette and of the help. */
function Habits(): JSX.Element {
  return (
    <>
      <button type="button" class="small" aria-label="Search and acts" title="Search and acts (Ctrl-K)" onClick={() => openPalette()}>
        ⌕
      </button>
      <button type="button" class="small" aria-label="Help and settings" title="Help and settings (?)" onClick={openHelp}>
        ?
      </button>
    </>
  );
}

function App(): JSX.Element {
  const { page, id } = route.value;
  const time = instant.value?.time;
  const shown = overlay.value;
  useLayoutEffect(() => {
    document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
    const waiting = openAskCount() ? `(${openAskCount()}) ` : "";
    document.title = `${waiting}${id ? `${id} · ` : ""}${(page === "form" ? "Form" : TITLES[page]) ?? "Not found"} · ${time ? `${dateTime(time)} · ` : ""}Athena`;
  }, [page, id, time, openAskCount()]);
  if (signInError.value) return <SignIn error={signInError.value} />;
  if (!caller.value) return <p class="empty">Connecting …</p>;
  return (
    <>
      <a class="skip" href="#page" onClick={skip}>
        Skip to content
      </a>
      <div class="frame">
        <header class="top">
          <a class="brand" href={href("fleet")}>
            Athena
          </a>
          <Navigation page={page} />
          <Habits />
          <HaltButton />
          <StreamIndicator />
          <a class="who" href={href("system")} title={whoOf(caller.value)}>
            {caller.value.identity} <span class="quiet">{caller.value.role}</span>
          </a>
          <LogOut />
        </header>
        <PastBar />
      </div>
      <HaltBanner />
      {state.value === "cut" && at.value === undefined && (
        <p class="banner" role="alert">
          Disconnected from the server. This page shows the state at position {count(position.value)}, and catches up after reconnecting.
        </p>
      )}
      <main id="page" tabIndex={-1} aria-busy={isSeeking.value}>
        <UnknownFilters />
        <Page />
      </main>
      <Dialog />
      {shown?.kind === "palette" && <Palette key={shown} of={shown} />}
      {shown?.kind === "help" && <Help key={shown} of={shown} />}
      <Notices />
      <LoginDialog />
    </>
  );
}

function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("page")?.focus();
}

addEventListener("keydown", handleKey);

async function start(): Promise<void> {
  try {
    const abilities = await requestNow(getCapabilities);
    const answer = await requestNow(getCaller);
    signInError.value = undefined;
    eventStream.begin(answer.position, !answer.data.scope, abilities.data);
    caller.value = answer.data;
  } catch (error) {
    if (!(error instanceof AthenaError)) throw error;
    signInError.value = error;
    if (error.code === "UNREACHABLE") setTimeout(() => void start(), 2_000);
  }
}

const root = document.getElementById("console");
if (root) render(<App />, root);
startPreferences();
startClock();
shareLogins();
void start();
