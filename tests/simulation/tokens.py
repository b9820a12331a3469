"""The corner of tokens: two servers on one log that create, revoke, look up and forget tokens and sessions."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from athena_core.decider import Key
from athena_core.errors import AthenaError, NotFound
from athena_core.event import Meta
from athena_core.log.tail import Tail
from athena_core.roles import Roster
from athena_core.services.access.authentication_limits import AuthenticationLimits
from athena_core.services.access.token_records import IssuedToken, TokenBody, TokenRecords, TokenScopeBody
from athena_core.services.access.tokens import Tokens
from athena_core.values import Identity, Role
from tests.simulation.histories import Played, Step, swarm
from tests.simulation.small_log import SmallWorld, opened
from tests.simulation.tokens_judge import RANKS, KnownToken, TokenJudge

BATCH = 200
MOVES = {
    "create": 6, "refused": 1, "rotate": 1.5, "revoke": 3, "log_in": 5, "storm": 0.4, "log_out": 1, "use": 16,
    "wrong": 3, "wait": 4, "restart": 2, "crash": 1.5, "last": 3,
}  # fmt: skip
ROLES = {"alice": Role.ADMIN, "bob": Role.OPERATOR, "vic": Role.VIEWER, "out": Role.NONE}
TOKEN_ROLES = ("Admin", "Operator", "Viewer")
WAITS = (0.5, 2.0, 61.0, 3_700.0, 43_300.0, 86_500.0, 31 * 86_400.0)
PAGE_SECONDS = 0.5
"""The time after which another server has read a commit."""


def plan(seed: str) -> list[Step]:
    first, *rest = swarm(seed, MOVES, random.Random(f"{seed}:size").choice((6, 10, 16, 24)), (0.1, 0.3, 1))
    return [first._replace(name="create"), *rest]


class TokenServer:
    """One server: its view of the log, and the services of tokens."""

    def __init__(self, world: "TokenWorld", name: str, log: Any, roles: dict[str, Role]) -> None:
        self.world, self.name, self.log = world, name, log
        roster = Roster(enabled=True, roles=roles, default=Role.NONE)
        self.roles = roles
        self.tail = Tail(log)
        self.tokens = Tokens(
            log, self.tail, world.clock, world.ids, roster, AuthenticationLimits(log, world.clock, world.ids)
        )
        self.records = TokenRecords(log, world.ids, roster, lambda: None)
        self.following = world.loop.create_task(self.tail.follow())

    def stop(self) -> None:
        self.following.cancel()

    async def tick(self) -> None:
        """Store the uses, as the timer does each second."""
        await asyncio.sleep(1)
        if self in self.world.servers:
            await self.tokens.tick()


class TokenWorld(SmallWorld):
    """Two servers, their clients, and the tokens of a history."""

    def __init__(self, seed: str, trace: Callable[[str], None] | None) -> None:
        super().__init__(seed, trace)
        self.judge = TokenJudge(self.clock.now, self.say)
        self.servers: list[TokenServer] = []
        self._numbers = 0

    def stop(self) -> None:
        for server in self.servers:
            server.stop()

    def _new_log(self) -> Any:
        return opened(self.log.store, self.loop, self.clock, self.ids)

    async def _followed(self) -> None:
        """Let the other server read what was committed."""
        await asyncio.sleep(PAGE_SECONDS * self.loop.chance.random())
        for server in list(self.servers):
            server.tail.refresh()

    # The moves

    async def move(self, step: Step) -> None:
        self.say(f"{step.number} {step.name}")
        with suppress(AthenaError):
            await getattr(self, f"_{step.name}")(step.chance)
        await asyncio.sleep(0.001)  # an answer takes time on its way
        self.spawn(self._followed())

    def _server(self, chance: random.Random) -> TokenServer:
        return chance.choice(self.servers)

    def _token(self, chance: random.Random) -> KnownToken | None:
        return chance.choice(self.judge.tokens) if self.judge.tokens else None

    async def _create(self, chance: random.Random) -> None:
        identity = chance.choice(("alice", "bob", "bob", "vic"))
        role = chance.choice(TOKEN_ROLES)
        if not self.judge.tokens:  # the first one is created in each history
            role = min((role, ROLES[identity].value), key=RANKS.__getitem__)
        scope = TokenScopeBody(sessions=("s",)) if role != "Admin" and chance.random() < 0.4 else None
        after = chance.choice((None, 60_000, 3_600_000, 86_400_000))
        await self._issued(chance, TokenBody(identity=identity, role=role, scope=scope, expires_after_ms=after))  # type: ignore[arg-type]

    async def _refused(self, chance: random.Random) -> None:
        body = TokenBody(identity=chance.choice(("out", "system:x", "vic", "bob")), role="Admin")
        if chance.random() < 0.3:
            body = TokenBody(identity="alice", role="Admin", scope=TokenScopeBody(runs=("run_1",)))
        await self._issued(chance, body)

    async def _issued(self, chance: random.Random, body: TokenBody) -> None:
        server = self._server(chance)
        self._numbers += 1
        key = Key.of("alice", "createToken", f"k{self._numbers}", b"") if chance.random() < 0.4 else None
        who = Identity(subject="alice", role=Role.ADMIN)
        try:
            done = await server.records.create(body, who, self._meta(), key)
        except AthenaError as error:
            self.judge.refused(body, server.roles, error.code)
            return
        self.say(f"  {server.name} creates {done.subject}")
        self.judge.created(server, body, done.handover, done.subject)
        if key is not None:
            again = await self._server(chance).records.create(body, who, self._meta(), key)
            if not again.replayed or again.handover is not None or again.subject != done.subject:
                self.judge.fail("key", f"a repeated key created {again.subject} after {done.subject}")

    async def _rotate(self, chance: random.Random) -> None:
        old = self._token(chance)
        if old is not None:
            await asyncio.gather(self._create(chance), self._revoked(old, self._server(chance)))

    async def _revoke(self, chance: random.Random) -> None:
        found = self._token(chance)
        if found is not None:
            times = 2 if chance.random() < 0.2 else 1
            await asyncio.gather(*(self._revoked(found, self._server(chance)) for _ in range(times)))

    async def _revoked(self, found: KnownToken, server: TokenServer) -> None:
        self.judge.revoking(found)
        try:
            await server.records.revoke(found.token_id, "alice", self._meta(), None)
        except NotFound:
            self.judge.fail("revoked", f"{found.token_id} cannot be revoked")
        self.judge.revoked(found, server)

    async def _log_in(self, chance: random.Random, times: int = 1) -> None:
        parent, server = self._token(chance), self._server(chance)
        if parent is None:
            return
        who = self._identified(parent, server, parent.text)
        if who is None:
            return
        for _ in range(times):
            try:
                done = await server.records.log_in(who, self._meta(), None)
            except AthenaError as error:
                self.marks[f"code {error.code}"] += 1
                self.judge.not_logged_in(parent, error.code)
                return
            issued = done.handover
            assert isinstance(issued, IssuedToken)
            self.judge.logged_in(server, parent, who, issued)

    async def _storm(self, chance: random.Random) -> None:
        await self._log_in(chance, times=22)

    async def _log_out(self, chance: random.Random) -> None:
        found, server = self._token(chance), self._server(chance)
        who = None if found is None else self._identified(found, server, found.text)
        if found is not None and who is not None:
            if found.parent is not None:
                self.judge.revoking(found)
            await server.records.log_out(who, self._meta(), None)
            if found.parent is not None:
                self.judge.revoked(found, server)

    async def _use(self, chance: random.Random) -> None:
        found, server = self._token(chance), self._server(chance)
        if found is not None:
            self._identified(found, server, found.text)

    async def _wrong(self, chance: random.Random) -> None:
        """Send a token whose secret is another one's, or that is cut."""
        found, other = self._token(chance), self._token(chance)
        if found is None or other is None:
            return
        text = chance.choice((found.text[:-1], f"{found.text[:-3]}abc", found.text[:31] + other.text[31:]))
        if text != found.text:
            self._identified(found, self._server(chance), text)

    def _identified(self, found: KnownToken, server: TokenServer, text: str) -> Identity | None:
        self._numbers += 1
        try:
            who = server.tokens.identify(text.encode(), f"10.0.{self._numbers // 250}.{self._numbers % 250}")
        except AthenaError as error:
            self.marks[f"code {error.code}"] += 1
            self.say(f"  {server.name} refuses {found.token_id}: {error.code}")
            self.judge.not_identified(found, server, error.code, is_right=text == found.text)
            return None
        self.judge.identified(found, server, who, is_right=text == found.text)
        self.spawn(server.tick())
        if who.token is not None and not (server.tokens.in_force(who.token) and server.tokens.again(who.token) == who):
            self.judge.fail("force", f"{found.token_id} was identified and is not in force")
        return who

    async def _wait(self, chance: random.Random) -> None:
        await asyncio.sleep(chance.choice(WAITS))

    async def _restart(self, chance: random.Random) -> None:
        """Restart a server in order, now and then with another map of roles."""
        server = self._server(chance)
        await server.tokens.flush()
        self._replace(server, chance)

    async def _crash(self, chance: random.Random) -> None:
        server = self._server(chance)
        self.judge.crashed(server)
        self._replace(server, chance)

    def _replace(self, server: TokenServer, chance: random.Random) -> None:
        server.stop()
        roles = ROLES | ({"bob": Role.VIEWER} if chance.random() < 0.3 else {})
        self.servers[self.servers.index(server)] = TokenServer(self, server.name, self._new_log(), roles)

    async def _last(self, chance: random.Random) -> None:
        found, server = self._token(chance), self._server(chance)
        if found is not None:
            self.judge.last_used(found, server, server.tokens.last_used((found.token_id,)).get(found.token_id))

    def _meta(self) -> Meta:
        return Meta(actor="alice", correlation="00000000-0000-4000-8000-000000000000")

    # The history

    async def play(self, steps: Sequence[Step]) -> None:
        self.servers = [TokenServer(self, name, self._new_log(), ROLES) for name in "ab"]
        await asyncio.sleep(0)
        for step in steps:
            if step.at > self.loop.time():
                await asyncio.sleep(step.at - self.loop.time())
            await self.move(step)
        await asyncio.sleep(2)
        self.judge.end(self.log.store.reader().rows(0, 10_000))


def play(seed: str, steps: Sequence[Step], trace: Callable[[str], None] | None) -> Played:
    """Play steps and judge them."""
    return TokenWorld(seed, trace).played(steps)
