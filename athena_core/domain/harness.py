"""The harness profile: which model runs with which tools under which limits, immutable once created."""

import re
from typing import ClassVar

from msgspec.structs import replace

from athena_core.decider import Context, Decider
from athena_core.errors import ConfigError
from athena_core.event import Event, Value
from athena_core.values import Egress, HarnessSpec

HOST = re.compile(r"(\*\.)?([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")

# Stored events. Their TYPE is storage: never rename one.


class HarnessProfileCreated(Event):
    """A harness profile exists."""

    TYPE: ClassVar[str] = "harness-profile.created"
    harness_profile_id: str
    version: str
    provider: str
    model: str
    profile: HarnessSpec


# State


class HarnessState(Value):
    """The profile, once it exists."""

    profile: HarnessSpec | None = None


def evolve(state: HarnessState, event: Event) -> HarnessState:
    """Follow one event."""
    match event:
        case HarnessProfileCreated():
            return HarnessState(profile=event.profile)
        case _:
            return state


# Commands


class CreateHarnessProfile(Value):
    """Create a harness profile under a new id."""

    harness_profile_id: str
    spec: HarnessSpec


def normalise(spec: HarnessSpec, providers: frozenset[str]) -> HarnessSpec:
    """The profile as it is kept: tools once each, hosts in lower case. Raises ConfigError (contract 4.5)."""
    if spec.config.provider not in providers:
        known = ", ".join(sorted(providers))
        raise ConfigError.of(
            "config.provider", f"no provider {spec.config.provider!r} is registered", f"one of {known}"
        )
    egress = _normal_egress(spec.allowed_egress or ())
    policies = spec.verification_policies or ()
    seen: set[str] = set()
    for index, policy in enumerate(policies):
        if policy.id in seen:
            raise ConfigError.of(f"verificationPolicies[{index}].id", f"{policy.id!r} is used twice", "ids are unique")
        seen.add(policy.id)
    config = replace(spec.config, tools=tuple(dict.fromkeys(spec.config.tools)))
    return replace(spec, config=config, allowed_egress=egress or None, verification_policies=policies or None)


def _normal_egress(entries: tuple[Egress, ...]) -> tuple[Egress, ...]:
    normal: dict[tuple[str, int | None], Egress] = {}
    for index, entry in enumerate(entries):
        if not HOST.fullmatch(entry.host):
            remedy = "a host name, an IPv4 address, or *.example.org"
            raise ConfigError.of(f"allowedEgress[{index}].host", f"{entry.host!r} is no host", remedy)
        host = entry.host.lower()
        if (host, entry.port) in normal:
            raise ConfigError.of(f"allowedEgress[{index}]", f"{host}:{entry.port} is listed twice")
        normal[host, entry.port] = Egress(host=host, port=entry.port)
    return tuple(normal.values())


def decide(command: CreateHarnessProfile, state: HarnessState, context: Context) -> tuple[Event, ...]:
    """Create it once."""
    if state.profile is not None:
        return ()
    spec = command.spec
    return (
        HarnessProfileCreated(
            harness_profile_id=command.harness_profile_id,
            version=spec.version,
            provider=spec.config.provider,
            model=spec.config.model,
            profile=spec,
        ),
    )


DECIDER: Decider[HarnessState] = Decider(
    category="hp", events=(HarnessProfileCreated,), initial=HarnessState(), evolve=evolve
)
