"""A fake agent: it speaks the Agent Client Protocol on its standard streams and asks a model over HTTP, as others do.

Run it as ``python -I -S fake_agent.py [SWITCH[=VALUE] …]`` with FAKE_URL, FAKE_KEY, FAKE_MODEL and HOME. Without a
switch it behaves well. Each switch is an odd habit, most of them of a real agent. It uses the standard library only and
imports little, so that it starts quickly.
"""
# ruff: noqa: PTH103, PTH105, PTH118, PTH120, PTH123, SIM105 - pathlib and contextlib would make the start slower

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading

TYPE_CHECKING = False  # the module typing would take 5 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeAlias

    Json: TypeAlias = dict[str, Any]
    Say: TypeAlias = Callable[[str], None]

SWITCHES = {
    # How it asks the model
    "wire": "openai-chat (default), openai-responses, anthropic or gemini",
    "title-call": "asks the model for a title as well, before the first turn of a session",
    "other-model": "asks another model for a title before it ends a turn, or for the rest of the turn (turn)",
    "late-call": "asks the model once more after the answer to the prompt",
    "retries": "repeats a refused model call this many times",
    "end-turn-after-failure": "says that the turn ended well when a model call failed",
    # How it asks for permissions
    "no-tool-call": "mentions a call first in the request for its permission",
    "early-progress": "says that a call is in progress before it asks",
    "never-asks": "asks for no permission in any mode",
    "only-always": "offers no option that holds for one call only",
    "acts-early": "makes a call while its permission is open",
    "ignores-refusal": "makes a refused call",
    "reject-ends": "ends the turn after a rejection",
    "reject-cancels": "reports a rejection as a cancelled turn",
    "asks-many": "asks for this many permissions at once",
    "withdraws": "cancels its own request for a permission",
    "abandons": "ends the turn without waiting for the permission",
    "question": "asks the person a question with a form",
    # How it uses the MCP endpoint of its run
    "mcp-never": "cannot use MCP servers over HTTP",
    "mcp-asks": "asks for the permission of its calls at the endpoint",
    "mcp-silent": "does not report its calls at the endpoint",
    "mcp-lies": "reports the next command as a call at the endpoint",
    "mcp-once": "makes one call at the endpoint, and reports it this many times",
    "mcp-at-once": "makes each call at the endpoint this many times at once",
    "mcp-hangs-up": "hangs up on its calls at the endpoint after this many seconds",
    # How it ends
    "ignores-cancel": "never ends a cancelled turn",
    "cancel-needs-answer": "ends a cancelled turn only if its open permission is answered",
    "die": "kills itself: at the prompt, in a tool (tool) or with an open permission (ask)",
    "exit": "exits at the prompt with this status and words on its error output",
    "close-output": "closes its output at the prompt and stays",
    "silence": "says nothing from the prompt on, or from the start (start)",
    "leaves-children": "starts a process in a session of its own, with this command",
    # How it takes up sessions
    "no-resume": "has no session/resume",
    "no-load": "has no session/load",
    "resume-refused": "answers session/resume with an error",
    "resume-silent": "never answers session/resume",
    "load-refused": "answers session/load with an error",
    "forgets": "keeps no session on the disk",
    # What it reports
    "modes-as-option": "has its mode in a setting instead of modes",
    "no-modes": "has no modes",
    "mode-reported": "reports an ordered mode, too",
    "mode-deaf": "accepts an ordered mode and reports another one",
    "mode-refused": "answers session/set_mode with an error",
    "mode-drift": "leaves the ordered mode after the first call",
    "terminal": "reports the output of a command as the text of a terminal only",
    "shows-work": "shows its reasoning and a plan, and of each call the change of a file, or output while it runs",
    "wrong-usage": "reports the usage of its last model call only",
    "old-protocol": "speaks version 2",
    # What it should not send
    "fs-write": "sends fs/write_text_file although nobody offered it",
    "unknown-methods": "sends requests, notifications and updates that nobody knows",
    "unknown-ids": "sends updates and a permission for another session, and one for a call that it never mentioned",
    "bad-update": "sends a tool call without an id",
    "bad-json": "sends a line that is not JSON",
    "not-rpc": "sends JSON that is no message",
    "deep-json": "sends JSON that is nested 100,000 times",
    "bad-utf8": "sends bytes that are no UTF-8",
    "huge-line": "sends a line of this many bytes",
    "endless-line": "sends a line without an end",
    "half-line": "closes its output in the middle of a line",
    "unasked-answer": "answers a request that was never sent",
    "answers-twice": "answers the prompt twice",
    "same-id": "sends two open requests with one id",
    "blank-lines": "sends blank lines between its messages",
    "split-writes": "writes each message in pieces",
    "flood": "sends this many notifications",
    "late-updates": "sends updates after the answer to the prompt",
    "complains": "writes this many bytes to its error output",
    "deaf": "reads nothing from the first session on",
    "memory": "takes this many MiB",
}  # fmt: skip

OTHER_MODEL = "another-model"
MCP = "athena"
"""The name of the endpoint, with which the names of its tools begin."""
INTERRUPTED = "[The call was interrupted; its outcome is unknown.]"
TOOLS = {
    "shell": {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
    "edit": {
        "type": "object",
        "properties": {"path": {"type": "string"}, "text": {"type": "string"}},
        "required": ["path", "text"],
    },
}


class Cancelled(Exception):
    """The client cancelled the turn."""


class Stopped(Exception):
    """The agent ends the turn; the reason is the argument."""


class ModelFailed(Exception):
    """A model call failed; the message is the text of the server."""


class Rpc(Exception):
    """An error that answers a request of the client: code and message."""


class Output:
    """Standard output: one message a line."""

    def __init__(self, switches: dict[str, str]) -> None:
        self._lock = threading.Lock()
        self._switches = switches

    def send(self, message: Json) -> None:
        data = json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
        if "blank-lines" in self._switches:
            data = b"\n  \n" + data
        pieces = [data[at : at + 7] for at in range(0, len(data), 7)] if "split-writes" in self._switches else [data]
        with self._lock:
            for piece in pieces:
                self.raw_unlocked(piece)

    def raw(self, data: bytes) -> None:
        with self._lock:
            self.raw_unlocked(data)

    @staticmethod
    def raw_unlocked(data: bytes) -> None:
        while data:
            data = data[os.write(1, data) :]


class Http:
    """One POST whose answer is read line by line."""

    def __init__(self, url: str, key: str, path: str, body: Json, seconds: float | None = None) -> None:
        place, _, base = url.partition("://")[2].partition("/")
        host, _, port = place.rpartition(":")
        data = json.dumps(body).encode()
        head = (
            f"POST {('/' + base).rstrip('/')}{path} HTTP/1.1\r\nhost: {place}\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer {key}\r\nx-api-key: {key}\r\naccept: application/json, text/event-stream\r\n"
            f"content-length: {len(data)}\r\nconnection: close\r\n\r\n"
        )
        self.socket = socket.create_connection((host, int(port)))
        self.socket.settimeout(seconds)
        self.socket.sendall(head.encode() + data)
        self._file = self.socket.makefile("rb")
        self._chunked = False
        self.status = 0

    def begin(self) -> None:
        """Read the head of the answer."""
        self.status = int((self._file.readline().split() or [b"", b"0"])[1])
        while (line := self._file.readline().strip().lower()) != b"":
            self._chunked |= line.startswith(b"transfer-encoding:") and b"chunked" in line

    def lines(self) -> Iterator[bytes]:
        if not self.status:
            self.begin()
        rest = b""
        for data in self._pieces():
            *lines, rest = (rest + data).split(b"\n")
            yield from lines
        yield rest

    def _pieces(self) -> Iterator[bytes]:
        while self._chunked:
            size = int(self._file.readline().split(b";")[0] or b"0", 16)
            if not size:
                return
            yield self._file.read(size)
            self._file.readline()
        while data := self._file.read1(65536):
            yield data

    def message(self) -> Json:
        """Return the answer to a message: its JSON, or the last event of a stream."""
        lines = [line[5:] if line.startswith(b"data:") else line for line in self.lines()]
        found: Json = json.loads([line for line in lines if line.strip()[:1] == b"{"][-1])
        return found

    def close(self) -> None:
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()


def events(http: Http) -> Iterator[Json]:
    """Yield the JSON of each server-sent event."""
    for line in http.lines():
        if line.startswith(b"data:") and line[5:].strip() not in {b"", b"[DONE]"}:
            yield json.loads(line[5:])


class Turn:
    """The answer of a model."""

    def __init__(self) -> None:
        self.text = ""
        self.calls: list[list[str]] = []  # id, name, arguments as text
        self.usage = (0, 0)
        self.ended = False


# The wires: each makes the path and body of a request, and reads the events of its answer into a turn


def chat_request(model: str, messages: list[Json]) -> tuple[str, Json]:
    tools: list[Json] = [{"type": "function", "function": {"name": name, "parameters": TOOLS[name]}} for name in TOOLS]
    body = {"model": model, "messages": messages, "tools": tools, "stream": True}
    return "/chat/completions", body | {"stream_options": {"include_usage": True}}


def chat_read(event: Json, turn: Turn, say: Say) -> None:
    for choice in event.get("choices", ()):
        delta = choice.get("delta") or {}
        if delta.get("content"):
            turn.text += delta["content"]
            say(delta["content"])
        for piece in delta.get("tool_calls") or ():
            while len(turn.calls) <= piece["index"]:
                turn.calls.append(["", "", ""])
            call, function = turn.calls[piece["index"]], piece.get("function") or {}
            call[0] = piece.get("id") or call[0]
            call[1] = function.get("name") or call[1]
            call[2] += function.get("arguments") or ""
        turn.ended |= choice.get("finish_reason") is not None
    if event.get("usage"):
        turn.usage = (event["usage"]["prompt_tokens"], event["usage"]["completion_tokens"])


def responses_request(model: str, messages: list[Json]) -> tuple[str, Json]:
    items: list[Json] = []
    for one in messages:
        if one["role"] == "tool":
            items.append({"type": "function_call_output", "call_id": one["tool_call_id"], "output": one["content"]})
            continue
        if one["content"]:
            kind = "output_text" if one["role"] == "assistant" else "input_text"
            content = [{"type": kind, "text": one["content"]}]
            items.append({"type": "message", "role": one["role"], "content": content})
        for call in one.get("tool_calls", ()):
            items.append({"type": "function_call", "call_id": call["id"], **call["function"]})
    tools = [{"type": "function", "name": name, "parameters": TOOLS[name]} for name in TOOLS]
    return "/responses", {"model": model, "input": items, "tools": tools, "stream": True, "store": False}


def responses_read(event: Json, turn: Turn, say: Say) -> None:
    kind = event.get("type")
    if kind == "response.output_text.delta":
        turn.text += event["delta"]
        say(event["delta"])
    elif kind == "response.output_item.done" and event["item"]["type"] == "function_call":
        item = event["item"]
        turn.calls.append([item["call_id"], item["name"], item["arguments"]])
    elif kind == "response.failed":
        raise ModelFailed(json.dumps(event["response"].get("error")))
    elif kind in {"response.completed", "response.incomplete"}:
        usage = event["response"].get("usage") or {}
        turn.usage, turn.ended = (usage.get("input_tokens", 0), usage.get("output_tokens", 0)), True


def anthropic_request(model: str, messages: list[Json]) -> tuple[str, Json]:
    turns: list[Json] = []
    for one in messages:
        if one["role"] == "tool":
            block = {"type": "tool_result", "tool_use_id": one["tool_call_id"], "content": one["content"]}
            turns.append({"role": "user", "content": [block]})
            continue
        content = [{"type": "text", "text": one["content"]}] if one["content"] else []
        for call in one.get("tool_calls", ()):
            name, arguments = call["function"]["name"], json.loads(call["function"]["arguments"] or "{}")
            content.append({"type": "tool_use", "id": call["id"], "name": name, "input": arguments})
        turns.append({"role": one["role"], "content": content})
    tools = [{"name": name, "input_schema": TOOLS[name]} for name in TOOLS]
    body = {"model": model, "max_tokens": 4096, "messages": turns, "tools": tools, "stream": True}
    return "/v1/messages?beta=true", body


def anthropic_read(event: Json, turn: Turn, say: Say) -> None:
    kind = event.get("type")
    if kind == "message_start":
        usage = event["message"].get("usage", {})
        turn.usage = (usage.get("input_tokens", 0), usage.get("output_tokens", 0))
    elif kind == "content_block_start" and event["content_block"]["type"] == "tool_use":
        turn.calls.append([event["content_block"]["id"], event["content_block"]["name"], ""])
    elif kind == "content_block_delta" and event["delta"]["type"] == "text_delta":
        turn.text += event["delta"]["text"]
        say(event["delta"]["text"])
    elif kind == "content_block_delta" and event["delta"]["type"] == "input_json_delta":
        turn.calls[-1][2] += event["delta"]["partial_json"]
    elif kind == "message_delta":
        turn.usage = (turn.usage[0], event.get("usage", {}).get("output_tokens", turn.usage[1]))
    elif kind == "message_stop":
        turn.ended = True
    elif kind == "error":
        raise ModelFailed(json.dumps(event["error"]))


def gemini_request(model: str, messages: list[Json]) -> tuple[str, Json]:
    names: dict[str, str] = {}
    contents: list[Json] = []
    for one in messages:
        if one["role"] == "tool":
            answer = {"name": names[one["tool_call_id"]], "response": {"output": one["content"]}}
            contents.append({"role": "user", "parts": [{"functionResponse": answer}]})
            continue
        parts = [{"text": one["content"]}] if one["content"] else []
        for call in one.get("tool_calls", ()):
            names[call["id"]] = call["function"]["name"]
            arguments = json.loads(call["function"]["arguments"] or "{}")
            parts.append({"functionCall": {"name": call["function"]["name"], "args": arguments}})
        contents.append({"role": "model" if one["role"] == "assistant" else "user", "parts": parts})
    tools = [{"functionDeclarations": [{"name": name, "parametersJsonSchema": TOOLS[name]} for name in TOOLS]}]
    return f"/v1beta/models/{model}:streamGenerateContent?alt=sse", {"contents": contents, "tools": tools}


def gemini_read(event: Json, turn: Turn, say: Say) -> None:
    for candidate in event.get("candidates", ()):
        for part in candidate.get("content", {}).get("parts", ()):
            if part.get("text"):
                turn.text += part["text"]
                say(part["text"])
            if "functionCall" in part:
                name = part["functionCall"]["name"]
                arguments = json.dumps(part["functionCall"].get("args", {}))
                turn.calls.append([f"{name}_{os.urandom(4).hex()}", name, arguments])
        turn.ended |= "finishReason" in candidate
    usage = event.get("usageMetadata")
    if usage:
        turn.usage = (usage.get("promptTokenCount", 0), usage.get("candidatesTokenCount", 0))


WIRES = {
    "openai-chat": (chat_request, chat_read),
    "openai-responses": (responses_request, responses_read),
    "anthropic": (anthropic_request, anthropic_read),
    "gemini": (gemini_request, gemini_read),
}


class Session:
    """A conversation with the model, kept in the home directory."""

    def __init__(self, number: str, keeps: bool) -> None:
        self.id = number
        self.mode = "auto"  # as in the newest agents: a model decides about permissions
        self.messages: list[Json] = []
        self.titled = False
        self._keeps = keeps

    @property
    def _path(self) -> str:
        return os.path.join(os.environ["HOME"], ".fake", f"{self.id}.json")

    def load(self) -> bool:
        try:
            with open(self._path) as file:
                self.messages = json.load(file)
        except OSError:
            return False
        done = {one.get("tool_call_id") for one in self.messages}
        for one in list(self.messages):
            for call in one.get("tool_calls", ()):
                if call["id"] not in done:
                    self.messages.append({"role": "tool", "tool_call_id": call["id"], "content": INTERRUPTED})
        return True

    def save(self) -> None:
        if self._keeps:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            with open(self._path + ".new", "w") as file:
                json.dump(self.messages, file)
            os.replace(self._path + ".new", self._path)


class Agent:
    """The agent. The main thread reads; each prompt has a thread of its own."""

    def __init__(self, switches: dict[str, str]) -> None:
        self.switches = switches
        self.output = Output(switches)
        self.sessions: dict[str, Session] = {}
        self.client: Json = {}
        self.ballast = b"x" * (int(switches.get("memory") or 0) << 20)
        self._next = 0
        self._waiting: dict[Any, tuple[threading.Event, list[Any]]] = {}
        self._cancelled = threading.Event()
        self._http: Http | None = None
        self._tool = 0
        self._drifted = False
        self._endpoint: Json | None = None
        self._at_endpoint: list[Http] = []

    def on(self, switch: str, value: str | None = None) -> bool:
        return switch in self.switches and value in {None, self.switches[switch]}

    def serve(self) -> None:
        if self.on("complains"):
            os.write(2, b"e" * int(self.switches["complains"]) + b"\nthe end of the complaints\n")
        if self.on("silence", "start"):
            threading.Event().wait()
        for line in sys.stdin.buffer:
            message = json.loads(line)
            if "method" not in message:
                self._take_answer(message)
            elif "id" in message:
                self._take_request(message["id"], message["method"], message.get("params") or {})
            elif message["method"] == "session/cancel":
                self._cancel()
            if self.on("deaf") and self.sessions:
                threading.Event().wait()

    # The methods of the client

    def _take_request(self, number: Any, method: str, params: Json) -> None:
        if method == "session/prompt":
            threading.Thread(target=self._prompt, args=(number, params), daemon=True).start()
            return
        try:
            result = self._answer(method, params)
        except Rpc as error:
            code, message = error.args
            self.output.send({"id": number, "error": {"code": code, "message": message}})
        else:
            if result is not None:
                self.output.send({"id": number, "result": result})

    def _answer(self, method: str, params: Json) -> Json | None:
        if method == "initialize":
            self.client = params["clientCapabilities"]
            abilities: Json = {} if self.on("no-resume") else {"resume": {}}
            return {
                "protocolVersion": 2 if self.on("old-protocol") else 1,
                "agentInfo": {"name": "fake", "title": "Fake agent", "version": "1.0"},
                "agentCapabilities": {
                    "loadSession": not self.on("no-load"),
                    "sessionCapabilities": abilities,
                    "mcpCapabilities": {"http": not self.on("mcp-never")},
                },
                "authMethods": [],
            }
        if method in {"session/new", "session/resume", "session/load"}:
            return self._open(method, params)
        if method == "session/set_mode":
            if self.on("mode-refused"):
                raise Rpc(-32603, "Internal error")
            self._set_mode(params["sessionId"], params["modeId"])
            return {}
        if method == "session/set_config_option":
            self._set_mode(params["sessionId"], params["value"])
            return {"configOptions": self._options(self.sessions[params["sessionId"]])}
        raise Rpc(-32601, "Method not found")

    def _open(self, method: str, params: Json) -> Json | None:
        os.chdir(params["cwd"])
        self._endpoint = next((one for one in params["mcpServers"] if one["name"] == MCP), None)
        if self._endpoint:
            for tool in self._ask_endpoint("tools/list", {})["result"]["tools"]:
                TOOLS[f"{MCP}_{tool['name']}"] = tool["inputSchema"]
        if method == "session/new":
            session = Session(f"fake-{os.getpid()}-{len(self.sessions)}", not self.on("forgets"))
        else:
            word = method.partition("/")[2]
            session = Session(params["sessionId"], not self.on("forgets"))
            if self.on(f"{word}-silent"):
                return None
            if self.on(f"{word}-refused") or (word == "resume" and self.on("no-resume")) or not session.load():
                raise Rpc(-32603, "Invalid session identifier")
            if word == "load":
                for one in session.messages:
                    if one["role"] == "tool":
                        continue
                    kind = "user_message_chunk" if one["role"] == "user" else "agent_message_chunk"
                    self._update(session, sessionUpdate=kind, content={"type": "text", "text": one["content"]})
        self.sessions[session.id] = session
        opened: Json = {"sessionId": session.id} if method == "session/new" else {}
        if self.on("modes-as-option"):
            opened["configOptions"] = self._options(session)
        elif not self.on("no-modes"):
            modes = [{"id": name, "name": name.title()} for name in ("default", "auto")]
            opened["modes"] = {"currentModeId": session.mode, "availableModes": modes}
        return opened

    @staticmethod
    def _options(session: Session) -> list[Json]:
        options = [{"value": name, "name": name.title()} for name in ("default", "auto")]
        return [{"id": "mode", "category": "mode", "type": "select", "currentValue": session.mode, "options": options}]

    def _set_mode(self, session_id: str, mode: str) -> None:
        session = self.sessions[session_id]
        if not self.on("mode-deaf"):
            session.mode = mode
        if self.on("mode-deaf") or self.on("mode-reported"):
            self._update(session, sessionUpdate="current_mode_update", currentModeId=session.mode)

    def _cancel(self) -> None:
        if self.on("ignores-cancel"):
            return
        self._cancelled.set()
        for http in (self._http, *self._at_endpoint):
            if http:
                http.close()
        if self._tool:
            os.killpg(self._tool, signal.SIGKILL)
        if not self.on("cancel-needs-answer"):
            for waiting in list(self._waiting.values()):
                waiting[0].set()

    # Its own requests

    def _request(self, method: str, params: Json, number: Any = None) -> Any:
        """Send a request. Return its id."""
        if number is None:
            number, self._next = self._next, self._next + 1
        self._waiting[number] = threading.Event(), []
        self.output.send({"id": number, "method": method, "params": params})
        return number

    def _wait(self, number: Any) -> Json:
        """Return the answer to a request; empty if it is an error, or the turn was cancelled."""
        self._waiting[number][0].wait()
        answers = self._waiting.pop(number)[1]
        return (answers[0] if answers else None) or {}

    def _take_answer(self, message: Json) -> None:
        waiting = self._waiting.get(message["id"])
        if waiting:
            waiting[1].append(message.get("result"))
            waiting[0].set()

    def _update(self, session: Session, **update: Any) -> None:
        self.output.send({"method": "session/update", "params": {"sessionId": session.id, "update": update}})

    # A prompt

    def _prompt(self, number: Any, params: Json) -> None:
        session = self.sessions.get(params["sessionId"])
        if session is None:
            self.output.send({"id": number, "error": {"code": -32602, "message": "Session not found"}})
            return
        self._cancelled.clear()
        usage: list[tuple[int, int]] = []
        try:
            self._misbehave(session)
            text = "".join(block.get("text", "") for block in params["prompt"])
            session.messages.append({"role": "user", "content": text})
            session.save()  # a run may be paused at its first call
            self._converse(session, usage)
            reason = "end_turn"
        except Cancelled:
            reason = "cancelled"
        except Stopped as stopped:
            reason = stopped.args[0]
        except ModelFailed as failed:
            if not self.on("end-turn-after-failure"):
                error = {"code": -32603, "message": f"Internal error: {failed}"}
                self.output.send({"id": number, "error": error})
                return
            self._update(session, sessionUpdate="agent_message_chunk", content={"type": "text", "text": str(failed)})
            reason, usage = "end_turn", []
        session.save()
        counted = usage[-1:] if self.on("wrong-usage") else usage
        spent = {"inputTokens": sum(one[0] for one in counted), "outputTokens": sum(one[1] for one in counted)}
        for _ in range(2 if self.on("answers-twice") else 1):
            self.output.send({"id": number, "result": {"stopReason": reason, "usage": spent if usage else None}})
        if self.on("late-updates"):
            self._say(session)("late words")
        if self.on("late-call"):
            self._ask_model([{"role": "user", "content": "Suggest what to ask next."}], lambda text: None)

    def _converse(self, session: Session, usage: list[tuple[int, int]]) -> None:
        title = [{"role": "user", "content": "Give this conversation a title: " + session.messages[0]["content"]}]
        if self.on("title-call") and not session.titled:
            session.titled = True
            usage.append(self._ask_model(title, lambda text: None).usage)
        while True:
            other = OTHER_MODEL if usage and self.on("other-model", "turn") else None
            turn = self._ask_model(session.messages, self._say(session), other)
            usage.append(turn.usage)
            calls = [
                {"id": call[0], "type": "function", "function": {"name": call[1], "arguments": call[2]}}
                for call in turn.calls
            ]
            answered: Json = {"role": "assistant", "content": turn.text}
            session.messages.append(answered | ({"tool_calls": calls} if calls else {}))
            session.save()
            if not turn.calls:
                if self.on("other-model", ""):
                    try:
                        self._ask_model(title, lambda text: None, OTHER_MODEL)
                    except ModelFailed:
                        pass
                return
            for call in turn.calls:
                result = self._call(session, call[0], call[1], call[2])
                session.messages.append({"role": "tool", "tool_call_id": call[0], "content": result})
                session.save()

    def _say(self, session: Session) -> Say:
        def say(text: str) -> None:
            content = {"type": "text", "text": text}
            self._update(session, sessionUpdate="agent_message_chunk", content=content, messageId="m1")

        return say

    def _ask_model(self, messages: list[Json], say: Say, model: str | None = None) -> Turn:
        request, read = WIRES[self.switches.get("wire") or "openai-chat"]
        failure = ModelFailed()
        for _ in range(1 + int(self.switches.get("retries") or 0)):
            turn = Turn()
            http: Http | None = None
            try:
                path, body = request(model or os.environ["FAKE_MODEL"], messages)
                http = self._http = Http(os.environ["FAKE_URL"], os.environ["FAKE_KEY"], path, body)
                http.begin()
                if http.status != 200:
                    raise ModelFailed(b"\n".join(http.lines()).decode())
                for event in events(http):
                    read(event, turn, say)
                if turn.ended and not self._cancelled.is_set():
                    return turn
                failure = ModelFailed("the answer was cut")
            except (OSError, ValueError) as error:
                failure = ModelFailed(str(error))
            except ModelFailed as error:
                failure = error
            finally:
                if http:
                    http.close()
                if self._http is http:  # a call after the turn overlaps with the next turn
                    self._http = None
            if self._cancelled.is_set():
                raise Cancelled
        raise failure

    # A call of a tool

    def _call(self, session: Session, number: str, name: str, arguments: str) -> str:
        given = json.loads(arguments or "{}")
        if name.startswith(f"{MCP}_"):
            return self._call_endpoint(session, number, name, given)
        title, kind = given.get("command") or given.get("path") or name, "execute" if name == "shell" else "edit"
        if self.on("mcp-lies"):
            title, kind = f"{MCP}_memory", "other"
        call: Json = {"toolCallId": number, "title": title, "kind": kind, "status": "pending", "rawInput": given}
        shown = self._show_work(session, name, given) if self.on("shows-work") else []
        call["content"] = shown
        if not self.on("no-tool-call"):
            status = "in_progress" if self.on("early-progress") else "pending"
            self._update(session, **{**call, "sessionUpdate": "tool_call", "status": status})
        if session.mode == "default" and not self.on("never-asks"):
            refusal = self._ask(session, call)
            if refusal and not self.on("ignores-refusal"):
                self._update(session, sessionUpdate="tool_call_update", toolCallId=number, status="failed")
                return refusal
        so_far = {"content": [{"type": "content", "content": {"type": "text", "text": "begun"}}]} if shown else {}
        begun = {"toolCallId": number, "status": "in_progress", **(so_far if name == "shell" else {})}
        self._update(session, sessionUpdate="tool_call_update", **begun)
        content: list[Json] = []
        if name == "shell":
            result, status = self._run(given["command"])
        elif name == "edit":
            result, status, content = self._edit(session, given["path"], given["text"])
        else:
            result, status = f"no tool {name}", "failed"
        content.append({"type": "content", "content": {"type": "text", "text": result}})
        if self._cancelled.is_set():
            status = "failed"
        if self.on("terminal"):
            for piece in (result[:3], result[3:]):
                output = {"terminal_output_delta": {"terminal_id": number, "data": piece}}
                self._update(session, sessionUpdate="tool_call_update", toolCallId=number, _meta=output)
            self._update(session, sessionUpdate="tool_call_update", toolCallId=number, status=status)
            return result
        done: Json = {"toolCallId": number, "status": status, "rawOutput": {"output": result}, "content": content}
        self._update(session, sessionUpdate="tool_call_update", **done)
        if self._cancelled.is_set():
            raise Cancelled
        if self.on("mode-drift") and not self._drifted:
            self._drifted, session.mode = True, "auto"
            self._update(session, sessionUpdate="current_mode_update", currentModeId="auto")
        return result

    # A call at the endpoint of the run

    def _ask_endpoint(self, method: str, params: Json) -> Json:
        """Return the answer of the endpoint to a request."""
        endpoint = self._endpoint
        if endpoint is None:
            return {"error": {"code": 0, "message": "There is no endpoint."}}
        url, path = endpoint["url"].rsplit("/", 1)
        key = endpoint["headers"][0]["value"].partition(" ")[2]
        seconds = float(self.switches["mcp-hangs-up"]) if self.on("mcp-hangs-up") else None
        http: Http | None = None
        try:
            http = Http(url, key, f"/{path}", {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, seconds)
            self._at_endpoint.append(http)
            return http.message()
        except (OSError, ValueError, IndexError) as error:
            return {"error": {"code": 0, "message": f"There was no answer: {error}"}}
        finally:
            if http:
                self._at_endpoint.remove(http)
                http.close()

    def _call_endpoint(self, session: Session, number: str, name: str, given: Json) -> str:
        call: Json = {"toolCallId": number, "title": name, "kind": "other", "status": "pending", "rawInput": given}
        if not self.on("mcp-silent"):
            self._update(session, **{**call, "sessionUpdate": "tool_call"})
        if self.on("mcp-asks"):
            refusal = self._ask(session, call)
            if refusal:
                self._update(session, sessionUpdate="tool_call_update", toolCallId=number, status="failed")
                return refusal
        found: list[Json] = []
        ask = {"name": name.removeprefix(f"{MCP}_"), "arguments": given}
        calls = [
            threading.Thread(target=lambda: found.append(self._ask_endpoint("tools/call", ask)))
            for _ in range(int(self.switches.get("mcp-at-once") or 1))
        ]
        for one in calls:
            one.start()
        for one in calls:
            one.join()
        result = found[-1].get("result") or {"content": [{"text": json.dumps(found[-1]["error"])}], "isError": True}
        text: str = result["content"][0]["text"]
        status = "failed" if result["isError"] else "completed"
        content = [{"type": "content", "content": {"type": "text", "text": text}}]
        for again in range(int(self.switches.get("mcp-once") or 1)):
            done: Json = {**call, "toolCallId": f"{number}-{again}" if again else number, "status": status}
            if not self.on("mcp-silent"):
                self._update(session, sessionUpdate="tool_call_update", **{**done, "content": content})
        return text

    def _show_work(self, session: Session, name: str, given: Json) -> list[Json]:
        """Show reasoning and a plan. Return the content of the call."""
        for piece in ("I should do ", "this first."):
            self._update(session, sessionUpdate="agent_thought_chunk", content={"type": "text", "text": piece})
        entries = [
            {"content": "Change the file", "priority": "high", "status": "in_progress"},
            {"content": "Run the tests", "priority": "medium", "status": "pending"},
        ]
        self._update(session, sessionUpdate="plan", entries=entries)
        if name != "edit":
            return [{"type": "content", "content": {"type": "text", "text": "What it will do"}}]
        return [{"type": "diff", "path": given["path"], "oldText": None, "newText": given["text"]}]

    def _ask(self, session: Session, call: Json) -> str:
        """Ask for the permission of a call. Return the refusal for the model, empty if it is allowed."""
        options = [
            {"optionId": "odd-2", "name": "Always", "kind": "allow_always"},
            {"optionId": "odd-1", "name": "Yes", "kind": "allow_once"},
            {"optionId": "odd-3", "name": "No", "kind": "reject_once"},
        ]
        options = options[:1] if self.on("only-always") else options
        asked: Json = {"sessionId": session.id, "toolCall": call, "options": options}
        numbers = [self._request("session/request_permission", asked)]
        if self.on("acts-early"):
            done = {"toolCallId": call["toolCallId"], "status": "completed"}
            self._update(session, sessionUpdate="tool_call_update", **done)
        for other in range(1, int(self.switches.get("asks-many") or 1)):
            more = {**asked, "toolCall": {**call, "toolCallId": f"{call['toolCallId']}-{other}"}}
            numbers.append(self._request("session/request_permission", more))
        if self.on("withdraws"):
            self.output.send({"method": "$/cancel_request", "params": {"requestId": numbers[0]}})
        if self.on("die", "ask"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.on("abandons"):
            raise Stopped("end_turn")
        answers = [self._wait(number) for number in numbers]
        chosen = [(answer.get("outcome") or {}).get("optionId") for answer in answers]
        if self._cancelled.is_set():
            raise Cancelled
        if all(option in {"odd-1", "odd-2"} for option in chosen):
            return ""
        if self.on("reject-ends"):
            raise Stopped("end_turn")
        if self.on("reject-cancels"):
            raise Stopped("cancelled")
        return "The user rejected this call."

    def _run(self, command: str) -> tuple[str, str]:
        path = os.path.join(os.environ["HOME"], ".fake-output")
        with open(path, "wb") as file:
            actions = [(os.POSIX_SPAWN_DUP2, file.fileno(), 1), (os.POSIX_SPAWN_DUP2, file.fileno(), 2)]
            self._tool = os.posix_spawn("/bin/sh", ["sh", "-c", command], os.environ, file_actions=actions, setsid=True)
        if self.on("die", "tool"):
            os.kill(os.getpid(), signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(self._tool, 0)[1])
        self._tool = 0
        with open(path) as file:
            return file.read(), "completed" if status == 0 else "failed"

    def _edit(self, session: Session, path: str, text: str) -> tuple[str, str, list[Json]]:
        try:
            with open(path) as file:
                before = file.read()
        except OSError:
            before = ""
        with open(path, "w") as file:
            file.write(text)
        if self.on("fs-write"):
            self._wait(self._request("fs/write_text_file", {"sessionId": session.id, "path": path, "content": text}))
        return "written", "completed", [{"type": "diff", "path": path, "oldText": before or None, "newText": text}]

    # What it should not do

    def _misbehave(self, session: Session) -> None:
        raw = self.output.raw
        if self.on("leaves-children"):
            command = ["sh", "-c", self.switches["leaves-children"]]
            os.posix_spawn("/bin/sh", command, os.environ, setsid=True)
        if self.on("die", ""):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.on("exit"):
            os.write(2, b"the agent gives up\n")
            os._exit(int(self.switches["exit"]))
        for switch, line in (
            ("bad-json", b"Loading the model ...\n"),
            ("not-rpc", b'[{"jsonrpc": "2.0", "method": "session/update"}]\n'),
            ("deep-json", b'{"jsonrpc": "2.0", "method": "x", "params": ' + b"[" * 100_000 + b"\n"),
            ("bad-utf8", b'{"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": "\xff"}}\n'),
            ("unasked-answer", b'{"jsonrpc": "2.0", "id": 4711, "result": {}}\n'),
            ("half-line", b'{"jsonrpc": "2.0", "method": "session/upd'),
        ):
            if self.on(switch):
                raw(line)
        if self.on("huge-line"):
            raw(b" " * int(self.switches["huge-line"]) + b"\n")
        while self.on("endless-line"):
            raw(b" " * 65536)
        if self.on("half-line") or self.on("close-output"):
            os.close(1)
            threading.Event().wait()
        if self.on("silence"):
            threading.Event().wait()
        if self.on("bad-update"):
            self._update(session, sessionUpdate="tool_call", title="hidden")
        if self.on("same-id"):
            for _ in range(2):
                asked = {"sessionId": session.id, "toolCall": {"toolCallId": "t"}, "options": []}
                self._request("session/request_permission", asked, number="same")
        for count in range(int(self.switches.get("flood") or 0)):
            self._update(session, sessionUpdate="agent_thought_chunk", content={"type": "text", "text": str(count)})
        if self.on("unknown-methods"):
            for method in ("terminal/create", "session/request_everything"):
                self._wait(self._request(method, {"sessionId": session.id}))
            self.output.send({"method": "_vendor/status", "params": {"anything": [1]}})
            self._update(session, sessionUpdate="state_update", state="running")
        if self.on("unknown-ids"):
            other = Session("another-session", False)
            self._update(other, sessionUpdate="agent_message_chunk", content={"type": "text", "text": "not for you"})
            asked = {"sessionId": other.id, "toolCall": {"toolCallId": "t"}, "options": []}
            self._wait(self._request("session/request_permission", asked))
            self._update(session, sessionUpdate="tool_call_update", toolCallId="unheard", status="completed")
        if self.on("question") and "elicitation" in self.client:
            schema = {"type": "object", "properties": {"color": {"type": "string"}}, "required": ["color"]}
            asked = {"sessionId": session.id, "mode": "form", "message": "Which color?", "requestedSchema": schema}
            answer = self._wait(self._request("elicitation/create", asked))
            self._say(session)(json.dumps(answer))


def main(arguments: list[str]) -> None:
    switches: dict[str, str] = {}
    for argument in arguments:
        name, _, switches[name] = argument.partition("=")
        if name not in SWITCHES:
            sys.exit(f"unknown switch {name}")
    Agent(switches).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
