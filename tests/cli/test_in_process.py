"""Tests of the end of a command that works alone: it waits until all of its parts are idle."""

from types import SimpleNamespace
from typing import Any

import pytest

from athena_cli.in_process import is_idle

IDLE = (True, True, True)


@pytest.mark.parametrize("parts", [IDLE, (False, True, True), (True, False, True), (True, True, False)])
def test_a_command_is_done_once_every_part_is_idle(parts: tuple[bool, bool, bool]) -> None:
    tail, reactors, runner = parts
    plane: Any = SimpleNamespace(
        tail=SimpleNamespace(caught_up=tail),
        reactors=SimpleNamespace(idle=reactors),
        runner=SimpleNamespace(idle=runner),
    )
    assert is_idle(plane) == (parts == IDLE)
