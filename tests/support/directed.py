"""A model whose turns the input of each run chooses."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.support.model import Step, turn_of
from tests.support.stub import Asked, Behaviour, standing


class DirectedModel:
    """A server of a model with one script for each input."""

    def __init__(self) -> None:
        self.url = ""
        self._scripts: dict[str, tuple[Step, ...]] = {}
        self.otherwise: Step = "done"
        """The answer to any other input. Its requests stand under an empty name."""
        self.requests: dict[str, list[dict[str, Any]]] = {}

    def script(self, name: str, *turns: Step) -> str:
        """Set the turns for runs with this input. Return the input."""
        self._scripts[name] = turns
        self.requests[name] = []
        return name

    def results(self, name: str) -> Sequence[str]:
        """Return the results of the tools that the last request of a script had."""
        messages = self.requests[name][-1]["messages"]
        return [message["content"] for message in messages if message["role"] == "tool"]

    def choose(self, asked: Asked) -> Behaviour:
        messages = asked.body["messages"]
        last = max(number for number, message in enumerate(messages) if message["role"] == "user")
        name = messages[last]["content"]
        if name not in self._scripts:
            self.requests.setdefault("", []).append(asked.body)
            return turn_of(self.otherwise, 1)
        self.requests[name].append(asked.body)
        number = sum(1 for message in messages[last:] if message["role"] == "assistant" and message.get("tool_calls"))
        script = self._scripts[name]
        return turn_of(script[min(number, len(script) - 1)], len(self.requests[name]))


@contextmanager
def directed() -> Iterator[DirectedModel]:
    """Serve a model that has no scripts yet."""
    model = DirectedModel()
    with standing(model.choose) as stub:
        model.url = stub.url
        yield model
