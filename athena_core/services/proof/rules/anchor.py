"""Rules of kept anchors: each position of another log has a stream of its own."""

from athena_core.domain import anchor
from athena_core.event import Event
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, rule


class AnchorRules(RuleSet):
    """The anchors of other logs; these rules need no state."""

    @rule(*anchor.DECIDER.events)
    def anchors(self, row: Row, event: Event) -> str | None:
        """An anchor is the first event of the stream of its log and position; conflicts with it follow."""
        assert isinstance(event, anchor.AnchorKept | anchor.AnchorConflicted)
        stream = anchor.stream_of(event.log_id, event.position)
        if row.stream != stream:
            return f"{row.type} of {stream} is in stream {row.stream}"
        legal = (row.version == 1) == isinstance(event, anchor.AnchorKept)
        return None if legal else f"{row.type} is event {row.version} of {stream}; only event 1 is an anchor.kept"
