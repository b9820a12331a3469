"""The peers with HTTP: Prefect, Restate, DBOS, LangGraph's server, Durable Streams."""

import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import uuid4

import msgspec

from benchmarks import fanout
from benchmarks.load import WORDS
from benchmarks.machine import cores
from benchmarks.peers import install
from benchmarks.peers.lab import ASYNC, BODY, DIRECTIVES, SYNC, Lab, answer
from benchmarks.peers.program import Missing, Program
from benchmarks.report import Section
from benchmarks.server import free_port

HERE = Path(__file__).resolve().parent
PREFECT, RESTATE, RESTATE_SDK = "3.9.1", "1.7.12", "1.17.2"
DBOS, LANGGRAPH, STREAMS = "3.4.0", "0.4.40", "0.3.7"
EVENTS, PAGE = 1_000, 50
SECONDS_MAX = 60.0
CATCH_UP_MANY, CATCH_UP_FEW = 20_000, 500
SUBSCRIBERS = 100


def prefect(lab: Lab) -> list[Section]:
    """Measure Prefect with its services on PostgreSQL: create flow runs, list events."""
    python = install.python("prefect", f"prefect=={PREFECT}", "asyncpg")
    url, port, place = lab.postgres(), free_port(), lab.bench.place("prefect")
    environment = {
        "PREFECT_HOME": str(place),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_API_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{url}",
    }
    command = [python.parent / "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    program = lab.program("prefect", command, directory=place, environment=environment)
    program.wait_for(port, "/api/health")
    flow = answer(port, "POST", "/api/flows/", {"name": "bench"})["id"]
    now = datetime.now(UTC)
    for _ in range(0, EVENTS, 100):
        answer(port, "POST", "/api/events", [_prefect_event(now) for _ in range(100)])
    since, until = (now - timedelta(hours=1)).isoformat(), (now + timedelta(hours=1)).isoformat()
    wanted = {"occurred": {"since": since, "until": until}, "event": {"name": ["bench.made"]}}
    asked = msgspec.json.encode({"limit": PAGE, "filter": wanted}).decode()
    deadline = time.monotonic() + SECONDS_MAX
    while answer(port, "POST", "/api/events/filter", msgspec.Raw(asked.encode()))["total"] < EVENTS:
        if time.monotonic() > deadline:
            raise Missing("Prefect did not store the events within a minute")
        time.sleep(0.5)
    run = {"flow_id": flow, "parameters": {"input": WORDS}, "state": {"type": "SCHEDULED", "name": "Scheduled"}}
    server, ours = lab.athena()
    created = "Prefect, `POST /api/flow_runs/`"
    one = lab.asked(program, port, "/api/flow_runs/", msgspec.json.encode(run).decode())
    section = lab.section(
        "prefect", f"Prefect server {PREFECT} on PostgreSQL, 64 clients", "requests/s", ours | {created: one}
    )
    lab.ratios(section, created, {DIRECTIVES: 60, ASYNC: 15})
    theirs, mine = "Prefect, `POST /api/events/filter`", f"Athena, `GET /api/v1/events?limit={PAGE}`"
    variants = {
        mine: lab.bench.load(server, "asked", 8, paths=[f"/api/v1/events?limit={PAGE}"]),
        theirs: lab.asked(program, port, "/api/events/filter", asked, clients=8),
    }
    listed = lab.section("prefect-events", f"Pages of {PAGE} events, 8 clients", "requests/s", variants)
    lab.ratios(listed, theirs, {mine: None})
    listed.notes.append(f"Prefect's filter names one of its events, of which there are {EVENTS:,}, and counts them.")
    return [section, listed]


def _prefect_event(now: datetime) -> object:
    return {
        "id": str(uuid4()),
        "occurred": now.isoformat(),
        "event": "bench.made",
        "resource": {"prefect.resource.id": f"bench.{uuid4()}"},
        "payload": {"input": WORDS},
    }


def restate(lab: Lab) -> list[Section]:
    """Measure Restate with a service that does nothing: calls are sent without waiting."""
    packages = install.node(
        "restate", f"@restatedev/restate-server@{RESTATE}", f"@restatedev/restate-sdk@{RESTATE_SDK}"
    )
    _, ours = lab.athena()
    variants = dict(ours)
    names = []
    for core, where in ((cores()[0], "the same core"), (cores()[1], "the load's core")):
        service, ingress, admin, fabric = (free_port() for _ in range(4))
        script = ["node", HERE / "restate_service.mjs", packages, str(service)]
        lab.program("restate-service", script, environment={"RESTATE_LOGGING": "WARN"}, core=core)
        place = lab.bench.place("restate")
        environment = {
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
            "RESTATE_BIND_ADDRESS": f"127.0.0.1:{fabric}",
            "RESTATE_DISABLE_TELEMETRY": "true",
            "RUST_LOG": "warn",
        }
        command = [packages / "node_modules" / ".bin" / "restate-server", "--base-dir", place / "data"]
        program = lab.program("restate", command, directory=place, environment=environment)
        program.wait_for(admin, "/health")
        answer(admin, "POST", "/deployments", {"uri": f"http://127.0.0.1:{service}"})
        if answer(ingress, "POST", "/bench/accept", {"input": WORDS}) != {"input": WORDS}:
            raise Missing("Restate did not call its service")
        names.append(f"Restate, `/send`, its service on {where}")
        variants[names[-1]] = lab.asked(program, ingress, "/bench/accept/send", BODY)
        program.halt()
    section = lab.section("restate", f"Restate {RESTATE}, 64 clients", "requests/s", variants)
    for name in names:
        lab.ratios(section, name, {DIRECTIVES: 4, ASYNC: 1})
    return [section]


def dbos(lab: Lab) -> list[Section]:
    """Measure DBOS as a library in an application of ours: workflows that do nothing are enqueued."""
    python = install.python("dbos", f"dbos=={DBOS}", "uvicorn", "httptools", "uvloop", "psycopg[binary]")
    _, ours = lab.athena()
    variants = dict(ours)
    names = []
    for database in ("SQLite", "PostgreSQL"):
        port, place = free_port(), lab.bench.place("dbos")
        url = f"postgresql://{lab.postgres()}" if database == "PostgreSQL" else f"sqlite:///{place / 'dbos.sqlite'}"
        program = lab.program("dbos", [python, HERE / "dbos_app.py", str(port), url], directory=place)
        program.wait_for(port)
        names.append(f"DBOS on {database}, enqueue")
        variants[names[-1]] = lab.asked(program, port, "/", BODY)
        program.halt()
    section = lab.section("dbos", f"DBOS {DBOS} behind uvicorn, 64 clients", "requests/s", variants)
    for name in names:
        lab.ratios(section, name, {DIRECTIVES: None, ASYNC: None})
    return [section]


def langgraph(lab: Lab) -> list[Section]:
    """Measure LangGraph's development server, which keeps runs in memory, with a graph of one echo node."""
    python = install.python("langgraph", f"langgraph-cli[inmem]=={LANGGRAPH}")
    port, place = free_port(), lab.bench.place("langgraph")
    place.mkdir(parents=True)
    shutil.copy(HERE / "langgraph_graph.py", place / "graph.py")
    (place / "langgraph.json").write_text('{"dependencies": ["."], "graphs": {"bench": "./graph.py:graph"}}', "utf-8")
    command: list[object] = [
        python.parent / "langgraph",
        "dev",
        "--no-browser",
        "--no-reload",
        "--n-jobs-per-worker",
        "64",
    ]
    environment = {"LANGSMITH_TRACING": "false", "LANGGRAPH_CLI_NO_ANALYTICS": "1", "LOG_LEVEL": "WARNING"}
    command += ["--host", "127.0.0.1", "--port", str(port)]
    program = lab.program("langgraph", command, directory=place, environment=environment)
    program.wait_for(port, "/ok")
    run = {"assistant_id": "bench", "input": {"input": WORDS}}
    if answer(port, "POST", "/runs/wait", run)["output"] != "Echo: " + WORDS:
        raise Missing("LangGraph's server did not run the graph")
    body = msgspec.json.encode(run).decode()
    waited, sent = "LangGraph, `POST /runs/wait`", "LangGraph, `POST /runs`"
    _, ours = lab.athena()
    variants = ours | {
        waited: lab.asked(program, port, "/runs/wait", body),
        sent: lab.asked(program, port, "/runs", body),
    }
    section = lab.section(
        "langgraph", f"LangGraph's in-memory server (CLI {LANGGRAPH}), 64 clients", "requests/s", variants
    )
    lab.ratios(section, waited, {SYNC: 2})
    lab.ratios(section, sent, {ASYNC: None})
    return [section]


def streams(lab: Lab) -> Iterator[Section]:
    """Measure the reference server of Durable Streams, file-backed: appends, and reads from the start."""
    packages = install.node("streams", f"@durable-streams/server@{STREAMS}")
    port, place = free_port(), lab.bench.place("streams")
    script = ["node", HERE / "streams_server.mjs", packages, str(port), place / "data"]
    program = lab.program("streams", script, directory=place)
    program.wait_for(port, "/", statuses="24")
    server, ours = lab.athena()
    answer(port, "PUT", "/appended")
    appended = "Durable Streams, append"
    variants = {DIRECTIVES: ours[DIRECTIVES], appended: lab.asked(program, port, "/appended", BODY)}
    section = lab.section(
        "streams", f"Durable Streams server {STREAMS}, file-backed: appends, 64 clients", "requests/s", variants
    )
    lab.ratios(section, appended, {DIRECTIVES: None})
    record = answer(server.port, "GET", "/api/v1/events?limit=1")["data"]["events"][0]
    pages = "Athena, `GET /api/v1/events?limit=500`, page after page"
    reads = {pages: lab.bench.load(server, "pages", 1, limit=CATCH_UP_FEW)}
    program.go_on()
    for count in (CATCH_UP_FEW, CATCH_UP_MANY):
        path = f"/read-{count}"
        answer(port, "PUT", path)
        for _ in range(0, count, CATCH_UP_FEW):
            answer(port, "POST", path, [record] * CATCH_UP_FEW)
        name = f"Durable Streams, a stream of {count:,} from its start"
        reads[name] = lab.asked(program, port, f"{path}?offset=-1", clients=1, things=count)
    program.halt()
    yield section
    read = lab.section("streams-read", f"Durable Streams server {STREAMS}: catch-up reads, 1 client", "events/s", reads)
    for name in list(reads)[1:]:
        lab.ratios(read, name, {pages: 2})
    yield read
    theirs, mine = "Durable Streams, SSE", "Athena, SSE"
    variants = {
        mine: partial(fanout.fanned, lab.bench, "athena", SUBSCRIBERS, 1),
        theirs: partial(_fanned, lab, program, port),
    }
    title = f"Durable Streams server {STREAMS}: SSE to {SUBSCRIBERS} subscribers"
    fanned = lab.section("streams-sse", title, "deliveries/s", variants)
    lab.ratios(fanned, theirs, {mine: None})
    yield fanned


def _fanned(lab: Lab, program: Program, port: int) -> dict[str, float]:
    """Measure appends to a new stream with subscribers."""
    disk = lab.bench.sync()
    program.go_on()
    path = f"/sse-{uuid4()}"
    answer(port, "PUT", path)
    spec = fanout.Spec(
        port=port,
        pid=program.pid,
        subscribers=SUBSCRIBERS,
        seconds=lab.bench.seconds,
        append=path,
        stream=f"{path}?offset=now&live=sse",
        frame="event: data\n",
    )
    found = fanout.measured(spec)
    program.halt()
    return found | disk
