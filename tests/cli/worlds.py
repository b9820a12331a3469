"""Two worlds in which the same commands are run, each over its transport; and what makes their outputs comparable."""

import base64
import binascii
import json
import re
import signal
import string
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.cli.terminal import Result, Terminal, attentive
from tests.support.api import Api
from tests.support.model import Profile, acting, call
from tests.support.repository import branch, make

TRANSPORTS = ("api", "local")
MEASURED = re.compile(r'("(?:pid|bytes|\w*(?:Ms|[sS]econds|PerSecond|Bytes|At))"):(?:\d[\d.e+-]*|"<time>")')
ESTIMATED = re.compile(r"\babout [\d.]+ m?s\b")
TOOK = re.compile(r"[\d.]+ m?s\]")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")
NAMES = re.compile(
    r"\b(?P<token>ath_[0-9A-Z]{26}_[\w-]{43})|"
    r"\b(?P<record>[a-z]+)[_:-][0-9A-HJKMNP-TV-Z]{26}\b|\b(?P<event>A[\w-]{27})(?![\w-])|\b(?P<hash>[0-9a-f]{16,64})\b"
    r"|\b(?P<trace>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b|\bprocess (?P<process>\d+)\b|\b(?P<cursor>eyJ[\w-]+)"
)


class World:
    """A state directory and a workspace, a server on them, and commands that reach it over one transport."""

    def __init__(self, terminal: Terminal, transport: str, api: Api) -> None:
        self.terminal = terminal
        self.transport = transport
        self.api = api
        self.kept: dict[str, str] = {"dir": str(terminal.directory)}
        self._numbers: dict[str, str] = {}

    def run(self, arguments: list[str], *, reaching: bool, **settings: str) -> Result:
        """Run a command to its end; ``$names`` are what was kept of earlier ones."""
        return self.terminal.run(*self.filled(arguments, reaching), **self.told(settings))

    def stream(self, arguments: list[str], lines: int) -> Result:
        """Run a command that ends by Ctrl-C, once it has printed some lines."""
        running = self.terminal.start(*self.filled(arguments, reaching=True))
        for _ in range(lines):
            running.line()
        ended = running.end(signal.SIGINT)
        return Result(ended.code, "\n".join(running.lines[:lines]), ended.err)

    def filled(self, arguments: list[str], reaching: bool) -> list[str]:
        """Return the arguments of a command in this world."""
        filled = [string.Template(argument).safe_substitute(self.kept) for argument in arguments]
        return [*filled, *(("--transport", self.transport) if reaching else ())]

    def told(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Return the settings of a command in this world."""
        return {name: string.Template(value).safe_substitute(self.kept) for name, value in settings.items()}

    def keep(self, name: str, path: str, out: str) -> None:
        """Keep a part of an output under a name, for later commands."""
        value: Any = json.loads(out)
        for part in path.split("."):
            value = value[int(part) if part.isdigit() else part]
        self.kept[name] = str(value)

    def plain(self, text: str) -> str:
        """Return the text without differences between worlds: names become numbers in order of appearance."""
        text = text.replace(str(self.terminal.directory), "<directory>").replace(self.api.url, "<url>")
        text = NAMES.sub(self._numbered, TIME.sub("<time>", text))
        return TOOK.sub("0 s]", ESTIMATED.sub("about 0 s", MEASURED.sub(r"\1:0", text)))

    def _numbered(self, match: re.Match[str]) -> str:
        kind = match["record"] or match.lastgroup or ""
        if kind == "exe":  # one server executes all runs of its world; each command executes its own
            return "<exe>"
        if kind == "cursor":
            return f"<cursor {self.plain(_opened(match['cursor']))}>"
        return self._numbers.setdefault(match[0], f"<{kind} {len(self._numbers)}>")


def _opened(cursor: str) -> str:
    """Return the content of a cursor of a list."""
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return cursor


def shape(value: Any) -> Any:
    """A JSON value without its numbers and texts."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__


@contextmanager
def worlds(directory: Path) -> Iterator[list[World]]:
    """Yield a world for each transport, as similar as possible: an agent, personas, notes, a repository."""
    evidence = call("evidence", label="Proof", type="text", content="it works")
    with ExitStack() as stack:
        stack.enter_context(attentive())
        model = stack.enter_context(acting([evidence, "all done"]))
        found = []
        for transport in TRANSPORTS:
            place = directory / transport
            workspace = place / "workspace"
            workspace.mkdir(parents=True)
            terminal = Terminal(place)
            stack.callback(terminal.close)
            _furnish(workspace)
            agent = {**Profile(tools=("evidence",), budget_usd=0.0001).body, "toolPolicies": None}
            (place / "agent.json").write_text(json.dumps(agent))
            asking = {**Profile(tools=("evidence",)).body, "asks": {"holdMs": 0}}
            asking["toolPolicies"] = {"evidence": {"approval": "ask"}}
            (place / "asking.json").write_text(json.dumps(asking))
            policy = {"schemaVersion": 1, "maxConcurrentRuns": 3}
            (place / "policy.json").write_text(json.dumps({"policy": policy, "auditComment": "?"}))
            terminal.settings |= {
                "workspace_root": str(workspace),
                "memory_enabled": "true",
                "openai_base_url": model.url,
                "local_provider_cmd": "/bin/false",
                "work_max_attempts": "1",
            }
            terminal.variables |= {"HOME": str(place), "SHELL": "/bin/bash"}
            stack.enter_context(terminal.served())
            api = Api(terminal.settings["api_base_url"])
            stack.callback(api.close)
            found.append(World(terminal, transport, api))
        yield found


def _furnish(workspace: Path) -> None:
    branch(make(workspace / "library"), "work", a_py="x = 1\n")
    (workspace / "MEMORY.md").write_text("one\ndeploy on Mondays\nthree\n")
    personas = workspace / "personas"
    personas.mkdir()
    for name in ("ada", "bob"):
        (personas / f"{name}.json").write_text(json.dumps({"schemaVersion": 1, "id": name, "description": name}))
