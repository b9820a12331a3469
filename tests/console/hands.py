"""The hands of an operator: each key and each click of a task is counted.

The ten tasks of an operator, each a test by keyboard and one by pointer (``pytest -m '' tests/console -k task``):

1. find yesterday's failed runs of one agent that cost over five cents (``test_runs.py``)
2. see why a run failed (``test_run.py``)
3. retry it with another model and compare (``test_run.py``)
4. decide an ask after reading it (``test_run.py``)
5. raise a limit after simulating it (``test_records.py``)
6. stop everything (``test_runs.py``)
7. find who changed the policy, and what the fleet looked like before (``test_records.py``)
8. share a moment (``test_runs.py``, and a moment of a run in ``test_run.py``)
9. follow a live run (``test_run.py``)
10. create a nightly schedule (``test_records.py``)
"""

from typing import Any


class Hands:
    """The keys and clicks on a page. A typed letter is a key, and so is a chord such as Shift+Tab."""

    def __init__(self, page: Any) -> None:
        self.keys = 0
        self.clicks = 0
        self._page = page

    def click(self, target: Any) -> None:
        self.clicks += 1
        target.click()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.keys += 1
            self._page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.keys += len(text)
        self._page.keyboard.type(text)

    def go_to(self, key: str, heading: str) -> None:
        """Open a page by its shortcut; one who waits for a page sees its heading first."""
        self.press("g", key)
        self._page.get_by_role("heading", level=1, name=heading).wait_for()

    def first_field(self) -> None:
        """Focus the first field of the page, once it is there."""
        self._page.locator("main [data-first]").wait_for()
        self.press("/")

    def tab_to(self, target: Any, most: int = 60) -> None:
        """Press Tab until the target has the focus."""
        handle = target.element_handle()
        for _ in range(most):
            if handle.evaluate("one => one === document.activeElement"):
                return
            self.press("Tab")
        raise AssertionError(f"{most} tabs do not reach it")

    def took_at_most(self, *, keys: int = 0, clicks: int = 0) -> None:
        """Fail if the task took more. Without clicks it is one by keyboard; with clicks, keys are what was written."""
        assert (self.keys <= keys, self.clicks <= clicks) == (True, True), f"{self.keys} keys, {self.clicks} clicks"
