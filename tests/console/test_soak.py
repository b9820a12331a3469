"""The console under a flood: 1,000 events a second keep it responsive, and its heap where it was."""

from pathlib import Path
from typing import Any

import pytest

from tests.console.browser import MISSING, watched
from tests.console.replay import Replay, record, replaying
from tests.scale import sized
from tests.support.server import Server

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.timeout(1_200),
]

RATE = 1_000
SECONDS = sized(8, 32, 600)
RUNS = 50
LONG_TASK_MS = 200
HEAP_GROWTH_BYTES = 4 << 20
OBSERVER = """
window.longest = 0;
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration);
}).observe({ type: "longtask", buffered: true });
"""
PLACES = ("fleet", "runs", "events", "fleet")


def test_a_thousand_events_a_second_make_no_long_task_and_no_larger_heap(browser: Any, tmp_path: Path) -> None:
    with Server(tmp_path / "recorded") as server:
        events = record(server.api, RUNS)
        head, log_id = server.api.head(), server.api.get("/capabilities")["logId"]
        replay = Replay(server.url, events, log_id, RATE)
        with replaying(replay, head) as url, watched(browser, url) as page:
            tool = page.context.new_cdp_session(page)
            page.add_init_script(OBSERVER)
            page.goto("/")
            page.locator('.pulse[data-state="live"]').wait_for()
            heaps, longest = [], []
            for place in PLACES:
                page.goto("/#/" + place)
                page.evaluate("window.longest = 0")  # a page that is opened may take its time
                page.wait_for_timeout(SECONDS * 1_000 / len(PLACES))
                longest.append(page.evaluate("window.longest"))
                tool.send("HeapProfiler.collectGarbage")
                heaps.append(tool.send("Runtime.getHeapUsage")["usedSize"])
            replay.last = replay.position
            page.locator(f'.pulse[data-position="{replay.last}"]').wait_for()
            seen = replay.position - head
            shares = zip(PLACES, longest, heaps, strict=True)
            told = ", ".join(f"{place} {task:.0f} ms {heap / 1e6:.1f} MB" for place, task, heap in shares)
            print(f"{seen:,} events of {seen * RUNS // len(events):,} runs; the longest tasks and the heap: {told}")
            assert seen >= SECONDS * RATE * 0.8, "the replay was not as fast as it was meant to be"
            assert max(longest) < LONG_TASK_MS, told
            assert heaps[-1] < heaps[0] + HEAP_GROWTH_BYTES, told
