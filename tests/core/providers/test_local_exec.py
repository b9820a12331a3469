"""Tests of local-exec: real commands, none of whose processes outlives a call."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from athena_core.providers.local_exec import LocalExecProvider
from athena_core.providers.provider import ModelMessage, ModelRequest, ProviderFailure, complete
from athena_core.system.process import Child, environment
from tests.support.witness import Witness

HI = ModelRequest(model="local-exec", messages=(ModelMessage(role="user", content="hi"),))


def shell(script: str, *arguments: str) -> LocalExecProvider:
    return LocalExecProvider("/bin/sh", ("-c", script, *arguments))


async def test_the_default_command_gives_the_only_message_back() -> None:
    answer = await complete(LocalExecProvider(), HI)
    assert (answer.text, answer.reason, answer.usage) == ("hi", "stop", None)


async def test_a_conversation_goes_in_line_by_line() -> None:
    messages = (ModelMessage(role="system", content="be kind"), ModelMessage(role="user", content="hi"))
    answer = await complete(LocalExecProvider(), ModelRequest(model="m", messages=messages))
    assert answer.text == "system: be kind\nuser: hi"


async def test_large_texts_pass_in_both_directions_at_once() -> None:
    text = "zwölf Boxkämpfer\n" * 60_000 + "\ud800"
    answer = await complete(
        LocalExecProvider(),
        ModelRequest(model="m", messages=(ModelMessage(role="user", content=text),), max_output_chars=2_000_000),
    )
    assert answer.text == text.replace("\ud800", "\ufffd")


async def test_a_command_that_reads_nothing_is_fine() -> None:
    request = ModelRequest(model="m", messages=(ModelMessage(role="user", content="x" * 1_000_000),))
    assert (await complete(LocalExecProvider("/bin/echo", ("-n", "deaf")), request)).text == "deaf"


async def test_output_arrives_while_the_command_runs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    seen: list[str] = []

    def on_text(text: str) -> None:
        seen.append(text)
        if len(seen) == 1:
            (tmp_path / "go").write_text("now")

    answer = await complete(shell('printf one; cat "$0"', str(tmp_path / "go")), HI, on_text)
    assert seen == ["one", "now"]
    assert answer.text == "onenow"


async def test_bytes_that_are_no_text_are_replaced() -> None:
    answer = await complete(shell(r"printf 'a\377\000\303'"), HI)
    assert answer.text == "a\ufffd\ufffd\ufffd"


async def test_the_environment_is_minimal() -> None:
    answer = await complete(LocalExecProvider("/usr/bin/env"), HI)
    assert dict(line.split("=", 1) for line in answer.text.splitlines()) == environment()


async def test_a_failed_command_speaks_through_the_tail_of_its_complaints() -> None:
    script = "head -c 3000000 /dev/zero | tr '\\0' x >&2; printf '\\033[31mno\\nmodel' >&2; exit 3"
    with pytest.raises(ProviderFailure) as caught:
        await complete(shell(script), HI)
    assert caught.value.message.startswith("local-exec: exit status 3: xxx")
    assert caught.value.message.endswith(" [31mno model")
    assert len(caught.value.message) <= 240
    assert not caught.value.worth_retrying


async def test_a_killed_command_names_the_signal() -> None:
    with pytest.raises(ProviderFailure, match="killed by signal 15"):
        await complete(shell("kill -TERM $$"), HI)


@pytest.mark.parametrize("command", ["/no/such/command", "/etc", "nul\0"])
async def test_a_command_that_cannot_start_is_a_failure(command: str) -> None:
    with pytest.raises(ProviderFailure, match="cannot start the command") as caught:
        await complete(LocalExecProvider(command), HI)
    assert not caught.value.worth_retrying


async def test_cancelling_kills_the_whole_group(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "witness")
    running = asyncio.Event()
    pids: list[int] = []

    def on_text(text: str) -> None:
        pids.append(int(text))
        running.set()

    provider = shell('exec 3>"$0"; trap "" TERM; sleep 1000 & echo $$; wait', witness.path)
    call = asyncio.create_task(complete(provider, HI, on_text))
    await running.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await witness.all_gone()
    with pytest.raises(ChildProcessError):  # reaped: it has no parent any more
        os.waitpid(pids[0], os.WNOHANG)


async def test_too_much_output_kills_the_whole_group(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "witness")
    provider = shell('exec 3>"$0"; sleep 1000 & yes', witness.path)
    with pytest.raises(ProviderFailure, match="output exceeds 100000 characters"):
        await complete(provider, ModelRequest(model="m", messages=HI.messages, max_output_chars=100_000))
    assert await witness.all_gone()


async def test_a_call_ends_when_the_command_does_and_takes_the_rest_with_it(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "witness")
    answer = await complete(shell('exec 3>"$0"; sleep 1000 & echo done', witness.path), HI)
    assert answer.text == "done\n"
    assert await witness.all_gone()


async def test_cancelling_kills_a_process_that_left_the_group(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "witness")
    running = asyncio.Event()
    script = """exec 3>"$0"; env -i setsid sh -c 'echo; exec sleep 1000' & wait"""
    call = asyncio.create_task(complete(shell(script, witness.path), HI, lambda text: running.set()))
    await running.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await witness.all_gone()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_command_that_ends_before_it_is_fed_is_fine(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def feed_too_late() -> int | None:
        child = await Child.start(("/bin/true",), {})
        await child.exited.wait()
        assert await child.output.read() == b""
        child.feed(b"nobody reads this")
        await child.end()
        child.feed(b"nor this")
        return child.status

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(feed_too_late()) == 0
