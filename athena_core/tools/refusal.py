"""Refusals: calls that the profile, the arguments or the workspace forbid."""


class ToolRefused(Exception):
    """The profile or the arguments forbid the call: nothing was done. The text is told to the model."""


class PathRefused(ToolRefused):
    """A path that is not opened.

    The text tells a model the problem and the remedy; an API client gets ``problem`` and a remedy of its own.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        """Carry both."""
        super().__init__(f"{problem}. {remedy}")
        self.problem = problem
