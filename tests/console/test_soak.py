"""The console under a flood: 1,000 events a second keep it responsive, and its heap where it was."""

import threading
import time
from bisect import bisect_left
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.console.browser import IN_A_BROWSER, watched
from tests.console.elements import LIVE, go
from tests.console.replay import Replay, record, replaying
from tests.scale import sized
from tests.support.server import Server

pytestmark = [*IN_A_BROWSER, pytest.mark.timeout(1_200)]

RATE = 1_000
SECONDS = sized(8, 15, 600)
RUNS = 50
LONG_TASK_MS = 200
HEAP_GROWTH_BYTES = 4 << 20
HEAP_BYTES_MAX = 16 << 20
SAMPLE_SECONDS = 0.02
OBSERVER = """
window.tasks = [];
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) {
    window.tasks.push([performance.timeOrigin + task.startTime, task.duration]);
  }
}).observe({ type: "longtask", buffered: true });
"""


class Work(threading.Thread):
    """The CPU time of a thread of another process over time; waiting does not count."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self._path = Path(f"/proc/{process}/schedstat")
        self._times: list[float] = []
        self._worked: list[float] = []
        self._over = threading.Event()

    def run(self) -> None:
        with suppress(FileNotFoundError):  # the process has ended, because the test has failed
            while not self._over.wait(SAMPLE_SECONDS):
                worked = int(self._path.read_text().split()[0]) / 1e6
                self._times.append(time.time() * 1_000)
                self._worked.append(worked)

    def stop(self) -> None:
        self._over.set()
        self.join()

    def between(self, begin: float, end: float) -> float:
        """Return the CPU time between two times, in milliseconds (the times since 1970): at most their distance."""
        return min(self._until(end) - self._until(begin), end - begin)

    def _until(self, at: float) -> float:
        after = min(max(bisect_left(self._times, at), 1), len(self._times) - 1)
        (start, had), (end, has) = ((self._times[index], self._worked[index]) for index in (after - 1, after))
        return had + (has - had) * min(max((at - start) / (end - start), 0.0), 1.0)


def test_work_is_what_was_done_between_two_times() -> None:
    work = Work(1)
    work._times, work._worked = [0.0, 100.0, 200.0], [0.0, 10.0, 110.0]
    assert [work.between(*times) for times in pairwise((0, 100, 150, 200))] == [10, 50, 50]


def renderer(browser: Any, page: Any) -> int:
    """The process that shows the page: of all that show one, it works while the page does."""

    def spent() -> dict[int, float]:
        found = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
        return {int(one["id"]): one["cpuTime"] for one in found if one["type"] == "renderer"}

    before = spent()
    page.evaluate("() => { let sum = 0; for (let step = 0; step < 3e8; step++) sum += step % 7; return sum; }")
    return max((after := spent()), key=lambda one: after[one] - before.get(one, 0.0))


def test_a_thousand_events_a_second_make_no_long_task_and_no_larger_heap(browser: Any, tmp_path: Path) -> None:
    with Server(tmp_path / "recorded") as server:
        events = record(server.api, RUNS)
        head, log_id = server.api.head(), server.api.get("/capabilities")["logId"]
        replay = Replay(server.url, events, log_id, RATE)
        with replaying(replay, head) as url, watched(browser, url) as page:
            tool = page.context.new_cdp_session(page)
            page.add_init_script(OBSERVER)
            page.goto("/")
            page.locator(LIVE).wait_for()
            work = Work(renderer(browser, page))
            work.start()
            heaps, longest = [], []
            places = ("fleet", "runs", "events", f"runs/{events[-1]['runId']}", "fleet")
            for place in places:
                go(page, place)
                page.evaluate("window.tasks = []")  # a page that is opened may take its time
                page.wait_for_timeout(SECONDS * 1_000 / len(places))
                tasks = page.evaluate("window.tasks")
                page.wait_for_timeout(SAMPLE_SECONDS * 3_000)
                worked = [work.between(begin, begin + took) for begin, took in tasks]
                if place == "events":
                    shown = page.locator(".events > li").evaluate_all("rows => rows.map(row => +row.dataset.position)")
                    assert shown == list(range(shown[0], shown[0] - len(shown), -1)), "no event is missing"
                longest.append((max(worked, default=0.0), max((took for _, took in tasks), default=0.0)))
                tool.send("HeapProfiler.collectGarbage")
                heaps.append(tool.send("Runtime.getHeapUsage")["usedSize"])
            work.stop()
            replay.last = replay.position
            page.locator(f'.pulse[data-position="{replay.last}"]').wait_for()
            seen = replay.last - head
            told = ", ".join(
                f"{place} {cpu:.0f} ms of work in {wall:.0f} ms, {heap / 1e6:.1f} MB"
                for place, (cpu, wall), heap in zip(places, longest, heaps, strict=True)
            )
            print(f"{seen:,} events of {seen * RUNS // len(events):,} runs; the longest tasks and the heap: {told}")
            assert seen >= SECONDS * RATE * 0.8, "the replay was not as fast as it was meant to be"
            assert max(cpu for cpu, _ in longest) < LONG_TASK_MS, told
            assert heaps[-1] < heaps[0] + HEAP_GROWTH_BYTES, told
            assert max(heaps) < HEAP_BYTES_MAX, told
