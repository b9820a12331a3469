"""Refusals of tool calls."""


class ToolRefused(Exception):
    """The profile, the arguments or the workspace forbid the call. It was not executed. The model gets the message."""


class PathRefused(ToolRefused):
    """A path that must not be opened.

    The message for a model has the problem and the remedy. An API client gets ``problem`` with a remedy of its own.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        """Take the problem and the remedy."""
        super().__init__(f"{problem}. {remedy}")
        self.problem = problem
