"""Tests of a restored log beside the anchor of the former one: it starts, unless the anchor vouches for more."""

from collections.abc import Callable
from pathlib import Path

import pytest

from athena_core.log.anchor import Anchor, read_anchor, write_anchor
from athena_core.log.tools.backup import copy_log, restore_log
from tests.core.log.pots import commit, fill, new_log

FOREIGN = Anchor(log_id="ab" * 8, position=1, chain="00" * 32)


def torn(path: Path) -> None:
    path.write_bytes(b"{}")


def foreign(path: Path) -> None:
    write_anchor(path, FOREIGN)


@pytest.mark.parametrize(("spoil", "forks"), [(Path.unlink, False), (foreign, False), (torn, True)])
def test_a_copy_is_restored_beside_an_anchor_that_vouches_for_nothing_of_it(
    tmp_path: Path, spoil: Callable[[Path], None], forks: bool
) -> None:
    log = new_log(tmp_path)
    commit(log, fill())
    log.close()
    list(copy_log(tmp_path / "log.db", tmp_path / "copy.db"))
    place = tmp_path / "restored"
    place.mkdir()
    anchor = place / "log.anchor"
    foreign(anchor)
    spoil(anchor)
    assert restore_log(tmp_path / "copy.db", place).forks == forks
    again = new_log(place)
    assert (again.anchor.mismatch() is not None) == forks
    again.store.close()
    if not forks:
        assert read_anchor(anchor) == again.anchor.at_head()
    if spoil is foreign:
        assert read_anchor(place / f"{FOREIGN.log_id}.anchor") == FOREIGN
