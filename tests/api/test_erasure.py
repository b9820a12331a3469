"""Erasure: the files are rewritten for a text that was erased, and not for who asks again."""

from pathlib import Path

from tests.support.inside import Inside


def test_a_note_that_was_forgotten_costs_one_pass_however_often_it_is_asked(tmp_path: Path) -> None:
    inside = Inside(tmp_path, scheduler="off", memory_enabled="true")
    inside.start()
    try:
        passes: list[float] = []
        inside.app.plane.erasure.recall.scrub = passes.append  # type: ignore[assignment]
        for _ in range(2):
            entry = inside.ask("POST", "/memory", {"text": "the code is 7731"}).json()["data"]["id"]
            for _ in range(3):
                assert "left" not in inside.ask("DELETE", f"/memory/{entry}").json()["data"]
        assert len(passes) == 2
    finally:
        inside.stop()
