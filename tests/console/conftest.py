"""The browser and the server that the tests of a module share."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.console.browser import MISSING, chromium
from tests.console.elements import live
from tests.console.scene import Scene, set_up


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium; a machine without it skips and says so."""
    if MISSING:
        pytest.skip(MISSING)
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def scene(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A server with models and an empty log."""
    with set_up(tmp_path_factory.mktemp("console")) as found:
        yield found


@pytest.fixture
def page(browser: Any, scene: Scene) -> Iterator[Any]:
    """A page on the fleet."""
    with live(browser, scene.server.url) as found:
        yield found
