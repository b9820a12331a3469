"""Planes and servers for the tests between parts, on both databases."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.support.gate import Gate
from tests.support.inside import Inside, plane_on
from tests.support.machine import Machine
from tests.support.model import Model, Step, acting, call
from tests.support.server import Server

Planes: TypeAlias = Callable[..., AbstractContextManager[Inside]]
Servers: TypeAlias = Callable[..., Server]


@pytest.fixture
def planes(tmp_path: Path, machine: Machine, store: dict[str, str]) -> Planes:
    """Start a plane with some settings. All planes of a test share one log."""
    return partial(plane_on, tmp_path, machine.clock, **store)


@pytest.fixture
def servers(tmp_path: Path, store: dict[str, str]) -> Iterator[Servers]:
    """Servers in processes of their own, all on one log."""
    with ExitStack() as stack:

        def start(**settings: Any) -> Server:
            return stack.enter_context(Server(tmp_path, **store | settings))

        yield start


@pytest.fixture
def model() -> Iterator[Model]:
    """A model whose script each test sets."""
    with acting(["done"]) as found:
        yield found


def hold(gate: Gate) -> Step:
    """Return a turn that calls a command which waits at a gate."""
    return call("shell", command=["/bin/sh", "-c", gate.command])
