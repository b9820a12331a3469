"""The benchmarks: what they compare with is the same thing."""

from itertools import chain, islice
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
import pytest

from athena_core.services.access.token_text import id_in
from benchmarks import apps_postgres, load, loops, paired, scale
from benchmarks.__main__ import SIZES
from benchmarks.access_tokens import with_tokens
from benchmarks.beside import STREAMS_TIMES, beside_streams
from benchmarks.fanout import fanned
from benchmarks.history import PARKED_RUN_EVENTS, with_asks, with_runs, write, written
from benchmarks.load import Http, Spec, token_text
from benchmarks.past import ONE, PLACES, READS, TIMES_REBUILD, TIMES_VIEWS, past
from benchmarks.peers.nats import Nats
from benchmarks.scenarios import Bench
from benchmarks.schedules import DUE, Plane
from benchmarks.server import ROOT
from benchmarks.shares import SHARE_TIMES, shares
from tests.conftest import Serve
from tests.scale import sized
from tests.support.api import soon
from tests.support.postgres import Cluster

EVENTS = 1_003  # ends within a run


def test_the_ceiling_of_a_replay_writes_the_same_rows_as_the_views(tmp_path: Path) -> None:
    write(tmp_path, EVENTS)
    replayed, folded = loops.replay(tmp_path, 0), loops.folded(tmp_path, 0)
    assert replayed.events == folded.events == EVENTS
    assert replayed.digests == folded.digests


def test_short_histories_hold_as_many_runs_as_they_are_asked_for(tmp_path: Path) -> None:
    done = loops.replay(with_runs(tmp_path, 20), 0)
    assert done.events == 2 * (1 + 10 * 4)


def test_histories_of_asks_hold_parked_runs_that_wait_for_an_answer(tmp_path: Path) -> None:
    assert loops.replay(with_asks(tmp_path, 20), 0).events == 20 * PARKED_RUN_EVENTS


def test_histories_of_tokens_hold_the_tokens_that_the_load_sends(tmp_path: Path) -> None:
    assert loops.replay(with_tokens(tmp_path, 20), 0).events == 20
    spec = Spec(kind="asked", port=0, pid=0, clients=1, seconds=1, paths=["/a"], anew=True, tokens=2)
    sent = list(islice(load.requests(spec), 3))
    assert [id_in(request.split()[-1].decode()) for request in sent] == [id_in(token_text(n)) for n in (0, 1, 0)]


ANSWERS = (
    b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
)


@pytest.mark.parametrize("answer", ANSWERS)
def test_the_load_takes_an_answer_for_whole_when_it_is(answer: bytes) -> None:
    head = answer.index(b"\r\n\r\n") + 4
    for place in range(head, len(answer)):
        found: list[bytes] = []
        connection = Http(lambda _, data, found=found: found.append(data))  # type: ignore[misc]
        for piece in filter(None, (answer[:place], answer[place:-1], answer[-1:])):
            assert not found
            connection.data_received(piece)
        assert found == [answer]


def test_the_load_of_nats_finds_messages_wherever_the_bytes_are_cut() -> None:
    content = b"".join(
        (
            b"INFO {}\r\n",
            b"MSG inbox 1 3\r\none\r\n",
            b"HMSG inbox 1 $JS.ACK 12 15\r\nNATS/1.0\r\n\r\ntwo\r\n",
            b"MSG inbox 1 x 2\r\n\r\n\r\n",
        )
    )
    for place in range(len(content)):
        found: list[bytes] = []
        connection = Nats(lambda _, data, found=found: found.append(data))  # type: ignore[misc]
        for piece in (content[:place], content[place:]):
            connection.data_received(piece)
        assert found == [b"one", b"NATS/1.0\r\n\r\ntwo", b"\r\n"]


@pytest.mark.heavy
@pytest.mark.parametrize(("name", "marks"), [("athena", 1), ("fan-out", 0), ("fan-out-joined", 0)])
def test_a_fan_out_brings_every_event_to_every_subscriber(tmp_path: Path, name: str, marks: int) -> None:
    bench = Bench(tmp_path, SIZES["quick"])
    try:
        found = fanned(bench, name, 3, marks)  # raises Failed where one is missing
    finally:
        bench.stop()
    assert found["rate"] > 0


@pytest.mark.parametrize("name", ["nothing", "group-commit", "page"])
def test_both_ceilings_answer_with_the_same_bytes(tmp_path: Path, name: str) -> None:
    bench = Bench(tmp_path, SIZES["quick"])
    request = load.post("/", {"input": "hello"}, "connection: close")
    bodies = []
    try:
        for program in (name, f"protocol-{name}"):
            place = bench.place(program)
            place.mkdir()
            (place / "page").write_bytes(b"the page")
            bodies.append(bench.server(program, place).get(request).partition(b"\r\n\r\n")[2])
    finally:
        bench.stop()
    assert bodies[0] == bodies[1] != b""


def test_the_threads_of_a_load_add_up_to_the_time_of_its_server(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SIZES["quick"])
    try:
        found = bench.load(bench.server("group-commit"), "directives", 4, by_thread=True)()
    finally:
        bench.stop()
    assert found["loop_us"] > 0 < found["writer_us"]
    assert found["loop_us"] + found["writer_us"] + found["views_us"] == pytest.approx(found["cpu_us"], rel=0.2)


@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_each_part_of_a_pair_is_measured_beside_the_base(tmp_path: Path) -> None:
    some = ("post-64", "run")
    for part in sized(some, some, tuple(paired.PARTS)):
        measure = paired.PARTS[part]
        bench = Bench(tmp_path / part, SIZES["quick"], base=ROOT)
        bench.directory.mkdir()
        try:
            section = measure(bench)
        finally:
            bench.stop()
        assert any(ratio.label.endswith(" / base") for ratio in section.ratios), part


@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_probes_are_answered_beside_streams_that_catch_up(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SIZES["quick"]._replace(rounds=5, seconds=sized(0.2, 0.5, 2.0)))
    try:
        server = bench.server("athena", written(bench.place("streams"), sized(10_000, 50_000, 150_000)))
        (ratio,) = beside_streams(bench, server).ratios
    finally:
        bench.stop()
    print(f"{ratio.label}: {ratio.median:.1f} (goal {ratio.wanted})")
    assert ratio.median <= 10 * STREAMS_TIMES


@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_writes_runs_and_probes_are_answered_beside_the_dearest_reads_of_another(tmp_path: Path) -> None:
    (section,) = shares(Bench(tmp_path, SIZES["quick"]._replace(seconds=1.0)))
    print("\n".join(section.lines()))
    assert len(section.ratios) == 3
    assert all(ratio.median <= 10 * SHARE_TIMES for ratio in section.ratios), "one round on a busy machine"


@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_the_past_is_measured_and_stays_small(tmp_path: Path) -> None:
    bench = Bench(tmp_path, SIZES["quick"]._replace(past_events=sized(20_000, 40_000, 1_000_000)))
    try:
        views, reads = past(bench)
    finally:
        bench.stop()
    print("\n".join((*views.lines(), *reads.lines())))
    size, rebuild = views.ratios
    assert (size.goal, rebuild.goal) == (TIMES_VIEWS, TIMES_REBUILD)
    assert size.median <= TIMES_VIEWS
    assert rebuild.median <= 2 * TIMES_REBUILD, "one round on a busy machine"
    for name, _, kind in READS:
        found = reads.samples[name]
        assert all(len(samples) == PLACES for samples in found.values())
        assert kind != ONE or median(found["again_ms"]) <= 10 * median(found["head_ms"])


async def test_a_tick_among_many_schedules_starts_those_that_are_due_each_time(tmp_path: Path) -> None:
    plane = Plane(tmp_path, 2 * DUE)
    await plane.put()
    ticked = await plane.tick(2)
    assert (ticked.ticks, ticked.runs) == (2, 2 * DUE)
    plane.parts.close()


@pytest.mark.parametrize("design", scale.DESIGNS, ids=str)
def test_runs_complete_until_a_part_is_full(design: scale.Design) -> None:
    few = scale.simulate(design, 100)
    assert max(few.loads.values()) < 1 and few.completed > 90 and few.p99_ms < 50
    many = scale.simulate(design, 1_000_000)
    possible = [1_000_000 / load for name, load in many.loads.items() if name != scale.VIEWS]
    assert many.completed <= (1_000_000 * (1 - design.fullest) if design.fullest else 0) + min(possible) * 1.01


def test_workers_that_follow_the_log_do_not_add_up() -> None:
    found = scale.simulate(scale.FOLLOWED, 10_000)
    assert found.completed < 1_000_000 / scale.Costs().follow
    assert scale.simulate(scale.SERVED, 10_000).completed > found.completed


def test_logs_add_up_unless_one_has_most_of_the_runs() -> None:
    assert scale.simulate(scale.SPREAD, 100_000).completed > 95_000
    uneven = scale.simulate(scale.UNEVEN, 100_000)
    assert uneven.loads["the server's writer"] > 1 and uneven.completed < 97_000


def test_a_turn_of_the_lock_commits_what_waits_at_one_writer() -> None:
    runs = ((scale.WARM_UP_SECONDS, scale.WARM_UP_SECONDS) for _ in range(scale.BATCH_MAX))
    far = iter([(scale.SECONDS, scale.SECONDS)] * 2)
    delays, arrived = scale.committed(chain(runs, far), 1, commit=0.01, insert=0.0, commits=2)
    assert (arrived, len(delays)) == (scale.BATCH_MAX, scale.BATCH_MAX)
    assert delays == pytest.approx([0.02] * scale.BATCH_MAX)


def rows_of(url: str, schema: str) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of each table of a schema."""
    with psycopg.connect(url) as session:
        tables = session.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,)).fetchall()
        return {name: session.execute(f"SELECT * FROM {schema}.{name}".encode()).fetchall() for (name,) in tables}


def shape(rows: list[tuple[Any, ...]]) -> set[tuple[type, ...]]:
    """Which columns are there, and what they hold."""
    return {tuple(type(cell) for cell in row) for row in rows}


def test_the_ceiling_of_posts_on_postgresql_writes_the_rows_that_views_show(
    cluster: Cluster, database: str, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cluster.database() as ceiling:
        api = serve(database_url=database).api
        api.items("/directives")
        before = rows_of(database, "athena_views_1")
        for number in range(3):
            api.post("/directives", {"input": f"say {number}"})
        api.items("/directives")
        after = rows_of(database, "athena_views_1")
        news = {name: rows[len(before[name]) :] for name, rows in after.items()}
        written = {name for name, rows in news.items() if rows}

        monkeypatch.setenv("ATHENA_DATABASE_URL", ceiling)
        rows = apps_postgres.Rows()
        rows.take(1, [b'{"input":"say %d"}' % number for number in range(3)])
        for _ in soon():
            found = rows_of(ceiling, "public")
            if found["checkpoint"] == [(3,)]:
                break
        del found["checkpoint"]
        assert {name for name, made in found.items() if made} == written
        assert {name: shape(made) for name, made in found.items()} == {name: shape(news[name]) for name in written}
