"""Tests of the client of the Agent Client Protocol with a real process: the fake agent, well-behaved and not."""

import asyncio
from pathlib import Path

import pytest

from athena_core.agents.acp import AcpDeadlines, ModeRefused
from athena_core.agents.tool_calls import FileChange
from athena_core.rpc.peer import EndState, PeerEnded, PeerLimits, RequestTimedOut
from tests.support.agent_driver import SOON, fake_agent
from tests.support.agent_model import TOKENS, Calls, Step, agent_model, shell

EDIT = Calls("edit", {"path": "out.txt", "text": "hi\n"})
ECHO = shell("echo hi > out.txt")
IMPATIENT = PeerLimits(line_bytes=100_000, write_seconds=0.2)
SILENCE_SECONDS = 0.3


@pytest.mark.parametrize("wire", ["openai-chat", "openai-responses", "anthropic", "gemini"])
async def test_a_permitted_call_is_made_and_the_turn_ends(tmp_path: Path, wire: str) -> None:
    async with (
        agent_model(shell("echo hi > out.txt; echo said"), "It is done.") as model,
        fake_agent(tmp_path / "home", model, f"wire={wire}") as agent,
    ):
        assert await agent.begin(tmp_path) == "new"
        assert await agent.prompt() == "end_turn"
    assert (tmp_path / "out.txt").read_text() == "hi\n"
    assert agent.text == "It is done."
    assert agent.client.info.name == "fake"
    (call,) = agent.calls
    assert (call.asked, call.status, call.kind, call.output.exact) == (True, "completed", "execute", "said\n")
    assert agent.asked[0].tool_call.raw_input == {"command": "echo hi > out.txt; echo said"}
    assert (model.answered, len(model.asked)) == (2, 2)


@pytest.mark.parametrize("switch", ["no-tool-call", "early-progress", "blank-lines", "split-writes", "mode-reported"])
async def test_a_harmless_habit_changes_nothing(tmp_path: Path, switch: str) -> None:
    async with agent_model(EDIT, "Done.") as model, fake_agent(tmp_path / "home", model, switch) as agent:
        await agent.begin(tmp_path)
        assert await agent.prompt() == "end_turn"
    (call,) = agent.calls
    assert (call.asked, call.status, call.kind, call.title) == (True, "completed", "edit", "out.txt")
    assert list(call.changes) == [FileChange("out.txt", None, "hi\n")]


@pytest.mark.parametrize(
    ("switches", "opening"),
    [
        ((), "resumed"),
        (("no-resume",), "replayed"),
        (("resume-refused",), "replayed"),
        (("resume-silent",), "replayed"),
        (("resume-refused", "load-refused"), "new"),
        (("no-resume", "no-load"), "new"),
    ],
)
async def test_a_session_is_taken_up_after_a_kill(tmp_path: Path, switches: tuple[str, ...], opening: str) -> None:
    async with agent_model(shell("echo made >> out.txt"), "Done.") as model:
        async with fake_agent(tmp_path / "home", model, "die=ask") as agent:
            await agent.begin(tmp_path)
            with pytest.raises(PeerEnded):
                await agent.prompt()
            previous = agent.client.session_id
        hasty = SOON._replace(resume=0.3)
        async with fake_agent(tmp_path / "home", model, *switches, deadlines=hasty) as agent:
            assert await agent.begin(tmp_path, previous) == opening
            assert agent.text == ""  # what it replays is not passed on
            assert await agent.prompt("Go on.") == "end_turn"
            assert agent.client.mode == "default"
    made = (tmp_path / "out.txt").exists()
    assert made == (opening == "new")  # a taken-up session knows of the call that was interrupted
    assert agent.client.ignored["replay"] == (2 if opening == "replayed" else 0)


async def test_a_session_that_the_agent_forgot_is_begun_again(tmp_path: Path) -> None:
    async with agent_model("Done.") as model:
        async with fake_agent(tmp_path / "home", model, "forgets") as agent:
            await agent.begin(tmp_path)
            await agent.prompt()
            previous = agent.client.session_id
        async with fake_agent(tmp_path / "home", model, "memory=1") as agent:
            assert await agent.begin(tmp_path, previous) == "new"
            assert agent.client.session_id != previous


@pytest.mark.parametrize(
    ("switch", "state", "script"),
    [
        ("bad-json", "invalid-json", ["-"]),
        ("deep-json", "invalid-json", ["-"]),
        ("bad-utf8", "invalid-message", ["-"]),
        ("not-rpc", "invalid-message", ["-"]),
        ("bad-update", "invalid-message", ["-"]),
        ("same-id", "invalid-message", ["-"]),
        ("huge-line=100001", "line-too-long", ["-"]),
        ("endless-line", "line-too-long", ["-"]),
        ("half-line", "output-closed", ["-"]),
        ("close-output", "output-closed", ["-"]),
        ("unasked-answer", "unknown-answer", ["-"]),
        ("silence", "silent", ["-"]),
        ("mode-drift", "mode-changed", [ECHO, "-"]),
    ],
)
async def test_broken_traffic_ends_in_its_state(
    tmp_path: Path, switch: str, state: EndState, script: list[Step]
) -> None:
    limits = PeerLimits() if switch == "deep-json" else IMPATIENT
    async with (
        agent_model(*script) as model,
        fake_agent(tmp_path / "home", model, switch, limits=limits) as agent,
    ):
        await agent.begin(tmp_path)
        agent.answer = None if switch == "same-id" else agent.answer
        silence = SILENCE_SECONDS if switch == "silence" else None
        with pytest.raises(PeerEnded) as raised:
            await agent.prompt(silence_seconds=silence)
        assert raised.value.ending.state == state
        assert "'auto'" not in raised.value.ending.detail  # the mode to which it drifts
        assert agent.client.peer.ending == raised.value.ending
        assert agent.client.peer.ended.is_set()
        with pytest.raises(PeerEnded):
            await agent.client.cancel()
            await agent.client.peer.notify("anything", None)


async def test_an_agent_that_never_starts_times_out(tmp_path: Path) -> None:
    deadlines = AcpDeadlines(initialize=0.2)
    async with (
        agent_model("-") as model,
        fake_agent(tmp_path / "home", model, "silence=start", deadlines=deadlines) as agent,
    ):
        with pytest.raises(RequestTimedOut, match=r"no answer to initialize within 0.2 s"):
            await agent.begin(tmp_path)


async def test_an_agent_of_another_version_is_refused(tmp_path: Path) -> None:
    async with agent_model("-") as model, fake_agent(tmp_path / "home", model, "old-protocol") as agent:
        with pytest.raises(PeerEnded, match="protocol-version: It speaks version 2 of the protocol, not 1"):
            await agent.begin(tmp_path)


async def test_an_agent_that_reads_nothing_is_given_up(tmp_path: Path) -> None:
    async with agent_model("-") as model, fake_agent(tmp_path / "home", model, "deaf", limits=IMPATIENT) as agent:
        await agent.begin(tmp_path, mode=None)
        with pytest.raises(PeerEnded, match="input-blocked"):
            await agent.prompt("x" * 1_000_000)


@pytest.mark.parametrize(
    ("switch", "reason"),
    [
        ("mode-deaf", r"accepted the mode 'default' but reports 'auto'"),
        ("mode-refused", r"refused the mode 'default': Internal error"),
        ("no-modes", r"has no mode 'default'. It offers no modes"),
    ],
)
async def test_a_mode_that_cannot_be_had_is_refused(tmp_path: Path, switch: str, reason: str) -> None:
    async with agent_model("-") as model, fake_agent(tmp_path / "home", model, switch) as agent:
        with pytest.raises(ModeRefused, match=reason):
            await agent.begin(tmp_path)


async def test_a_mode_can_be_a_setting(tmp_path: Path) -> None:
    async with agent_model(ECHO, "-") as model, fake_agent(tmp_path / "home", model, "modes-as-option") as agent:
        await agent.begin(tmp_path)
        await agent.prompt()
        assert len(agent.asked) == 1  # it would not ask in its own mode
        with pytest.raises(ModeRefused, match="no mode 'yolo'. It offers default, auto"):
            await agent.client.order_mode("yolo")


async def test_what_was_not_offered_is_refused_and_the_turn_goes_on(tmp_path: Path) -> None:
    switches = ("fs-write", "unknown-methods", "unknown-ids", "flood=2000")
    async with agent_model(EDIT, "Done.") as model, fake_agent(tmp_path / "home", model, *switches) as agent:
        await agent.begin(tmp_path)
        assert await agent.prompt() == "end_turn"
    assert agent.client.ignored == {"method": 3, "notification": 1, "update": 1, "session": 2}
    assert agent.text == "Done."
    assert [call.id for call in agent.calls if not call.asked] == ["unheard"]


async def test_calls_of_the_model_outside_of_a_turn_count(tmp_path: Path) -> None:
    switches = ("title-call", "other-model", "late-call", "wrong-usage", "late-updates", "answers-twice")
    async with agent_model(EDIT, "Done.") as model, fake_agent(tmp_path / "home", model, *switches) as agent:
        await agent.begin(tmp_path)
        assert await agent.prompt() == "end_turn"
        while model.answered < 5:
            await asyncio.sleep(0.005)
        assert model.spent == (5 * TOKENS[0], 5 * TOKENS[1])
        while not agent.client.ignored["late"] and agent.text == "Done.":
            await asyncio.sleep(0.005)
        assert agent.text == "Done."
        assert agent.client.peer.ending is None


@pytest.mark.parametrize("offered", [False, True])
async def test_a_question_is_asked_only_if_it_was_offered(tmp_path: Path, offered: bool) -> None:
    async with (
        agent_model("Done.") as model,
        fake_agent(tmp_path / "home", model, "question", questions=offered) as agent,
    ):
        await agent.begin(tmp_path)
        assert await agent.prompt() == "end_turn"
    assert agent.text == ('{"action": "accept", "content": {"color": "red"}}' if offered else "") + "Done."
