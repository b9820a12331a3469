"""The views of schedules: a replay gives the same rows for any history, with redactions."""

import tempfile
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from athena_core.domain import schedule
from projections.audit import AUDIT
from projections.schedule_rows import SCHEDULES, SLOT
from tests.projections.history import FIRST_OF_SCHEDULES, MOVES, History
from tests.projections.support import catch_up, digests, new_generation
from tests.scale import sized

SHOWN = (SCHEDULES, AUDIT)
REDACTION = -1
LATELY = 5
KINDS = st.sampled_from([*range(FIRST_OF_SCHEDULES, MOVES), REDACTION, REDACTION])
HISTORIES = st.lists(st.tuples(KINDS, st.integers(0, 99)), min_size=30, max_size=60)


def test_generated_histories_have_every_event_of_schedules() -> None:
    random = Random(1)
    history = History().play((random.randrange(FIRST_OF_SCHEDULES, MOVES), random.randrange(100)) for _ in range(600))
    assert {row.type for row in history.written} == {event.TYPE for event in schedule.DECIDER.events}


@settings(deadline=None, max_examples=sized(20, 40, 300))
@given(HISTORIES, st.integers(1, 7))
def test_followed_live_or_replayed_schedules_are_the_same(moves: list[tuple[int, int]], every: int) -> None:
    history = History()
    with tempfile.TemporaryDirectory() as path:
        live = new_generation(Path(path) / "live.db", history, SHOWN)
        for number, (kind, choice) in enumerate(moves):
            if kind != REDACTION:
                history.play([(kind, choice)])
            elif history.written:
                history.redact(history.head() - choice % min(history.head(), LATELY))
            if number % every == 0:
                catch_up(live)
        catch_up(live)
        assert all(checkpoint.error is None for checkpoint in live.checkpoints.values())
        replayed = new_generation(Path(path) / "replayed.db", history, SHOWN)
        catch_up(replayed)
        assert digests(live.connection, SHOWN) == digests(replayed.connection, SHOWN)
        slots = [SLOT.load(values) for values in live.connection.execute(SLOT.all)]
        live.connection.close()
        replayed.connection.close()
    told = {key: [slot for slot in slots if slot.schedule_id == key] for key in history.schedules.states}
    for key, state in history.schedules.states.items():
        assert {slot.run_id for slot in told[key] if slot.status == "running"} == {
            flight.target_run_id for flight in state.running
        }
        assert [slot.slot_ms for slot in told[key] if slot.status == "buffered"] == list(state.buffer)
