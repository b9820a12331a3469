"""The errors of runs that outside agents work on."""

from athena_core.errors.families import Conflict, Unavailable, Upstream


class AgentUnavailable(Unavailable):
    """The executor cannot start the agent of the run: it is not registered there, or its program is missing."""

    code = "AGENT_UNAVAILABLE"
    retryable = True
    key_bound = True


class AgentGone(Upstream):
    """The agent's process ended during the run, as often as it may be started again."""

    code = "AGENT_GONE"
    retryable = True
    key_bound = True


class AgentSilent(Upstream):
    """The agent sent nothing for longer than the limit of silence."""

    code = "AGENT_SILENT"
    retryable = True
    key_bound = True


class AgentBroken(Upstream):
    """The agent broke its protocol: a line was too long, not JSON, or of an unknown shape. See agents.md."""

    code = "AGENT_BROKEN"


class AgentModeChanged(Upstream):
    """The agent did not take the mode that Athena ordered, or left it."""

    code = "AGENT_MODE_CHANGED"


class AgentRefused(Upstream):
    """The agent, or its model, refused to go on with the run."""

    code = "AGENT_REFUSED"


class AskRejected(Conflict):
    """A person refused a permission, and the agent stopped because of that. A new run may ask again."""

    code = "ASK_REJECTED"
    retryable = True
    key_bound = True
