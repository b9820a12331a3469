"""The control plane: its parts, wired once by ``app.build`` and passed to every operation."""

from collections.abc import Mapping
from typing import NamedTuple

from athena_api.sse import Feed
from athena_core.clock import Clock, Ids
from athena_core.providers.provider import Provider
from athena_core.services.access import Access
from athena_core.services.catalog import Catalog
from athena_core.services.runner import Runner
from athena_core.services.runs import Runs
from athena_core.settings import Settings
from athena_core.store.log import Log
from athena_core.store.sqlite import SqliteReader
from athena_core.store.tail import Tail
from projections.views import Views, ViewsReader


class ControlPlane(NamedTuple):
    """Everything an operation may need. ``reader`` and ``views_reader`` belong to the event loop."""

    settings: Settings
    clock: Clock
    ids: Ids
    log: Log
    tail: Tail
    reader: SqliteReader
    views: Views
    views_reader: ViewsReader
    feed: Feed
    access: Access
    catalog: Catalog
    runs: Runs
    runner: Runner
    providers: Mapping[str, Provider]
