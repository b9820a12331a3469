"""The moving picture of the README, filmed from `athena demo`: ``python -m docs.moving_picture``.

It needs Chromium and ``pip install playwright pillow``. It opens the fleet, a run that writes, and kills the server.
"""

import io
import re
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.console.browser import chromium, watched
from tests.support.demo_terminal import terminal

PICTURE = Path(__file__).resolve().parent / "images" / "fleet.webp"
VIEW = {"width": 1280, "height": 960}
SHOWN_WIDTH = 960
FRAME_SECONDS = 0.25
BYTES_MAX = 1_500_000


class Film:
    """Frames of a page, each with the time that it is shown."""

    def __init__(self, page: Any) -> None:
        """Film this page."""
        self._page = page
        self._frames: list[tuple[bytes, float]] = []

    def take(self, seconds: float) -> None:
        """Film for some seconds."""
        end = time.monotonic() + seconds
        while (begun := time.monotonic()) < end:
            shot = self._page.screenshot()
            self._page.wait_for_timeout(1000 * max(0.0, begun + FRAME_SECONDS - time.monotonic()))
            self._frames.append((shot, time.monotonic() - begun))

    def save(self, path: Path) -> None:
        """Write the film as an animated WebP that repeats."""
        from PIL import Image  # noqa: PLC0415 - it is not installed everywhere

        height = round(SHOWN_WIDTH * VIEW["height"] / VIEW["width"])
        images = [
            Image.open(io.BytesIO(shot)).convert("RGB").resize((SHOWN_WIDTH, height), Image.Resampling.LANCZOS)
            for shot, _ in self._frames
        ]
        durations = [round(1000 * min(seconds, 2 * FRAME_SECONDS)) for _, seconds in self._frames]
        durations[-1] = 2500
        images[0].save(
            path,
            save_all=True,
            append_images=images[1:],
            duration=durations,
            loop=0,
            quality=62,
            method=6,
            minimize_size=True,
        )


def main() -> None:
    """Film the demo and write the picture."""
    from playwright.sync_api import expect  # noqa: PLC0415 - it is not installed everywhere

    with tempfile.TemporaryDirectory() as place, terminal(Path(place)) as demo, chromium() as browser:
        url = demo.until(r"Console +(http://\S+)")
        with watched(browser, url, color_scheme="dark") as page:
            page.set_viewport_size(VIEW)
            page.goto("/#/fleet")
            page.wait_for_selector('.pulse[data-state="live"]')
            link = page.locator('.guide [data-step="open"] a')
            expect(link).to_have_attribute("href", re.compile("run_"), timeout=60_000)
            film = Film(page)
            film.take(3)
            link.click()
            page.wait_for_selector("h1")
            film.take(4)
            page.goto("/#/fleet")
            page.evaluate("scrollTo(0, 0)")
            film.take(1.5)
            demo.press("k")
            film.take(4)
            page.wait_for_selector('.pulse[data-state="live"]')
            film.take(4)
        film.save(PICTURE)
    size = PICTURE.stat().st_size
    print(f"wrote {PICTURE.name}: {size:,} bytes")
    if size > BYTES_MAX:
        raise SystemExit(f"the picture is larger than {BYTES_MAX:,} bytes")


if __name__ == "__main__":
    main()
