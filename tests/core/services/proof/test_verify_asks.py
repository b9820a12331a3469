"""Asks in the verification: every legal course passes, with and without text."""

from tests.support.ask_breaches import HIDING, OPENED, lives_with_asks
from tests.support.breach import BEGUN
from tests.support.events.ask import EDITED, EXPIRES, PERMISSION, PUSHED_DRY, answered
from tests.support.forged_log import Forge


def test_every_legal_course_of_asks_verifies(forge: Forge) -> None:
    lives_with_asks(forge)
    report = forge.report()
    assert report.violations == ()
    assert report.open_runs == 1
    assert ("ask", "ask_8", ["run_2", EXPIRES]) in [
        (kind, key, list(value)) for kind, key, value in forge.store.guards()
    ]


def test_an_erased_text_condemns_no_call(forge: Forge) -> None:
    forge.add("run_1", *BEGUN, PERMISSION, EDITED, PUSHED_DRY)
    for position in (4, 5, 6):
        forge.erase(position)
    assert forge.report().violations == ()


def test_an_allow_after_an_opening_verifies(forge: Forge) -> None:
    forge.add("run_1", *BEGUN, HIDING, OPENED, answered())
    assert forge.report().violations == ()
