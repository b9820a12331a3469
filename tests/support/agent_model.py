"""The model of outside agents in tests: the scripted one of ``athena agents check``, served by a stub."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from athena_cli.agent_check.scripted import model as scripted
from athena_cli.agent_check.scripted.model import REFUSAL, TOKENS, Calls, Cuts, Hangs, Refuses, Shell, Step, Writes
from athena_cli.agent_check.scripted.model_server import head_of
from tests.support.stub import Asked, Behaviour, choosing, says, says_and_waits

__all__ = ["REFUSAL", "TOKENS", "AgentModel", "Calls", "Cuts", "Hangs", "Refuses", "Shell", "Step", "Writes", "shell"]


def shell(command: str) -> Step:
    return Shell(command)


class AgentModel(scripted.AgentModel):
    """The model, with its answers as behaviours of a stub."""

    url = ""

    def choose(self, asked: Asked) -> Behaviour:
        """Return the answer to a request."""
        answer = self.answer(asked)
        write = says_and_waits if answer.hangs else says
        return write(head_of(answer), *answer.pieces)


@asynccontextmanager
async def agent_model(*script: Step) -> AsyncIterator[AgentModel]:
    """Serve a scripted model in this event loop."""
    model = AgentModel(script)
    async with choosing(model.choose) as stub:
        model.url = stub.url
        yield model
