"""Groups of identities as proxies named them last, for work that goes on without a request."""

from collections.abc import Sequence

from athena_core.decider import Context, Outcome, Reader, facts_of
from athena_core.domain import plane
from athena_core.domain.plane import GROUPS_GUARD, GroupsChanged
from athena_core.event import Meta
from athena_core.log.tail import Tail
from athena_core.log.writer import Log
from athena_core.protocols import Row
from athena_core.values import Identity


class SeenGroups:
    """The groups of each identity that had a role when its last command arrived, from any server of the log."""

    def __init__(self, log: Log, tail: Tail) -> None:
        """Read the guard rows, then follow the log."""
        self._log = log
        tail.subscribe(self._follow, frozenset((GroupsChanged.TYPE,)))
        reader = log.reader()
        try:
            self._groups = {key: tuple(map(str, value)) for _, key, value in reader.guards(GROUPS_GUARD)}
        finally:
            reader.close()

    def of(self, subject: str) -> tuple[str, ...]:
        """Return the groups of an identity, highest role first. They may have lost their role since."""
        return self._groups.get(subject, ())

    async def note(self, who: Identity, meta: Meta) -> None:
        """Record the groups of an identity if they have changed."""

        def note(reader: Reader, context: Context) -> Outcome:
            if reader.guards(GROUPS_GUARD).get(who.subject, ()) == who.groups:
                return Outcome()
            return Outcome(facts=facts_of(plane.STREAM, (GroupsChanged(identity=who.subject, groups=who.groups),)))

        await self._log.submit(note, meta)
        self._set(who.subject, who.groups)

    def _follow(self, rows: Sequence[Row]) -> None:
        for row in rows:
            event = self._log.codec.decode(row).event
            if isinstance(event, GroupsChanged):
                self._set(event.identity, event.groups)

    def _set(self, subject: str, groups: tuple[str, ...]) -> None:
        if groups:
            self._groups[subject] = groups
        else:
            self._groups.pop(subject, None)
