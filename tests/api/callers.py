"""The kinds of callers whose access is listed: without an identity, each role, and each scope."""

from collections.abc import Iterator

from athena_core.values import Role

PEOPLE = {"vera": Role.VIEWER, "otto": Role.OPERATOR, "ada": Role.ADMIN}
ROLES = ",".join(f"{name}:{role}" for name, role in PEOPLE.items())
OWN_SESSION, OWN_PERSONA = "session", "researcher"
KINDS = ("sessions", "runs", "personas")


def cells() -> Iterator[tuple[str, dict[str, str]]]:
    """The columns: a mark, and the headers of the caller, with ``own`` or ``other`` for each kind it is narrowed to."""
    yield "none", {}
    for name, role in PEOPLE.items():
        yield role[0], {"x_athena_identity": name}
    for kind in KINDS:
        for whose in ("own", "other"):
            for name in ("vera", "otto"):
                mark = f"{PEOPLE[name][0]}.{kind[0]}{'' if whose == 'own' else chr(39)}"
                yield mark, {"x_athena_identity": name, kind: whose}
