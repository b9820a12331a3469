"""The kinds of callers whose access is listed: without an identity, each role, and each scope."""

from collections.abc import Iterator

from athena_core.values import Role

PEOPLE = {"vera": Role.VIEWER, "otto": Role.OPERATOR, "ada": Role.ADMIN}
ROLES = ",".join(f"{name}:{role}" for name, role in PEOPLE.items())
OWN_SESSION, OWN_PERSONA = "session", "researcher"
KINDS = ("sessions", "runs", "personas")


def cells() -> Iterator[tuple[str, str, dict[str, str]]]:
    """The headers of each question: its column, whose thing it asks for, who asks."""
    yield "none", "own", {}
    for name, role in PEOPLE.items():
        yield role[0], "own", {"x_athena_identity": name}
    for kind in KINDS:
        for whose in ("own", "other"):
            for name in ("vera", "otto"):
                mark = f"{PEOPLE[name][0]}.{kind[0]}{'' if whose == 'own' else chr(39)}"
                yield mark, whose, {"x_athena_identity": name, "kind": kind}
