"""Planted bugs of the MCP corner: mistakes of a tired engineer that its world has to find."""

from tests.simulation.planted import bug

CLIENT = "athena_core/mcp/client/client.py"
EVENTS = "athena_core/mcp/client/events.py"
HTTP = "athena_core/mcp/client/http.py"
LISTING = "athena_core/mcp/client/listing.py"
RESULT = "athena_core/mcp/client/result.py"
SIDE = "athena_core/mcp/client/server_side.py"
PEER = "athena_core/rpc/peer.py"
RUN = "athena_core/services/execution/mcp/run_mcp.py"
SERVERS = "athena_core/services/execution/mcp/servers.py"

BUGS = [
    # Repeats
    bug("repeat-after-resume", (HTTP, 'if response.request.method == "GET":', "if False:")),
    bug("repeat-after-break", (RUN, 'if failure.code != "session-lost":', 'if "answer" in failure.detail:')),
    bug("resume-from-the-start", (EVENTS, "self.last_id = value", "self.last_id = self.last_id or value")),
    bug("half-an-event", (EVENTS, '"""Forget an event that was not complete: the stream broke."""', "return")),
    # Restarts, and the second time
    bug("shared-stays-dead", (SERVERS, "found is None or found.client.ended or", "found is None or")),
    bug("old-client-stays", (RUN, "await found.client.close()\n            return", "pass\n            return")),
    bug(
        "lost-before-the-call",
        (RUN, "self._failed.pop(server, None)  # it may have been noticed before the call", "pass"),
    ),
    bug(
        "given-up-stay-open",
        (
            PEER,
            "            del self._open[number]\n            if answer.done():\n",
            "            if answer.done():\n                del self._open[number]\n",
        ),
    ),
    bug("id-again", (PEER, "number = self._next\n", "number = len(self._open)\n")),
    bug("response-stays-open", (HTTP, "await response.aclose()", "pass")),
    bug("first-page-only", (LISTING, "if not cursor:", "if not cursor or self._pages:")),
    bug("close-cut-short", (HTTP, "await asyncio.shield(self._closing)", "await self._closing")),
    bug("change-forgotten", (SERVERS, "            self._looked = False  # until", "            # until")),
    bug("change-unnoticed", (CLIENT, "return self._changed or", "return")),
    # Limits and times
    bug("one-report-more", (CLIENT, "self._reports > PROGRESS_MAX", "self._reports > PROGRESS_MAX + 1")),
    bug("time-stands-after-a-question", (CLIENT, "reschedule(loop.time() + self._left)", "reschedule(None)")),
    bug("no-deadline", (CLIENT, 'self._deadline("tools/call", seconds)', 'self._deadline("tools/call", 1e6)')),
    bug("no-notice", (HTTP, 'if self.version != MODERN and method != "initialize":', "if self.version is None:")),
    # Two at once
    bug("question-of-any", (SIDE, "len(asking) != 1 or", "not asking or")),
    bug("report-of-any", (SIDE, "receiver.token is not None and receiver.token == token", "receiver.token")),
    bug("closed-under-a-call", (HTTP, 'if not (self._open and self.ended.code == "session-lost"):', "if True:")),
    bug("parked-in-a-question", (CLIENT, "if not self._is_closed():", "if True:")),
    # Answers
    bug("error-as-answer", (RESULT, "bool(answer.is_error)", "bool(structured)")),
]
