"""Tests of the conversation itself: a peer at the other end of pipes that the test holds."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from athena_core.rpc.peer import (
    END_STATES,
    CancelNotice,
    Later,
    Peer,
    PeerEnded,
    PeerLimits,
    ProtocolBroken,
    RequestFailed,
    RequestTimedOut,
    TooManyRequests,
)
from athena_core.system.process import LineReader
from tests.support.api import PATIENCE_SECONDS


class Ends:
    """The pipes of a peer: what the test sends, and what the peer wrote."""

    def __init__(self) -> None:
        self._input = asyncio.StreamReader()
        self._lines = LineReader(self._input)
        self.written: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.blocked = False

    async def read_line(self, bytes_max: int) -> bytes | None:
        return await self._lines.read(bytes_max)

    async def write(self, data: bytes) -> None:
        if self.blocked:
            await asyncio.Event().wait()
        self.written.put_nowait(msgspec.json.decode(data))

    def send(self, **message: Any) -> None:
        self._input.feed_data(msgspec.json.encode({"jsonrpc": "2.0", **message}) + b"\n")

    def feed(self, data: bytes) -> None:
        self._input.feed_data(data)

    def close(self) -> None:
        self._input.feed_eof()


class Methods:
    """A handler whose requests ``wait`` finish when the test says so."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.gate = asyncio.Event()
        self.cancelled = 0
        self.error: Exception | None = None

    async def request(self, method: str, params: Raw) -> Later:
        self.order.append(method)
        if method == "refused":
            raise RequestFailed(-7, "no", {"why": 1})
        if method == "broken":
            raise ProtocolBroken("invalid-message", "It sent nonsense.")

        async def later() -> object:
            if method == "fails":
                raise self.error or RequestFailed(-8, "later")
            if method == "wait":
                try:
                    await self.gate.wait()
                except asyncio.CancelledError:
                    self.cancelled += 1
                    raise
            return {"params": msgspec.json.decode(params)}

        return later

    async def notification(self, method: str, params: Raw) -> None:
        self.order.append(method)
        if method == "slow":
            await self.gate.wait()
        if self.error is not None:
            raise self.error


class Talk:
    def __init__(self, limits: PeerLimits, notice: CancelNotice, monotonic: Callable[[], float] | None) -> None:
        self.ends = Ends()
        self.methods = Methods()
        clock = {} if monotonic is None else {"monotonic": monotonic}
        self.peer = Peer(self.ends, self.methods, limits, notice, **clock)

    async def ended(self) -> str:
        await asyncio.wait_for(self.peer.ended.wait(), PATIENCE_SECONDS)
        assert self.peer.ending is not None
        return self.peer.ending.state


@asynccontextmanager
async def talking(
    limits: PeerLimits = PeerLimits(),  # noqa: B008 - a value
    notice: CancelNotice = CancelNotice(),  # noqa: B008 - a value
    monotonic: Callable[[], float] | None = None,
) -> AsyncIterator[Talk]:
    talk = Talk(limits, notice, monotonic)
    async with talk.peer:
        yield talk


async def test_answers_find_their_requests_in_any_order() -> None:
    async with talking() as talk:
        requests = [asyncio.create_task(talk.peer.request("m", [n], seconds=PATIENCE_SECONDS)) for n in range(3)]
        sent = [await talk.ends.written.get() for _ in requests]
        assert [one["params"] for one in sent] == [[0], [1], [2]]
        for one in reversed(sent):
            talk.ends.send(id=one["id"], result=one["params"])
        assert [bytes(await request) for request in requests] == [b"[0]", b"[1]", b"[2]"]


async def test_an_error_is_raised_with_its_code() -> None:
    async with talking() as talk:
        request = asyncio.create_task(talk.peer.request("m", None, seconds=PATIENCE_SECONDS))
        number = (await talk.ends.written.get())["id"]
        talk.ends.send(id=number, error={"code": -32603, "message": "Internal error", "data": {"kind": "x"}})
        with pytest.raises(RequestFailed, match="error -32603") as raised:
            await request
        assert raised.value.message.exact == "Internal error"
        assert (raised.value.code, raised.value.data) == (-32603, {"kind": "x"})


async def test_requests_of_the_other_end_are_answered_while_ours_is_open() -> None:
    async with talking() as talk:
        request = asyncio.create_task(talk.peer.request("m", None, seconds=PATIENCE_SECONDS))
        number = (await talk.ends.written.get())["id"]
        talk.ends.send(id="a", method="wait", params=[1])
        talk.ends.send(id=0, method="echo")
        talk.ends.send(id=1, method="refused")
        talk.ends.send(id=2, method="fails")
        answers = {one["id"]: one for one in [await talk.ends.written.get() for _ in range(3)]}
        assert answers[0]["result"] == {"params": None}
        assert answers[1]["error"] == {"code": -7, "message": "no", "data": {"why": 1}}
        assert answers[2]["error"] == {"code": -8, "message": "later"}
        assert talk.peer.waiting
        talk.methods.gate.set()
        assert (await talk.ends.written.get())["result"] == {"params": [1]}
        talk.ends.send(id=number, result=None)
        assert bytes(await request) == b"null"
        assert talk.methods.order == ["wait", "echo", "refused", "fails"]


async def test_a_cancelled_request_of_the_other_end_is_answered_as_such() -> None:
    async with talking() as talk:
        talk.ends.send(id=5, method="wait")
        talk.ends.send(method="$/cancel_request", params={"requestId": 5})
        talk.ends.send(method="$/cancel_request", params={"requestId": 6})
        talk.ends.send(method="$/cancel_request", params=["odd"])
        assert (await talk.ends.written.get())["error"]["code"] == -32800
        assert (talk.methods.cancelled, talk.peer.waiting) == (1, False)
        assert talk.peer.ending is None


async def test_a_request_without_an_answer_is_cancelled_and_its_late_answer_ignored() -> None:
    async with talking(notice=CancelNotice("notifications/cancelled", "requestId")) as talk:
        with pytest.raises(RequestTimedOut, match=r"no answer to m within 0.01 s"):
            await talk.peer.request("m", None, seconds=0.01)
        number = (await talk.ends.written.get())["id"]
        cancelled = await talk.ends.written.get()
        assert (cancelled["method"], cancelled["params"]) == ("notifications/cancelled", {"requestId": number})
        talk.ends.send(id=number, result=1)
        talk.ends.send(id=0, method="echo")
        assert (await talk.ends.written.get())["id"] == 0
        request = asyncio.create_task(talk.peer.request("m", None, seconds=PATIENCE_SECONDS))
        await talk.ends.written.get()
        request.cancel()
        assert (await talk.ends.written.get())["method"] == "notifications/cancelled"


async def test_the_number_of_open_requests_is_limited_both_ways() -> None:
    async with talking(PeerLimits(requests=1, accepted=1)) as talk:
        request = asyncio.create_task(talk.peer.request("m", None, seconds=PATIENCE_SECONDS))
        number = (await talk.ends.written.get())["id"]
        with pytest.raises(TooManyRequests):
            await talk.peer.request("m", None, seconds=PATIENCE_SECONDS)
        talk.ends.send(id=1, method="wait")
        talk.ends.send(id=2, method="wait")
        refused = await talk.ends.written.get()
        assert (refused["id"], refused["error"]["code"]) == (2, -32000)
        talk.methods.gate.set()
        await talk.ends.written.get()
        talk.ends.send(id=3, method="wait")
        assert (await talk.ends.written.get())["id"] == 3
        talk.ends.send(id=number, result=1)
        await request


CASES: dict[str, tuple[bytes, str]] = {
    "words": (b"Loading ...\n", "invalid-json"),
    "half": (b'{"jsonrpc": "2.0"\n', "invalid-json"),
    "deep": (b'{"jsonrpc": "2.0", "params": ' + b"[" * 100_000 + b"\n", "invalid-json"),
    "list": (b"[]\n", "invalid-message"),
    "version": (b'{"jsonrpc": "1.0", "method": "m"}\n', "invalid-message"),
    "no version": (b'{"method": "m"}\n', "invalid-message"),
    "no method": (b'{"jsonrpc": "2.0", "id": 0}\n', "unknown-answer"),
    "float id": (b'{"jsonrpc": "2.0", "id": 1.5, "method": "m"}\n', "invalid-message"),
    "null id": (b'{"jsonrpc": "2.0", "id": null, "method": "m"}\n', "invalid-message"),
    "long id": (b'{"jsonrpc": "2.0", "id": "%s", "method": "m"}\n' % (b"x" * 1_001), "invalid-message"),
    "unread": (b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32700, "message": "?"}}\n', "invalid-message"),
    "unasked": (b'{"jsonrpc": "2.0", "id": 4711, "result": 1}\n', "unknown-answer"),
    "other's id": (b'{"jsonrpc": "2.0", "id": "0", "result": 1}\n', "unknown-answer"),
    "handler": (b'{"jsonrpc": "2.0", "id": 1, "method": "broken"}\n', "invalid-message"),
    "objects": (b'{"jsonrpc": "2.0", "method": "m", "params": [' + b"[]," * 500_000 + b"1]}\n", "invalid-message"),
    "long": (b" " * 2_000_001 + b"\n", "line-too-long"),
}


@pytest.mark.parametrize(("data", "state"), CASES.values(), ids=CASES.keys())
async def test_broken_traffic_ends_the_conversation(data: bytes, state: str) -> None:
    async with talking(PeerLimits(line_bytes=2_000_000)) as talk:
        talk.ends.feed(data)
        assert await talk.ended() == state
        assert state in END_STATES
        with pytest.raises(PeerEnded, match=state):
            await talk.peer.request("m", None, seconds=PATIENCE_SECONDS)


async def test_a_long_text_may_hold_braces() -> None:
    async with talking(PeerLimits(openings=1_000)) as talk:
        talk.ends.send(id=1, method="echo", params="{" * 998)
        assert (await talk.ends.written.get())["result"] == {"params": "{" * 998}
        talk.ends.send(id=2, method="echo", params="{" * 1_000)
        assert await talk.ended() == "invalid-message"


async def test_an_answer_without_a_result_ends_its_request() -> None:
    async with talking() as talk:
        request = asyncio.create_task(talk.peer.request("m", None, seconds=PATIENCE_SECONDS))
        talk.ends.send(id=(await talk.ends.written.get())["id"])
        with pytest.raises(PeerEnded, match="invalid-message"):
            await request


async def test_an_error_of_null_is_none() -> None:
    async with talking() as talk:
        request = asyncio.create_task(talk.peer.request("m", None, seconds=PATIENCE_SECONDS))
        talk.ends.send(id=(await talk.ends.written.get())["id"], error=None, result=3)
        assert bytes(await request) == b"3"


async def test_a_line_may_be_exactly_as_long_as_allowed() -> None:
    message = b'{"jsonrpc": "2.0", "id": 1, "method": "echo"}'
    async with talking(PeerLimits(line_bytes=len(message))) as talk:
        talk.ends.feed(message + b"\n")
        assert (await talk.ends.written.get())["id"] == 1
        talk.ends.feed(message + b" \n")
        assert await talk.ended() == "line-too-long"


async def test_the_end_of_the_output_cancels_open_requests() -> None:
    async with talking() as talk:
        request = asyncio.create_task(talk.peer.request("m", None, seconds=PATIENCE_SECONDS))
        await talk.ends.written.get()
        talk.ends.send(id=1, method="wait")
        talk.ends.feed(b'{"jsonrpc": "2.0", "id": 2')
        talk.ends.close()
        with pytest.raises(PeerEnded, match="output-closed"):
            await request
        for _ in range(10):
            await asyncio.sleep(0)
        assert (talk.methods.cancelled, talk.methods.order) == (1, ["wait"])


async def test_leaving_stops_the_conversation() -> None:
    async with talking() as talk:
        request = asyncio.create_task(talk.peer.request("m", None, seconds=PATIENCE_SECONDS))
        await talk.ends.written.get()
    with pytest.raises(PeerEnded, match="stopped"):
        await request
    assert await talk.ended() == "stopped"


@pytest.mark.parametrize("method", ["note", "fails"])
async def test_an_error_of_the_handler_is_raised_by_what_waits(method: str) -> None:
    async with talking() as talk:
        request = asyncio.create_task(talk.peer.request("m", None, seconds=PATIENCE_SECONDS))
        await talk.ends.written.get()
        talk.methods.error = LookupError("the lease is lost")
        talk.ends.send(method=method, **({} if method == "note" else {"id": 1}))
        with pytest.raises(LookupError, match="the lease is lost"):
            await request
        with pytest.raises(LookupError):
            await talk.peer.notify("m", None)


async def test_an_end_that_reads_nothing_is_given_up() -> None:
    async with talking(PeerLimits(write_seconds=0.01)) as talk:
        talk.ends.blocked = True
        with pytest.raises(PeerEnded, match="input-blocked"):
            await talk.peer.request("m", None, seconds=PATIENCE_SECONDS)


@pytest.mark.parametrize("message", [{"id": 1, "method": "wait"}, {"method": "slow"}])
async def test_silence_counts_only_while_the_other_end_has_the_word(message: dict[str, Any]) -> None:
    now, looked = [0.0], asyncio.Event()

    def monotonic() -> float:
        looked.set()
        return now[0]

    async def pass_seconds(seconds: float) -> None:
        now[0] += seconds
        for _ in range(3):  # the request looks at the clock each thousandth of a second
            looked.clear()
            await looked.wait()

    async with talking(monotonic=monotonic) as talk:
        request = asyncio.create_task(talk.peer.request("m", None, seconds=1e6, silence_seconds=0.001))
        await talk.ends.written.get()
        talk.ends.send(**message)
        await pass_seconds(0)
        await pass_seconds(1_000)  # the other end waits for an answer, or until its message is handled
        assert not request.done()
        talk.methods.gate.set()
        await pass_seconds(0)
        now[0] += 1
        talk.peer.note_activity()
        await pass_seconds(0)
        assert not request.done()
        now[0] += 1
        with pytest.raises(PeerEnded, match=r"silent: Nothing arrived for 0.001 s"):
            await request


@given(st.lists(st.binary(max_size=40) | st.just(b"\n"), max_size=8))
def test_no_bytes_break_the_reader(pieces: list[bytes]) -> None:
    async def feed() -> None:
        async with talking(PeerLimits(line_bytes=30)) as talk:
            for piece in pieces:
                talk.ends.feed(piece)
            talk.ends.close()
            assert await talk.ended() in END_STATES

    asyncio.run(feed())
