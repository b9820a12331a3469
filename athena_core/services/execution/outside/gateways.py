"""The model gateways of the runs of this executor: which server of models serves which agent."""

from collections.abc import Mapping

from athena_core.agents.known import WIRE_PROVIDERS, AgentWire
from athena_core.clock import Clock, Ids
from athena_core.errors import AgentUnavailable
from athena_core.gateway.gateway import Gateway
from athena_core.gateway.upstream import ModelServer
from athena_core.mcp.served import McpService
from athena_core.providers.prices import Prices
from athena_core.services.execution.outside.run_ledger import RunLedger


class Gateways:
    """Makes the gateway of each run. All share the connections to the servers of models."""

    def __init__(self, servers: Mapping[str, ModelServer], prices: Prices, clock: Clock, ids: Ids) -> None:
        self._servers = servers
        self._prices = prices
        self._clock = clock
        self._ids = ids

    def of_run(
        self,
        wire: AgentWire,
        provider: str,
        ledger: RunLedger,
        models: Mapping[str, str],
        boxed: bool,
        tools: McpService,
    ) -> Gateway:
        """Return the gateway of a run whose calls ``provider`` is paid for. Raise AgentUnavailable."""
        serves = WIRE_PROVIDERS[wire]
        if provider != serves:
            message = f"the agent asks models by {wire}, which provider {serves!r} serves, not {provider!r}"
            raise AgentUnavailable(f"{message}. Set config.provider of the profile.")
        server = self._servers[provider]
        if not server.configured:
            raise AgentUnavailable(f"provider {provider!r} has no key on this executor. Set it, and restart.")
        prices, clock, ids = self._prices, self._clock, self._ids
        return Gateway(wire, server, ledger, models, prices=prices, clock=clock, ids=ids, boxed=boxed, tools=tools)

    async def close(self) -> None:
        """Close the connections to the servers."""
        for server in self._servers.values():
            await server.close()
