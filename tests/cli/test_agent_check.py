"""The check of outside agents: each odd habit of the fake agent turns its row red, and no other one."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import pytest

from athena_cli.agent_check.check import SubjectReport, check_subjects, needed
from athena_cli.agent_check.checked_agent import Pace
from athena_cli.agent_check.private_plane import PrivatePlane
from athena_cli.agent_check.report import lines
from athena_cli.agent_check.rows import ROWS
from athena_cli.agent_check.subject import Subject
from athena_core.agents.known import read_agents
from tests.scale import sized
from tests.support.fake_agent import SWITCHES
from tests.support.outside_agents import agents_file
from tests.support.programs import BOXED

PACE = Pace(start=30, resume=5, prompt=20, silence=10, cancel=5)
"""Short deadlines: most odd agents make the check wait for them."""
ODD: Mapping[str, set[str]] = {
    "title-call": {"side-calls"},
    "late-call": {"late-calls"},
    "other-model": {"side-calls"},
    "retries=1": {"repeats"},
    "retries=9": {"repeats", "stops"},
    "end-turn-after-failure": {"admits"},
    "no-tool-call": {"announces"},
    "early-progress": {"progress"},
    "never-asks": {"asks"},
    "only-always": {"once"},
    "reject-ends": {"after-reject"},
    "reject-cancels": {"after-reject"},
    "asks-many=2": {"one-request"},
    "withdraws": {"waits"},
    "abandons": {"waits"},
    "acts-early": {"holds"},
    "ignores-refusal": {"obeys"},
    "ignores-cancel": {"cancels", "cancels-alone"},
    "cancel-needs-answer": {"cancels-alone"},
    "die": {"answers"},
    "die=tool": {"answers"},
    "die=ask": {"answers"},
    "exit=3": {"answers"},
    "close-output": {"answers"},
    "silence": {"answers"},
    "silence=start": {"starts"},
    "leaves-children=sleep 300": {"leaves"},
    "no-resume": {"resumes"},
    "no-load": {"loads"},
    "resume-refused": {"resumes"},
    "resume-silent": {"resumes"},
    "load-refused": {"loads"},
    "forgets": {"resumes", "loads"},
    "no-modes": {"mode"},
    "mode-deaf": {"mode"},
    "mode-refused": {"mode"},
    "mode-drift": {"keeps-mode"},
    "terminal": {"output"},
    "wrong-usage": {"own-usage"},
    "old-protocol": {"version"},
    "fs-write": {"uninvited"},
    "unknown-methods": {"uninvited"},
    "unknown-ids": {"own-session"},
    "bad-update": {"well-formed"},
    "bad-json": {"well-formed"},
    "not-rpc": {"well-formed"},
    "deep-json": {"well-formed"},
    "bad-utf8": {"well-formed"},
    "huge-line=20000000": {"well-formed"},
    "endless-line": {"well-formed"},
    "half-line": {"answers"},
    "unasked-answer": {"well-formed"},
    "answers-twice": {"well-formed"},
    "same-id": {"well-formed"},
    "late-updates": {"quiet"},
    "deaf": {"mode"},
    "mcp-never": {"endpoint", "endpoint-asks", "endpoint-parked"},
    "mcp-asks": {"endpoint", "endpoint-asks", "endpoint-parked"},
    "mcp-once=2": {"endpoint"},
    "mcp-at-once=2": {"endpoint", "endpoint-asks", "endpoint-parked"},
}
"""The red rows of each odd habit. Nothing of the agent can be said after some of them, so the rest is not tried."""
ALLOWED = (
    *("modes-as-option", "mode-reported", "question", "blank-lines", "split-writes", "flood=1000", "complains=5000"),
    "memory=10",
    "shows-work",
    "mcp-silent",
)
"""Habits that the protocol allows. No row is red."""
ELSEWHERE = ("mcp-lies", "mcp-hangs-up")
"""Habits that no row looks at."""
AT_ONCE = 5
"""Fake agents of one server."""


def check(
    directory: Path, habits: Iterable[str], only: Collection[str] = (), *, boxed: bool = False
) -> dict[str, SubjectReport]:
    """Check fake agents with one habit each, all at once. Return the reports by habit; "" is an agent without one."""
    names = {f"fake-{number}": habit for number, habit in enumerate(habits)}
    path = agents_file(directory, {name: [habit] if habit else [] for name, habit in names.items()})
    known = read_agents(path)

    async def work() -> list[SubjectReport]:
        plane = PrivatePlane(directory / "plane", path)
        subjects = []
        for name in names:
            (directory / name).mkdir()
            subjects.append(Subject(known[name], plane, directory / name, PACE, boxed=boxed))
        wanted = needed(only) if only else set(ROWS)
        if all(ROWS[key].stage == "interview" for key in wanted):  # which needs no server
            return await check_subjects(subjects, only, at_once=4)
        async with plane.running():
            return await check_subjects(subjects, only, at_once=8)

    return dict(zip(names.values(), asyncio.run(work()), strict=True))


def red(report: SubjectReport) -> dict[str, str]:
    """Return the red rows of a report with what was seen."""
    return {key: result.seen for key, result in report.results.items() if result.red}


def test_each_switch_of_the_fake_agent_has_a_verdict() -> None:
    named = {habit.partition("=")[0] for habit in (*ODD, *ALLOWED, *ELSEWHERE)} | {"wire"}
    assert named == SWITCHES.keys()
    assert {key for rows in ODD.values() for key in rows} <= ROWS.keys()


def test_the_check_finds_nothing_wrong_with_an_agent_that_behaves_well(tmp_path: Path) -> None:
    found = check(tmp_path, [""], [key for key, row in ROWS.items() if row.stage == "interview"])[""]
    assert {key: result.seen for key, result in found.results.items() if result.result != "ok"} == {}
    assert (found.interview.name, found.interview.version, found.interview.mode) == ("fake", "1.0", "default")
    assert found.interview.start_seconds and found.interview.memory_bytes


REPORT = {
    "ok": False,
    "agent": {"registered": "mine", "name": "Mine", "version": "2.0", "protocolVersion": 1},
    "modes": {"unboxed": "ask", "boxed": None},
    "startSeconds": 0.41,
    "memoryBytes": 293_601_280,
    "sandboxLacks": "bubblewrap is not installed. Install the package bubblewrap.",
    "places": [{"boxed": False, "mode": "ask", "startSeconds": 0.41, "memoryBytes": 293_601_280}],
    "rows": [
        {
            "key": key,
            "title": ROWS[key].title,
            "required": ROWS[key].demand == "required",
            "boxed": False,
            "result": result,
            "detail": seen,
            "remedy": ROWS[key].remedy if result == "differs" else None,
            "seconds": 1.25,
        }
        for key, result, seen in (
            ("starts", "ok", "Mine 2.0, first session after 0.4 s"),
            ("asks", "differs", "It asks for no permission in the mode ask."),
            ("stops", "differs", "It ended after 10 refused calls and 25.0 s."),
            ("allowed", "not tried", "It needs the row 'asks'."),
        )
    ],
}
SHOWN = """\
mine: Mine 2.0, protocol 1

Without a sandbox, mode ask, first session after 0.41 s, 293.6 MB of memory
ROW      WHAT                       RESULT     SEEN                            S
starts   Starts and opens a sessi…  ok         Mine 2.0, first session aft…  1.2
asks     Asks before it acts        differs    It asks for no permission i…  1.2
stops    Stops once its model cal…  differs    It ended after 10 refused c…  1.2
allowed  A permission is asked, a…  not tried  It needs the row 'asks'.      1.2
asks: It asks for no permission in the mode ask. Permissions do not hold this agent back here: rely on the sandbox and \
on budgets.
stops: It ended after 10 refused calls and 25.0 s. Try another version of the agent.

Not tried in a sandbox: bubblewrap is not installed. Install the package bubblewrap.

1 required row is not ok. Athena should not run this agent.
"""


def test_the_report_for_people() -> None:
    assert "".join(f"{line}\n" for line in map(str, lines(REPORT, 80))) == SHOWN


BATCHES = sized(
    quick=[["never-asks"]],
    ci=[["", "never-asks", "reject-ends"]],
    full=[[""], *([*ODD, *ALLOWED][at : at + AT_ONCE] for at in range(0, len(ODD) + len(ALLOWED), AT_ONCE))],
)


@pytest.mark.heavy
@pytest.mark.parametrize("habits", BATCHES, ids=lambda habits: "+".join(habits) or "none")
def test_each_odd_habit_turns_its_row_red_and_no_other_one(tmp_path: Path, habits: list[str]) -> None:
    found = check(tmp_path, habits)
    assert {habit: red(report) for habit, report in found.items() if red(report).keys() != ODD.get(habit, set())} == {}
    for result in found[""].results.values() if "" in found else ():
        assert result.result == "ok" or result.row.boxed, result


@pytest.mark.heavy
@BOXED
@pytest.mark.parametrize("habits", sized([[""]], [[""]], BATCHES), ids=lambda habits: "+".join(habits) or "none")
def test_it_is_the_same_in_a_sandbox(tmp_path: Path, habits: list[str]) -> None:
    found = check(tmp_path, habits, boxed=True)
    assert {habit: red(report) for habit, report in found.items() if red(report).keys() != ODD.get(habit, set())} == {}
    for result in found[""].results.values() if "" in found else ():
        assert result.result == "ok" or result.row.boxed is False, result
