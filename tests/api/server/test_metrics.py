"""Metrics: correct, well-formed, bounded in number, and without ids."""

import re
import subprocess
import time
from contextlib import ExitStack

import httpx2
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from athena_api.edge.traffic import OTHER, Traffic
from athena_api.endpoint.operation import PREFIX
from athena_api.metrics import (
    AGENTS,
    AGENTS_MEMORY,
    AGENTS_MEMORY_MAX,
    BLOCKED,
    BLOCKS,
    CERTIFICATE,
    CONTENT_TYPE,
    FAMILIES,
    OPEN_METRICS_TYPE,
    RUNS,
    MetricFamily,
    collect,
    render_family,
)
from athena_api.operations import OPERATIONS
from athena_api.operations.core import health_of
from athena_api.plane import ControlPlane
from athena_core.system.histogram import Histogram
from athena_core.system.watchdog import LoopBlock
from tests.api.examples import EXAMPLES
from tests.conftest import Serve
from tests.support.api import Api, Refused, soon
from tests.support.gate import Gates
from tests.support.programs import needs
from tests.support.server import Server

SAMPLE = re.compile(r'^(?P<name>[a-z_]+)(\{(?P<labels>([a-z_]+="([^"\\\n]|\\.)*",?)*)\})? (?P<value>[0-9.e+-]+)$')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def text_of(api: Api) -> str:
    answer = api.http.get(api.url + "/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text


def parsed(text: str) -> Samples:
    """Return every sample by name and labels. Fail if a line is malformed or a family is split."""
    samples: Samples = {}
    families: list[str] = []
    for line in text.splitlines():
        if line.startswith("# "):
            word, name, _ = line[2:].split(" ", 2)
            if word == "HELP":
                assert name not in families, f"{name} comes twice"
                families.append(name)
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        assert match["name"].startswith(families[-1]), f"{line} stands in {families[-1]}"
        key = (match["name"], tuple(LABEL.findall(match["labels"] or "")))
        assert key not in samples, f"{key} comes twice"
        samples[key] = float(match["value"])
    return samples


def metric(api: Api, name: str, **labels: str) -> float:
    """Return the sum of the samples that have these labels."""
    wanted = set(labels.items())
    return sum(value for (found, has), value in parsed(text_of(api)).items() if found == name and wanted <= set(has))


def test_requests_are_counted_by_route_and_class_of_status(serve: Serve) -> None:
    api = serve().api
    run_id = api.run("hello")["runId"]
    for _ in range(3):
        api.get(f"/runs/{run_id}")
    with pytest.raises(Refused):
        api.get("/runs/run_unknown")
    with pytest.raises(Refused):
        api.get("/nowhere")
    name = "athena_http_requests_total"
    assert metric(api, name, method="GET", route="/api/v1/runs/:runId", status="2xx") == 3
    assert metric(api, name, method="GET", route="/api/v1/runs/:runId", status="4xx") == 1
    assert metric(api, name, method="POST", route="/api/v1/runs", status="2xx") == 1
    assert metric(api, name, route=OTHER, status="4xx") == 1
    count = "athena_http_request_duration_seconds_count"
    assert metric(api, count, method="GET", route="/api/v1/runs/:runId") == 4
    bucket = "athena_http_request_duration_seconds_bucket"
    assert metric(api, bucket, route="/api/v1/runs/:runId", le="+Inf") == 4


def test_the_log_says_how_much_it_wrote(serve: Serve) -> None:
    api = serve().api
    before = metric(api, "athena_log_events_appended_total")
    commits = metric(api, "athena_log_commit_seconds_count")
    for number in range(4):
        api.post("/directives", {"input": str(number)})
    assert metric(api, "athena_log_events_appended_total") == before + 4
    assert metric(api, "athena_log_commit_seconds_count") == metric(api, "athena_log_batch_events_count") == commits + 4
    assert metric(api, "athena_log_head_position") == api.head()
    assert metric(api, "athena_log_queue_transactions") == 0
    api.get("/directives")
    api.get("/fleet/summary")
    assert metric(api, "athena_projection_stopped") == 0
    for _ in soon():
        if metric(api, "athena_projection_lag_events") == 0:
            break


def test_runs_refusals_and_denials_are_counted_since_the_log_began(serve: Serve, gates: Gates) -> None:
    server = serve(auth_enabled="true", auth_identity_role_map="ada:Admin", **gates.settings)
    ada, vera, gate = server.client("ada"), server.client("vera"), gates["held"]
    ada.put("/policy", {"schemaVersion": 1, "maxConcurrentRuns": 1})
    held = ada.start(gate.order)
    with pytest.raises(Refused):
        ada.run("refused")
    with pytest.raises(Refused):
        vera.post("/directives", {"input": "denied"})
    ada.get("/fleet/summary")
    assert metric(ada, "athena_runs_open", status="running") == 1
    assert metric(ada, "athena_rejections_total", reason="max-concurrent-runs-exceeded") == 1
    assert metric(ada, "athena_denials_total") == 1
    gate.release()
    ada.await_ending(held["runId"])
    usage = ada.run("mock", provider="mock")["usage"]
    server.stop()
    again = server.start().client("ada")
    again.get("/fleet/summary")
    assert metric(again, "athena_runs_total", provider="local-exec", outcome="completed") == 1
    assert metric(again, "athena_runs_total", provider="mock", outcome="completed") == 1
    assert metric(again, "athena_runs_total") == metric(again, "athena_runs_admitted_total") == 2
    assert metric(again, "athena_tokens_total", provider="mock", direction="output") == usage["outputTokens"]


def test_counters_of_runs_start_at_0(serve: Serve) -> None:
    api = serve().api
    api.get("/fleet/summary")
    samples = parsed(text_of(api))
    counted = [
        ("athena_rejections_total", (("reason", "max-concurrent-runs-exceeded"),)),
        ("athena_runs_total", (("provider", "mock"), ("outcome", "timed-out"))),
        ("athena_tokens_total", (("provider", "openai"), ("direction", "input"))),
        ("athena_run_duration_seconds_count", (("provider", "mock"),)),
        ("athena_run_waiting_seconds_bucket", (("provider", "mock"), ("le", "+Inf"))),
        ("athena_run_first_token_seconds_sum", (("provider", "anthropic"),)),
    ]
    assert {key: samples[key] for key in counted} == dict.fromkeys(counted, 0)


def test_durations_of_runs_are_counted_by_provider(serve: Serve) -> None:
    server = serve()
    for _ in range(3):
        server.api.run("hello", provider="mock")
    server.stop()
    api = server.start().api
    api.get("/fleet/summary")
    for name in ("athena_run_duration_seconds", "athena_run_waiting_seconds", "athena_run_first_token_seconds"):
        assert metric(api, f"{name}_count", provider="mock") == 3
    (recorded, *_) = api.events(types="usage.recorded")
    assert recorded["payload"]["firstTokenMs"] >= 0


def test_a_process_shows_its_start_and_its_files(serve: Serve) -> None:
    before = time.time()
    server = serve()
    started = metric(server.api, "process_start_time_seconds")
    assert before - 2 <= started <= time.time() + 1
    fds = metric(server.api, "process_open_fds")
    with ExitStack() as streams:
        opened = [streams.enter_context(server.api.stream()) for _ in range(8)]
        assert [next(blocks) for blocks in opened]  # eight, so that a file which is closed meanwhile is outweighed
        assert metric(server.api, "process_open_fds") >= fds + 4
    assert metric(server.api, "process_max_fds") >= fds
    assert metric(server.api, "process_threads") >= 1
    assert metric(server.api, "process_virtual_memory_bytes") > metric(server.api, "process_resident_memory_bytes")


async def test_blocks_of_the_event_loop_are_counted_by_operation_and_shown_by_the_health(parts: ControlPlane) -> None:
    parts.watchdog.note(LoopBlock(0.25, 0.24, "listRuns", "projections/runs.py:1"))
    parts.watchdog.note(LoopBlock(0.125, 0.12, "listRuns", "projections/runs.py:1"))
    samples = collect(parts)
    assert dict(samples[BLOCKS])["listRuns",] == 2
    assert max(value for _, value in samples[BLOCKED] if not isinstance(value, Histogram)) >= 0.25
    assert health_of(parts, parts.log.signal.position).loop_block_ms >= 250


def test_open_streams_are_counted_and_not_measured(serve: Serve) -> None:
    api = serve().api
    with api.stream() as blocks:
        next(blocks)
        assert metric(api, "athena_streams_open") == 1
    for _ in soon():
        if metric(api, "athena_http_requests_total", route="/api/v1/events/stream") == 1:
            break
    assert metric(api, "athena_streams_open") == 0
    assert metric(api, "athena_http_request_duration_seconds_count", route="/api/v1/events/stream") == 0


def test_the_number_of_series_does_not_grow_with_what_clients_send(serve: Serve) -> None:
    api = serve().api
    api.run("hello")
    names = {key for key in parsed(text_of(api)) if key[0] == "athena_http_requests_total"}
    for number in range(20):
        for method in ("GET", "BREW"):
            api.http.request(method, f"{api.url}/made-up-{number}")
            api.http.request(method, f"/runs/run_{number}")
    more = {key for key in parsed(text_of(api)) if key[0] == "athena_http_requests_total"} - names
    assert {dict(labels)["route"] for _, labels in more} <= {OTHER, "/metrics", "/api/v1/runs/:runId"}
    assert "run_1" not in text_of(api)


def test_metrics_need_an_identity(serve: Serve) -> None:
    server = serve(auth_enabled="true")
    assert httpx2.get(server.url + "/metrics").status_code == 401
    assert httpx2.get(server.url + "/metrics", headers={"x-athena-identity": "prometheus"}).status_code == 200


@pytest.fixture(scope="module")
def busy(shared: Server) -> str:
    """The metrics of a server on which every operation was called once."""
    for row in OPERATIONS:
        if not row.stream:
            example = EXAMPLES[row.id]
            shared.api.http.request(row.method, example.path, params=example.query, json=example.body)
    shared.api.get("/fleet/summary")
    return text_of(shared.api)


def test_every_family_is_well_formed_and_histograms_add_up(busy: str) -> None:
    samples = parsed(busy)
    for family in FAMILIES:
        absent = family in {BLOCKS, CERTIFICATE, AGENTS, AGENTS_MEMORY, AGENTS_MEMORY_MAX}  # no block, TLS, agents
        assert absent or f"# HELP {family.name} {family.meaning}\n# TYPE {family.name} {family.kind}\n" in busy
    for (name, labels), value in samples.items():
        if name.endswith("_bucket") and ("le", "+Inf") in labels:
            rest = tuple(label for label in labels if label[0] != "le")
            assert samples[name.removesuffix("_bucket") + "_count", rest] == value
            below = [v for (n, has), v in samples.items() if n == name and has[:-1] == rest]
            assert below == sorted(below), "buckets are cumulative"


@needs("promtool")
def test_prometheus_itself_finds_nothing_to_complain_about(busy: str) -> None:
    done = subprocess.run(["promtool", "check", "metrics"], input=busy, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("application/openmetrics-text", True),
        (PROMETHEUS, True),
        ("Application/OpenMetrics-Text; version=1.0.0, text/plain", True),
        ("text/plain, application/openmetrics-text;q=0.9", False),
        ("application/openmetrics-text;q=0, */*", False),
        ("text/plain", False),
        ("*/*", False),
        ("application/json", False),
        ("", False),
    ],
)
def test_a_client_chooses_openmetrics(shared: Server, accept: str, *, chosen: bool) -> None:
    answer = shared.api.http.get(shared.url + "/metrics", headers={"accept": accept})
    wanted = OPEN_METRICS_TYPE if chosen else CONTENT_TYPE
    assert (answer.status_code, answer.headers["content-type"], answer.headers["vary"]) == (200, wanted, "accept")
    assert answer.text.endswith("\n# EOF\n") is chosen


def test_openmetrics_has_the_same_samples(shared: Server, busy: str) -> None:
    before = keys_of(text_of(shared.api))
    answer = shared.api.http.get(shared.url + "/metrics", headers={"accept": "application/openmetrics-text"})
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}  # type: ignore[no-untyped-call]
    found = {(sample.name, key_of(sample.labels)) for one in families.values() for sample in one.samples}
    assert before <= found <= keys_of(text_of(shared.api)), "a sample may begin meanwhile"
    for family in FAMILIES:
        if f"# TYPE {family.name} " in busy:
            names = {family.name, family.name.removesuffix("_total")} & families.keys()
            (kind,) = {families[name].type for name in names} - ({"gauge"} if len(names) == 2 else set())
            assert kind == ("unknown" if len(names) == 2 else family.kind), family.name
    assert families["athena_runs"].documentation == RUNS.meaning


def keys_of(text: str) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    return {(name, key_of(dict(labels))) for name, labels in parsed(text)}


def key_of(labels: dict[str, str]) -> frozenset[tuple[str, str]]:
    """Return labels with one spelling of a bound."""
    return frozenset((name, str(float(text)) if name == "le" else text) for name, text in labels.items())


def test_a_bound_is_a_float_in_openmetrics() -> None:
    histogram = Histogram((1, 2.5))
    family = MetricFamily("made_up_seconds", "histogram", "Made up.")
    lines = list(render_family(family, [((), histogram)], open_metrics=True))
    assert [line.split()[0].rpartition("_")[2] for line in lines[1:4]] == [
        'bucket{le="1.0"}',
        'bucket{le="2.5"}',
        'bucket{le="+Inf"}',
    ]


def test_what_a_label_holds_cannot_end_it() -> None:
    family = MetricFamily("made_up_total", "counter", "Made up.", ("provider",))
    (_, line) = render_family(family, [(('a"b\\c\nd',), 1)])
    assert line == 'made_up_total{provider="a\\"b\\\\c\\nd"} 1\n'
    assert list(render_family(family, [])) == [], "a family without a sample is left out"


def test_a_value_counts_up_to_and_including_its_bound() -> None:
    histogram = Histogram((1, 2, 5))
    for value in (0, 1, 1.5, 2, 5, 6):
        histogram.observe(value)
    family = MetricFamily("made_up_seconds", "histogram", "Made up.")
    assert [line.split() for line in render_family(family, [((), histogram)])][1:] == [
        ['made_up_seconds_bucket{le="1"}', "2"],
        ['made_up_seconds_bucket{le="2"}', "4"],
        ['made_up_seconds_bucket{le="5"}', "5"],
        ['made_up_seconds_bucket{le="+Inf"}', "6"],
        ["made_up_seconds_sum", "15.5"],
        ["made_up_seconds_count", "6"],
    ]


def test_a_request_that_was_never_answered_is_counted() -> None:
    traffic = Traffic(("/livez",), PREFIX)
    traffic.request(None, "GET", "/livez", 0, 0.1)
    traffic.request(None, "BREW", "/livez", 404, 0.1)
    assert list(traffic.counts()) == [(("GET", "/livez", "none"), 1), ((OTHER, OTHER, "4xx"), 1)]
