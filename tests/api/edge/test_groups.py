"""Groups: the header that an identity proxy sends, and the roles that they give."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from athena_api.edge.identity import GROUPS_BYTES_MAX, GROUPS_MAX
from athena_core.errors import ConfigError
from athena_core.roles import GROUPS_KEPT_MAX, Roster, parse_group_role_map
from athena_core.settings import load
from athena_core.values import Identity, Role
from tests.support import edge
from tests.support.tokens import TokenLog, token_log

NAME, GROUPS = b"x-athena-identity", b"x-forwarded-groups"
MAP = {
    "admins": Role.ADMIN,
    "dev:ops": Role.OPERATOR,
    "/teams/red team": Role.OPERATOR,
    "readers": Role.VIEWER,
    "contractors": Role.NONE,
}
PLANES: list[TokenLog] = []


@pytest.fixture(scope="module", autouse=True)
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with token_log(tmp_path_factory.mktemp("groups")) as made:
        made.roster.groups = MAP
        PLANES.append(made)
        yield
        PLANES.clear()


async def asked(*groups: bytes, name: bytes = b"bob", header: bytes = GROUPS, **request: Any) -> edge.Asked:
    """Send a request of an identity with the groups header."""
    headers = [(NAME, name), *((header, value) for value in groups)]
    return await edge.ask(PLANES[0], headers, groups_header=GROUPS.decode(), **request)


async def identity(*groups: bytes, **request: Any) -> Identity:
    found = (await asked(*groups, **request)).identity
    assert found is not None
    return found


# The header


@pytest.mark.parametrize(
    ("value", "role", "kept"),
    [
        (b"admins", Role.ADMIN, ("admins",)),
        (b"readers,admins", Role.ADMIN, ("admins", "readers")),
        (b"readers , dev:ops", Role.OPERATOR, ("dev:ops", "readers")),
        (b"/teams/red team", Role.OPERATOR, ("/teams/red team",)),
        (b"contractors", Role.NONE, ("contractors",)),
        (b"contractors,readers", Role.VIEWER, ("readers", "contractors")),
        (b"admins,admins,,admins", Role.ADMIN, ("admins",)),
        # text that gives no role, and is not refused: a directory has many groups
        (b"", Role.VIEWER, ()),
        (b",, ,", Role.VIEWER, ()),
        (b"Admins,ADMINS,admin,adminss,dev,ops,dev:ops:x,/teams/red  team,red team", Role.VIEWER, ()),
        (b"role:Admin,*,None,Admin,alice", Role.VIEWER, ()),
        ("Köln,日本".encode(), Role.VIEWER, ()),
        (b"\xff\xfe\x80", Role.VIEWER, ()),
        (b'"admins"', Role.VIEWER, ()),
        (b"admins;readers", Role.VIEWER, ()),
        (b"[admins]", Role.VIEWER, ()),
    ],
)
async def test_the_highest_role_of_the_groups_counts(value: bytes, role: Role, kept: tuple[str, ...]) -> None:
    assert await identity(value) == Identity(subject="bob", role=role, groups=kept)


async def test_without_the_header_there_are_no_groups() -> None:
    assert await identity() == Identity(subject="bob", role=Role.VIEWER)


async def test_the_entry_of_an_identity_wins() -> None:
    assert (await identity(b"readers", name=b"alice")).role is Role.ADMIN
    assert (await identity(b"admins", name=b"out")).role is Role.NONE


@pytest.mark.parametrize(
    "groups",
    [
        [(GROUPS, b"readers"), (GROUPS, b"admins")],
        [(GROUPS, b""), (GROUPS, b"admins")],
        [(GROUPS, b"readers"), (b"x_forwarded_groups", b"admins")],
        [(b"x_forwarded-groups", b"admins")],
        [(b"X-Forwarded_Groups", b"")],
    ],
)
async def test_groups_that_a_client_could_have_added_are_400(groups: edge.Headers) -> None:
    found = await edge.ask(PLANES[0], [(NAME, b"bob"), *groups], groups_header=GROUPS.decode())
    assert (found.status, found.code) == (400, "AUTH_IDENTITY_AMBIGUOUS")
    assert found.message == "The header x-forwarded-groups must be sent at most once, in one spelling."


async def test_groups_are_limited_by_number_and_by_bytes() -> None:
    most = [b"g"] * (GROUPS_MAX - 1) + [b"admins"]
    assert (await identity(b",".join(most))).role is Role.ADMIN
    found = await asked(b",".join([*most, b"g"]))
    assert (found.status, found.code) == (400, "AUTH_IDENTITY_INVALID")
    assert found.message.startswith(f"The header x-forwarded-groups may list at most {GROUPS_MAX} groups")
    long = b"admins," + b"g" * GROUPS_BYTES_MAX
    assert (await identity(long[:GROUPS_BYTES_MAX])).role is Role.ADMIN
    assert (await asked(long[: GROUPS_BYTES_MAX + 1])).code == "AUTH_IDENTITY_INVALID"


async def test_a_peer_that_is_not_trusted_names_no_groups() -> None:
    outside = ("192.0.2.7", 50_000)
    assert (await asked(b"admins", client=outside)).code == "AUTH_PROXY_UNTRUSTED"
    text, _ = PLANES[0].create("ci", Role.VIEWER)
    headers = [(b"authorization", b"Bearer " + text.encode()), (GROUPS, b"admins")]
    found = await edge.ask(PLANES[0], headers, groups_header=GROUPS.decode(), client=outside)
    assert found.identity is not None
    assert (found.identity.role, found.identity.groups) == (Role.VIEWER, ())


async def test_without_a_map_the_header_means_nothing() -> None:
    PLANES[0].roster.groups = {}
    try:
        assert await identity(b"admins", b"admins") == Identity(subject="bob", role=Role.VIEWER)
    finally:
        PLANES[0].roster.groups = MAP


@given(st.binary(max_size=200).filter(lambda value: not {10, 13, 0} & set(value)))
async def test_any_bytes_are_groups_or_refused(value: bytes) -> None:
    found = await asked(value)
    assert found.identity is not None
    assert found.identity.role in {Role.VIEWER, *MAP.values()}


# The roster


def test_few_groups_are_kept_and_the_role_stays() -> None:
    groups = {f"g{number:03}": Role.VIEWER for number in range(100)} | {"zz": Role.ADMIN}
    roster = Roster(enabled=True, roles={}, default=Role.NONE, groups=groups)
    found = roster.identity("bob", groups=sorted(groups))
    assert found.role is Role.ADMIN
    assert len(found.groups) == GROUPS_KEPT_MAX
    assert found.groups[:2] == ("zz", "g000")
    assert roster.identity("bob", groups=found.groups) == found


def test_the_hash_covers_the_groups() -> None:
    def sha256(groups: dict[str, Role] | None) -> str:
        return Roster(enabled=True, roles={"a": Role.ADMIN}, default=Role.NONE, groups=groups).sha256

    assert len({sha256(None), sha256({"a": Role.ADMIN}), sha256({"a": Role.VIEWER}), sha256({"b": Role.ADMIN})}) == 4
    assert sha256(None) == sha256({})


def test_with_authentication_off_groups_mean_nothing() -> None:
    roster = Roster(enabled=False, roles={}, default=Role.NONE, groups=MAP)
    assert roster.identity("bob", groups=["contractors"]) == Identity(subject="bob", role=Role.ADMIN)


# The settings


def test_groups_may_have_colons_slashes_and_spaces() -> None:
    assert parse_group_role_map("role:athena:Admin, /teams/red team : viewer,CN=Ops:OPERATOR") == {
        "role:athena": Role.ADMIN,
        "/teams/red team": Role.VIEWER,
        "CN=Ops": Role.OPERATOR,
    }
    assert parse_group_role_map(" ") == {}


@pytest.mark.parametrize(
    "text", ["admins", "admins:", ":Admin", "a:Root", "a:Admin,a:Viewer", "a:Admin,", "*:Admin", "é:Admin"]
)
def test_a_wrong_map_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_group_role_map(text)


def test_one_header_cannot_be_both(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must not be the header of ATHENA_AUTH_IDENTITY_HEADER"):
        load({"ATHENA_AUTH_GROUPS_HEADER": "X-Athena-Identity"}, tmp_path)
    with pytest.raises(ConfigError, match="is reserved"):
        load({"ATHENA_AUTH_GROUPS_HEADER": "Authorization"}, tmp_path)
