"""The hands of an operator: each key and each click of a task is counted."""

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
        """Open a page by its shortcut and focus its first field; one who waits for a page sees its heading first."""
        self.press("g", key)
        self._page.get_by_role("heading", level=1, name=heading).wait_for()
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
