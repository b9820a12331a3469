"""The ledger of a gateway: what the work that owns the gateway reserves, pays and shows."""

from typing import Literal, NamedTuple, Protocol, TypeAlias

from athena_core.outside_text import OutsideText
from athena_core.providers.prices import CallCost

CallOutcome: TypeAlias = Literal["answered", "failed", "cut", "refused"]
"""``answered``: complete. ``failed``: the server refused it, broke off or could not be reached. ``cut``: cut off by the
client, by the budget or by the end of the gateway. ``refused``: the gateway did not send it.
"""


class EndedCall(NamedTuple):
    """A model call that has ended. ``cost`` is None if nothing is to be paid.

    ``call`` counts the calls of a gateway from 1. ``asked`` is the model in the request; ``cost`` names the one that
    served it. ``problem`` is a sentence for operators, which may quote the server; it means nothing after an answer.
    ``latency_ms`` is the time from the reservation to the end.
    """

    call: int
    asked: str
    outcome: CallOutcome
    problem: OutsideText
    cost: CallCost | None
    latency_ms: int
    foreign_model: bool = False
    """True if the call was refused because the profile does not allow its model."""


class Ledger(Protocol):
    """The money of one piece of work. Calls overlap: up to 16 at once.

    An error of a method other than CallBudgetReached stops the gateway, and leaving it raises the error.
    """

    async def reserve(self, call: int, provider: str, model: str, least: int, most: int | None) -> int | None:
        """Reserve the cost of a call before it is sent. Return how much it may cost, None for any sum.

        Costs are in micro-USD: the least that makes sense, and the most (None if the price is unknown). A stream that
        has used up its sum asks again under the same number, with what the call costs by then included. The answer
        replaces the earlier sum. Raise CallBudgetReached: the call is refused or cut, and so are all later ones.
        """

    async def ended(self, ended: EndedCall) -> None:
        """Record the end of a call, and settle its reservation. Called once for each call, also while leaving."""

    def live(self, call: int, text: str) -> None:
        """Show a piece of what the model says."""
