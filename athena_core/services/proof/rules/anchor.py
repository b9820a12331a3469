"""Rules of kept anchors: one for each position of another log, in a stream of its own."""

from athena_core.domain import anchor
from athena_core.event import Event
from athena_core.protocols import Row
from athena_core.services.proof.rule import RuleSet, rule


class AnchorRules(RuleSet):
    """The anchors of other logs; nothing is remembered of them."""

    @rule(*anchor.DECIDER.events)
    def anchors(self, row: Row, event: Event) -> str | None:
        """An anchor is kept once, and begins the stream of its log and position; what conflicts with it follows."""
        assert isinstance(event, anchor.AnchorKept | anchor.AnchorConflicted)
        stream = anchor.stream_of(event.log_id, event.position)
        if row.stream != stream:
            return f"{row.type} of {stream} stands in {row.stream}"
        legal = (row.version == 1) == isinstance(event, anchor.AnchorKept)
        return None if legal else f"{row.type} is event {row.version} of {stream}"
