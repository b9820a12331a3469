"""Tests of the client of the Agent Client Protocol with a real process: the fake agent, well-behaved and not."""

import asyncio
import re
from pathlib import Path

import pytest

from athena_core.agents.acp import AcpDeadlines, ModeRefused
from athena_core.agents.acp_messages import PlanUpdate, ThoughtChunk
from athena_core.agents.tool_calls import FileChange
from athena_core.mask import Mask
from athena_core.outside_text import last_words
from athena_core.rpc.peer import EndState, PeerEnded, PeerLimits, RequestFailed, RequestTimedOut
from tests.support.agent_driver import SOON, fake_agent
from tests.support.agent_model import TOKENS, Calls, Cuts, Hangs, Refuses, Step, agent_model, shell
from tests.support.fake_agent import SWITCHES
from tests.support.witness import Witness

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


async def test_the_output_of_a_terminal_is_a_result(tmp_path: Path) -> None:
    async with (
        agent_model(shell("echo said"), "Done.") as model,
        fake_agent(tmp_path / "home", model, "terminal", "never-asks") as agent,
    ):
        await agent.begin(tmp_path)
        await agent.prompt()
    (call,) = agent.calls
    assert (call.output.exact, call.ran, call.raw_output) == ("said\n", True, None)


async def test_reasoning_a_plan_and_the_changes_of_an_open_call_are_read(tmp_path: Path) -> None:
    async with (
        agent_model(Calls("edit", {"path": "out.txt", "text": "hi"}), "Done.") as model,
        fake_agent(tmp_path / "home", model, "shows-work") as agent,
    ):
        await agent.begin(tmp_path)
        await agent.prompt()
    assert "".join(one.text for one in agent.updates if isinstance(one, ThoughtChunk)) == "I should do this first."
    (plan,) = [one for one in agent.updates if isinstance(one, PlanUpdate)]
    assert [(step.content, step.status) for step in plan.entries] == [
        ("Change the file", "in_progress"),
        ("Run the tests", "pending"),
    ]
    (asked,) = agent.asked
    assert asked.tool_call.content == [{"type": "diff", "path": "out.txt", "oldText": None, "newText": "hi"}]


@pytest.mark.parametrize(
    ("switches", "reason", "asked"),
    [((), "end_turn", 2), (("reject-ends",), "end_turn", 1), (("reject-cancels",), "cancelled", 1)],
)
async def test_a_rejected_call_is_not_made(tmp_path: Path, switches: tuple[str, ...], reason: str, asked: int) -> None:
    async with agent_model(ECHO, "Not done.") as model, fake_agent(tmp_path / "home", model, *switches) as agent:
        await agent.begin(tmp_path)
        agent.answer = "reject_once"
        assert await agent.prompt() == reason
    assert not (tmp_path / "out.txt").exists()
    assert len(model.asked) == asked
    assert [call.status for call in agent.calls] == (["pending"] if switches else ["failed"])


async def test_an_option_for_more_than_one_call_is_never_chosen(tmp_path: Path) -> None:
    async with agent_model(ECHO, "Not done.") as model, fake_agent(tmp_path / "home", model, "only-always") as agent:
        await agent.begin(tmp_path)
        await agent.prompt()
    assert not (tmp_path / "out.txt").exists()


async def test_a_call_without_a_permission_is_seen_once_it_ran(tmp_path: Path) -> None:
    async with agent_model(ECHO, "Done.") as model, fake_agent(tmp_path / "home", model, "never-asks") as agent:
        await agent.begin(tmp_path)
        await agent.prompt()
    (call,) = agent.calls
    assert (call.asked, call.ran) == (False, True)


async def test_several_permissions_are_open_at_once(tmp_path: Path) -> None:
    async with agent_model(ECHO, "Done.") as model, fake_agent(tmp_path / "home", model, "asks-many=40") as agent:
        await agent.begin(tmp_path)
        agent.answer = None
        prompt = asyncio.create_task(agent.prompt())
        await agent.waiting.wait()
        while len(agent.asked) < 32:
            await asyncio.sleep(0)
        assert agent.client.peer.waiting
        await agent.client.cancel()
        assert await prompt == "cancelled"
    assert len(agent.asked) == 32  # the others were refused


@pytest.mark.parametrize("switches", [(), ("cancel-needs-answer",)])
async def test_a_turn_is_cancelled_while_a_permission_is_open(tmp_path: Path, switches: tuple[str, ...]) -> None:
    async with agent_model(ECHO, "Again.") as model, fake_agent(tmp_path / "home", model, *switches) as agent:
        await agent.begin(tmp_path)
        agent.answer = None
        prompt = asyncio.create_task(agent.prompt())
        await agent.waiting.wait()
        await agent.client.cancel()
        assert await prompt == "cancelled"
        assert agent.withdrawn == 1
        assert await agent.prompt("again") == "end_turn"  # the session can be used
    assert not (tmp_path / "out.txt").exists()


async def test_a_turn_is_cancelled_while_the_model_answers(tmp_path: Path) -> None:
    async with agent_model(Hangs("Thinking")) as model, fake_agent(tmp_path / "home", model) as agent:
        await agent.begin(tmp_path)
        prompt = asyncio.create_task(agent.prompt())
        await agent.heard.wait()
        await agent.client.cancel()
        assert await prompt == "cancelled"
        assert agent.text == "Thinking"


async def test_a_turn_is_cancelled_while_a_tool_runs(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "witness")
    script = f'exec 3>"{witness.path}"; echo > started; sleep 1000'
    async with agent_model(shell(script), "No.") as model, fake_agent(tmp_path / "home", model) as agent:
        await agent.begin(tmp_path)
        prompt = asyncio.create_task(agent.prompt())
        while not (tmp_path / "started").exists():
            await asyncio.sleep(0.005)
        await agent.client.cancel()
        assert await prompt == "cancelled"
        assert await witness.all_gone()


async def test_an_agent_that_ignores_a_cancel_is_left_with_its_tool(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "witness")
    script = f'exec 3>"{witness.path}"; echo > started; sleep 1000'
    switches = ("ignores-cancel", f'leaves-children=exec 3>"{witness.path}"; sleep 1000')
    async with agent_model(shell(script)) as model, fake_agent(tmp_path / "home", model, *switches) as agent:
        await agent.begin(tmp_path)
        prompt = asyncio.create_task(agent.prompt(seconds=0.5))
        while not (tmp_path / "started").exists():
            await asyncio.sleep(0.005)
        await agent.client.cancel()
        with pytest.raises(RequestTimedOut):
            await prompt
        assert agent.client.peer.ending is None
    assert await witness.all_gone()  # the end of the child ended them


@pytest.mark.parametrize("when", ["", "tool", "ask"])
async def test_an_agent_that_dies_ends_the_conversation_and_leaves_nothing(tmp_path: Path, when: str) -> None:
    witness = Witness(tmp_path / "witness")
    switches = (f"die={when}", f'leaves-children=exec 3>"{witness.path}"; sleep 1000')
    script = f'exec 3>"{witness.path}"; sleep 1000'
    async with agent_model(shell(script)) as model, fake_agent(tmp_path / "home", model, *switches) as agent:
        await agent.begin(tmp_path)
        with pytest.raises(PeerEnded, match="output-closed"):
            await agent.prompt()
        await agent.child.exited.wait()
        assert await witness.all_gone()
        assert agent.child.ending() == "killed by signal 9"


async def test_the_last_words_of_an_agent_that_exits_are_kept(tmp_path: Path) -> None:
    switches = ("exit=3", "complains=1000000")
    async with agent_model("No.") as model, fake_agent(tmp_path / "home", model, *switches) as agent:
        await agent.begin(tmp_path)
        with pytest.raises(PeerEnded, match="output-closed"):
            await agent.prompt()
        await agent.child.exited.wait()
        ending = agent.child.ending(last_words(Mask()))
        assert ending.startswith("exit status 3: ")
        assert ending.endswith("the agent gives up")


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


def test_each_switch_of_the_fake_agent_is_tried() -> None:
    places = (Path(__file__), *(Path(__file__).parents[2] / "api" / "runs").glob("test_*agent*.py"))
    text = "".join(path.read_text("utf-8") for path in places)
    assert [switch for switch in SWITCHES if not re.search(f"[\"']{switch}\\b", text)] == []


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


@pytest.mark.parametrize("step", [Refuses(), Refuses(500), Cuts("Half an")])
@pytest.mark.parametrize("lies", [False, True])
async def test_a_failed_call_of_the_model_may_look_like_an_end(tmp_path: Path, step: Step, lies: bool) -> None:
    switches = ("end-turn-after-failure",) if lies else ()
    async with agent_model(step) as model, fake_agent(tmp_path / "home", model, *switches, "retries=2") as agent:
        await agent.begin(tmp_path)
        if lies:  # so the gateway decides, not the agent
            assert await agent.prompt() == "end_turn"
        else:
            with pytest.raises(RequestFailed) as failed:
                await agent.prompt()
            assert failed.value.message.exact.startswith("Internal error")
        assert agent.client.peer.ending is None
    assert (len(model.asked), model.answered) == (3, 0)


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


@pytest.mark.parametrize(("switch", "reason"), [("withdraws", "end_turn"), ("abandons", "end_turn")])
async def test_a_permission_that_the_agent_gives_up_is_withdrawn(tmp_path: Path, switch: str, reason: str) -> None:
    async with agent_model(ECHO, "Not done.") as model, fake_agent(tmp_path / "home", model, switch) as agent:
        await agent.begin(tmp_path)
        agent.answer = None
        assert await agent.prompt() == reason
        while agent.client.peer.waiting:
            await asyncio.sleep(0)
        assert agent.withdrawn == 1
    assert not (tmp_path / "out.txt").exists()


@pytest.mark.parametrize("offered", [False, True])
async def test_a_question_is_asked_only_if_it_was_offered(tmp_path: Path, offered: bool) -> None:
    async with (
        agent_model("Done.") as model,
        fake_agent(tmp_path / "home", model, "question", questions=offered) as agent,
    ):
        await agent.begin(tmp_path)
        assert await agent.prompt() == "end_turn"
    assert agent.text == ('{"action": "accept", "content": {"color": "red"}}' if offered else "") + "Done."
