"""Tests of the recorder with the test cases that eventsourcing ships for recorders, factories and projections.

Its modules are imported, not its classes: those that are no base classes would be collected here a second time.
"""

import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import eventsourcing.application as ea
import eventsourcing.persistence as es
import eventsourcing.projection as ep
import eventsourcing.tests.application as ta
import eventsourcing.tests.persistence as tp
import eventsourcing.tests.projection as tj
import pytest
from eventsourcing.dispatch import singledispatchmethod
from eventsourcing.utils import Environment, get_topic

from athena_core.clock import CountingIds, FixedClock
from athena_core.decider import Outcome
from athena_core.domain import DECIDERS, EVENTS, plane, session
from athena_core.domain.directive import DirectiveCreated
from athena_core.domain.session import SessionCreated
from athena_core.event import Event, Fact, Meta, Recorded, Unknown
from athena_core.log.codec import Codec
from athena_core.log.engine import open_snapshots
from athena_core.log.tools.recorder import AthenaMapper, Factory, RecordedMapper, Recorder, SnapshotRecorder
from athena_core.log.writer import Log
from tests.core.log.pots import MEMORY, on_postgres, rows, store_at, url_of

MODULE = "athena_core.log.tools.recorder"
META = Meta(actor="ada", correlation="trace-1")


def recorder(directory: Path, kind: type[Recorder] = Recorder) -> Recorder:
    return kind(store_at(directory), clock=FixedClock(), ids=CountingIds())


def environment(directory: Path, **more: str) -> dict[str, str]:
    """Return the environment that makes an eventsourcing application record here."""
    return {"PERSISTENCE_MODULE": MODULE, "ATHENA_LOG": url_of(directory) or str(directory), **more}


class Here:
    """A test case in a folder of its own, with streams named by texts like ours."""

    tmp_path: Path
    postgres = False

    @pytest.fixture(autouse=True)
    def _here(self, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
        with tempfile.TemporaryDirectory(
            dir=MEMORY
        ) as directory:  # they give projections only one second, also on a busy disk
            self.tmp_path = Path(directory)
            if self.postgres:
                on_postgres(self.tmp_path, request.getfixturevalue("database"))
            for name, value in environment(self.tmp_path).items():
                monkeypatch.setenv(name, value)
            yield

    def new_originator_id(self) -> str:
        return str(uuid4())


# Recorders


class TestApplicationRecorder(Here, tp.ApplicationRecorderTestCase[Recorder]):
    def create_recorder(self) -> Recorder:
        return recorder(self.tmp_path)

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestTrackingRecorder(Here, tp.TrackingRecorderTestCase):
    def create_recorder(self) -> Recorder:
        return recorder(self.tmp_path)


class TestProcessRecorder(Here, tp.ProcessRecorderTestCase):
    def create_recorder(self) -> Recorder:
        return recorder(self.tmp_path)


class TestNonInterleaving(Here, tp.NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> Recorder:
        return recorder(self.tmp_path)


class TestSnapshotRecorder(Here, tp.AggregateRecorderTestCase):
    def create_recorder(self) -> SnapshotRecorder:
        return SnapshotRecorder(open_snapshots(self.tmp_path, url_of(self.tmp_path), "snapshots"))


# The factory


class AnotherRecorder(Recorder):
    """A view of a user's own."""


class TestFactory(Here, tp.InfrastructureFactoryTestCase[Factory]):
    def setUp(self) -> None:
        self.env = Environment("Application", environment(self.tmp_path))
        super().setUp()

    def expected_factory_class(self) -> type[Factory]:
        return Factory

    def expected_aggregate_recorder_class(self) -> type[SnapshotRecorder]:
        return SnapshotRecorder

    def expected_application_recorder_class(self) -> type[Recorder]:
        return Recorder

    def expected_tracking_recorder_class(self) -> type[Recorder]:
        return Recorder

    def tracking_recorder_subclass(self) -> type[Recorder]:
        return AnotherRecorder

    def expected_process_recorder_class(self) -> type[Recorder]:
        return Recorder


def test_the_factory_needs_a_state_directory() -> None:
    with pytest.raises(OSError, match="ATHENA_LOG"):
        Factory({})


def test_the_factory_is_found_by_its_own_name_too(tmp_path: Path) -> None:
    found: object = es.InfrastructureFactory.construct(
        {**environment(tmp_path), "PERSISTENCE_MODULE": MODULE + ":Factory"}
    )
    assert type(found) is Factory


# Applications and projections


class TestExampleApplication(Here, ta.ExampleApplicationTestCase):
    expected_factory_topic = get_topic(Factory)


class TestApplication(Here, ta.ApplicationTestCase):
    @pytest.mark.filterwarnings("default")
    def test_application_log(self) -> None:
        super().test_application_log()


class Counters(tj.EventCountersView, Recorder):
    """A view that stores its two numbers beside its tracking positions."""

    def get_created_event_counter(self) -> int:
        return self.max_tracking_id("#created") or 0

    def get_subsequent_event_counter(self) -> int:
        return self.max_tracking_id("#subsequent") or 0

    def incr_created_event_counter(self, tracking: es.Tracking) -> None:
        self._count("#created", tracking)

    def incr_subsequent_event_counter(self, tracking: es.Tracking) -> None:
        self._count("#subsequent", tracking)

    def _count(self, name: str, tracking: es.Tracking) -> None:
        with self.writing() as store:
            self.track(store, es.Tracking(name, (self.max_tracking_id(name) or 0) + 1))
            self.track(store, tracking)


class TestEventCountersView(Here, tj.EventCountersViewTestCase):
    def construct_event_counters_view(self) -> tj.EventCountersView:
        view = recorder(self.tmp_path, Counters)
        assert isinstance(view, Counters)
        return view


class TestProjectionInTheSameFile(Here, tj.AggregateEventCountersProjectionTestCase):
    view_class = Counters
    env: ClassVar[dict[str, str]] = {}


class TestProjectionInAnotherFile(Here, tj.AggregateEventCountersProjectionTestCase):
    view_class = Counters
    env: ClassVar[dict[str, str]] = {}

    @pytest.fixture(autouse=True)
    def _another_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("EVENTCOUNTERS_ATHENA_LOG", str(tmp_path / "view"))


class TestEventSourcedProjection(Here, tj.EventSourcedProjectionTestCase):
    @pytest.fixture(autouse=True)
    def _another_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COUNTERS_ATHENA_LOG", str(tmp_path / "view"))


# The same on PostgreSQL


class OnPostgres:
    postgres = True


class TestApplicationRecorderOnPostgres(OnPostgres, TestApplicationRecorder): ...


class TestTrackingRecorderOnPostgres(OnPostgres, TestTrackingRecorder): ...


class TestProcessRecorderOnPostgres(OnPostgres, TestProcessRecorder): ...


class TestNonInterleavingOnPostgres(OnPostgres, TestNonInterleaving): ...


class TestSnapshotRecorderOnPostgres(OnPostgres, TestSnapshotRecorder): ...


class TestFactoryOnPostgres(OnPostgres, TestFactory): ...


class TestExampleApplicationOnPostgres(OnPostgres, TestExampleApplication): ...


class TestApplicationOnPostgres(OnPostgres, TestApplication): ...


class TestEventCountersViewOnPostgres(OnPostgres, TestEventCountersView): ...


class TestProjectionInTheSameDatabase(OnPostgres, TestProjectionInTheSameFile): ...


class TestEventSourcedProjectionOnPostgres(OnPostgres, TestEventSourcedProjection): ...


# Beyond the test cases


def stored(version: int, *, stream: str = "a", topic: str = "began", state: bytes = b"{}") -> es.StoredEvent:
    return es.StoredEvent(originator_id=stream, originator_version=version, topic=topic, state=state)


@pytest.mark.parametrize("versions", [(0, 1, 2), (1, 2), (7, 8)])
def test_the_first_version_is_free_and_each_one_after_is_one_more(tmp_path: Path, versions: tuple[int, ...]) -> None:
    log = recorder(tmp_path)
    assert log.insert_events([stored(version) for version in versions]) == list(range(1, len(versions) + 1))
    for wrong in (-1, versions[0] - 1, versions[-1], versions[-1] + 2):
        with pytest.raises(es.IntegrityError):
            log.insert_events([stored(0, stream="b"), stored(wrong)])
    assert log.insert_events([stored(versions[-1] + 1)]) == [len(versions) + 1]
    assert [event.originator_id for event in log.select_notifications(None, 100)] == ["a"] * (len(versions) + 1)


def test_a_negative_first_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(es.IntegrityError):
        recorder(tmp_path).insert_events([stored(-1)])


def test_events_and_the_place_that_they_follow_are_one_transaction(tmp_path: Path) -> None:
    log = recorder(tmp_path)
    log.insert_events([stored(1)], tracking=es.Tracking("upstream", 5), ignored="keyword")
    with pytest.raises(es.IntegrityError):
        log.insert_events([stored(2)], tracking=es.Tracking("upstream", 5))
    with pytest.raises(es.IntegrityError):
        log.insert_events([stored(1)], tracking=es.Tracking("upstream", 6))
    assert (log.max_notification_id(), log.max_tracking_id("upstream")) == (1, 5)


def test_events_are_read_as_they_were_stored(tmp_path: Path) -> None:
    log = recorder(tmp_path)
    log.insert_events([stored(1), stored(2)])
    assert log.select_events("a") == [stored(1), stored(2)]
    assert log.select_events("a", desc=True, limit=1) == [stored(2)]
    assert log.select_events("a", gt=1, lte=1) == []
    assert log.select_events("a")[0] != stored(1, state=b"[]")


def test_the_chain_of_a_log_of_ones_own_verifies(tmp_path: Path) -> None:
    log = recorder(tmp_path)
    log.insert_events([stored(1), stored(2)])
    log.insert_events([stored(1, stream="b", state=b"\x00\xff not JSON")])
    log.close()
    assert [row.position for row in rows(tmp_path)] == [1, 2, 3]
    assert {row.actor for row in rows(tmp_path)} == {"system:eventsourcing"}


def test_time_never_goes_back(tmp_path: Path) -> None:
    clock = FixedClock()
    log = Recorder(store_at(tmp_path), clock=clock, ids=CountingIds())
    log.insert_events([stored(1)])
    clock.advance(-60_000)
    log.insert_events([stored(2)])
    assert [row.position for row in rows(tmp_path)] == [1, 2]


def test_values_that_cannot_be_stored_are_errors_of_eventsourcing(tmp_path: Path) -> None:
    log = recorder(tmp_path)
    with pytest.raises(es.DataError):
        log.insert_events([stored(1, stream="\ud800")])
    with pytest.raises(es.DataError):
        log.insert_events([stored(2**63)])
    log.close()
    with pytest.raises(es.InterfaceError):
        log.max_notification_id()


def test_a_subscription_wakes_for_another_recorder_of_the_file(tmp_path: Path) -> None:
    reading, writing = recorder(tmp_path), recorder(tmp_path)
    assert reading.signal is writing.signal
    received: list[int] = []
    with reading.subscribe(gt=1, topics=["ended"]) as subscription:

        def read() -> None:
            received.extend(event.id for event in subscription)

        thread = threading.Thread(target=read)
        thread.start()
        writing.insert_events([stored(1, topic="ended"), stored(2)])
        writing.insert_events([stored(3), stored(4, topic="ended")])
        until(lambda: received == [4])
        subscription.stop()
        thread.join(timeout=10)
        assert not thread.is_alive()
    assert received == [4]


def test_a_subscription_reads_more_than_a_page_and_skips_hidden_events(tmp_path: Path) -> None:
    log = recorder(tmp_path)
    log.insert_events([stored(n, topic="ended" if n % 2 else "began") for n in range(1, 2_201)])
    with log.subscribe(topics=["ended"]) as subscription:
        assert [next(subscription).id for _ in range(1_100)] == list(range(1, 2_201, 2))
        assert log.insert_events([stored(2_201, topic="ended")]) == [2_201]
        assert next(subscription).id == 2_201


def test_hidden_events_are_read_once(tmp_path: Path) -> None:
    log = recorder(tmp_path)
    log.insert_events([stored(1), stored(2)])
    subscription = log.subscribe(topics=["ended"])
    assert [subscription._turn(), subscription._turn()] == [True, False]


def until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    while not condition():
        pause.wait(0.002)


# Following the plane


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    found = Log(store_at(tmp_path), Codec(EVENTS), DECIDERS, clock=FixedClock(), ids=CountingIds())
    found.start()
    yield found
    found.close()


def submit(log: Log, *facts: Fact, erase: tuple[int, ...] = ()) -> int:
    return log.submit_in_thread(lambda reader, context: Outcome(facts=facts, erase=erase), META).position


def created(number: int) -> Fact:
    """Return a directive with text."""
    event = DirectiveCreated(
        directive_id=f"dir_{number}", has_context_refs=False, has_metadata=False, input=f"do {number}"
    )
    return Fact(stream=f"dir_{number}", event=event)


class Tags(Recorder):
    """A view that counts events by tag and stores the inputs."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.seen: dict[str, int] = {}
        self.inputs: list[str | None] = []

    def add(self, tag: str, tracking: es.Tracking) -> None:
        self.seen[tag] = self.seen.get(tag, 0) + 1
        self.insert_tracking(tracking)


class CountTags(ep.Projection[Tags]):
    """A projection by tag, with a handler of its own for directives."""

    name = "tags"

    @singledispatchmethod
    def process_event(self, event: Any, tracking: es.Tracking) -> None:
        self.view.add(event.type if isinstance(event, Unknown) else event.TYPE, tracking)

    @process_event.register
    def created(self, event: DirectiveCreated, tracking: es.Tracking) -> None:
        self.view.inputs.append(event.input)
        self.view.add(event.TYPE, tracking)


class Athena(ea.Application[str]):
    """The plane as an eventsourcing application."""

    name = "athena"


def follow(directory: Path, mapper: type[AthenaMapper] = AthenaMapper) -> ep.ProjectionRunner[Athena, Tags]:
    env = environment(directory, MAPPER_TOPIC=get_topic(mapper))
    return ep.ProjectionRunner(application_class=Athena, projection_class=CountTags, view_class=Tags, env=env)


def test_a_projection_follows_the_planes_log_by_tag(tmp_path: Path, log: Log) -> None:
    submit(log, created(1), Fact(stream=session.stream("s"), event=SessionCreated(session_id="s")))
    with follow(tmp_path) as runner:
        head = submit(log, created(2), created(3))
        runner.wait(head, timeout=30)
        assert runner.view.seen == {"directive.created": 3, "session.created": 1}
        assert runner.view.inputs == ["do 1", "do 2", "do 3"]
    with follow(tmp_path) as again:
        again.wait(submit(log, created(4)), timeout=30)
        assert again.view.seen == {"directive.created": 1}


def test_a_projection_sees_erased_text_as_none_and_unknown_tags_as_such(tmp_path: Path, log: Log) -> None:
    class Renamed(Event):
        TYPE: ClassVar[str] = "plane.renamed"

    submit(log, created(1))
    erased = Fact(stream=plane.STREAM, event=plane.PayloadRedacted(target=1, note="asked"))
    submit(log, erased, erase=(1,))
    newer = Log(store_at(tmp_path), Codec((*EVENTS, Renamed)), DECIDERS, clock=FixedClock(), ids=CountingIds())
    newer.start()
    head = submit(newer, Fact(stream=plane.STREAM, event=Renamed()))
    newer.close()
    with follow(tmp_path) as runner:
        runner.wait(head, timeout=30)
        assert runner.view.seen == {"directive.created": 1, "payload.redacted": 1, "plane.renamed": 1}
        assert runner.view.inputs == [None]


def test_the_other_mapper_gives_the_envelope(tmp_path: Path, log: Log) -> None:
    submit(log, created(1))
    application = Athena(environment(tmp_path, MAPPER_TOPIC=get_topic(RecordedMapper)))
    found: object = application.mapper.to_domain_event(application.recorder.select_notifications(None, 9)[0])
    assert isinstance(found, Recorded)
    assert (found.position, found.stream, found.actor) == (1, "dir_1", "ada")
    assert found.event == created(1).event
    application.close()


def test_the_planes_log_is_not_written_by_eventsourcing(tmp_path: Path, log: Log) -> None:
    submit(log, created(1))
    foreign = recorder(tmp_path)
    with pytest.raises(es.NotSupportedError, match="the plane's log"):
        foreign.insert_events([stored(1)])
    foreign.insert_tracking(es.Tracking("athena", 1))
    with pytest.raises(es.NotSupportedError):
        AthenaMapper().to_stored_event(created(2).event)  # type: ignore[arg-type]
    assert submit(log, created(2)) == 2


def test_a_damaged_or_foreign_event_is_an_error_of_the_mapper(tmp_path: Path) -> None:
    log = recorder(tmp_path)
    log.insert_events([stored(1, topic="directive.created", state=b"{")])
    for event in (log.select_events("a")[0], stored(1)):
        with pytest.raises(es.MapperDeserialisationError):
            AthenaMapper().to_domain_event(event)


def test_two_followers_of_one_file_keep_their_own_places(tmp_path: Path) -> None:
    first, second = (
        Recorder(store_at(tmp_path), clock=FixedClock(), ids=CountingIds(), name=name) for name in ("first", "second")
    )
    first.insert_tracking(es.Tracking("athena", 7))
    assert (first.max_tracking_id("athena"), second.max_tracking_id("athena")) == (7, None)
