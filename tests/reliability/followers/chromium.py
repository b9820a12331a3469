"""Follow the events with the EventSource of Chromium."""

import sys
from typing import Any

from tests.console.browser import chromium

SCRIPT = """
() => {
    const source = new EventSource("/api/v1/events/stream?frames=message");
    source.onmessage = (message) => {
        const { event, data } = JSON.parse(message.data);
        if (event === data.type) console.log(message.lastEventId);
    };
    source.onerror = () => {
        if (source.readyState === EventSource.CLOSED) console.log("it gave up");
    };
}
"""


def seen(message: Any) -> None:
    """Print what the page printed, but not the browser's own messages about lost connections."""
    if message.type == "log":
        print(message.text, flush=True)


with chromium() as browser:
    page = browser.new_page()
    page.on("console", seen)
    page.goto(f"{sys.argv[1]}/livez")
    page.evaluate(SCRIPT)
    page.wait_for_timeout(10**9)
