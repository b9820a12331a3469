"""Last uses of tokens, which are stored beside the log: on both stores, also in a log that lacks their table."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from athena_core.decider import Outcome, Transaction
from athena_core.log.engine import open_archive
from athena_core.log.port import USES_KEPT_MS
from athena_core.log.postgres.session import SCHEMA
from tests.core.log.pots import alter, commit, fill, new_log, place, url_of

TABLE = {"sqlite": "token_use", "postgres": f"{SCHEMA}.token_use"}


def used(uses: Mapping[str, int]) -> Transaction:
    return lambda reader, context: Outcome(uses=uses)


def test_the_latest_use_is_kept_without_an_event(tmp_path: Path) -> None:
    with closing(new_log(tmp_path)) as log, closing(log.reader()) as reader:
        commit(log, used({"tok_1": 5, "tok_2": 7}))
        commit(log, used({"tok_1": 9}), used({"tok_2": 6}), fill())
        assert reader.token_uses(["tok_1", "tok_2", "tok_3"]) == {"tok_1": 9, "tok_2": 7}
        assert reader.token_uses([]) == {}
        assert (place(log).position, reader.token_uses(["tok_1"])) == (1, {"tok_1": 9})


def test_uses_of_long_ago_are_dropped(tmp_path: Path) -> None:
    with closing(new_log(tmp_path)) as log, closing(log.reader()) as reader:
        commit(log, used({"tok_1": 1, "tok_2": 2}))
        commit(log, used({"tok_3": USES_KEPT_MS + 2}))
        assert reader.token_uses(["tok_1", "tok_2", "tok_3"]) == {"tok_2": 2, "tok_3": USES_KEPT_MS + 2}


def test_a_log_without_the_table_opens_and_gets_it_with_the_first_use(tmp_path: Path, engine: str) -> None:
    new_log(tmp_path).close()
    alter(tmp_path, f"DROP TABLE {TABLE[engine]}")
    archive = open_archive(tmp_path, url_of(tmp_path))
    assert archive.schema.strays == ()
    assert archive.schema.readable
    with closing(archive), closing(archive.reader()) as reader:
        assert reader.token_uses(["tok_1"]) == {}
    with closing(new_log(tmp_path)) as log, closing(log.reader()) as reader:
        commit(log, fill())
        assert reader.token_uses(["tok_1"]) == {}
        commit(log, used({"tok_1": 5}))
        commit(log, used({"tok_1": 6}))
        assert reader.token_uses(["tok_1"]) == {"tok_1": 6}
    with closing(open_archive(tmp_path, url_of(tmp_path))) as archive:
        assert archive.schema.strays == ()


@pytest.mark.parametrize("table", ["token_id TEXT PRIMARY KEY", "token_id TEXT PRIMARY KEY, used_at BIGINT"])
def test_another_table_under_its_name_is_found(table: str, tmp_path: Path, engine: str) -> None:
    new_log(tmp_path).close()
    alter(tmp_path, f"DROP TABLE {TABLE[engine]}")
    alter(tmp_path, f"CREATE TABLE {TABLE[engine]} ({table})")
    with closing(open_archive(tmp_path, url_of(tmp_path))) as archive:
        assert "a changed table, token_use" in archive.schema.strays[0]


@pytest.mark.parametrize("missing", ["CREATE", "INSERT"])
def test_a_role_that_may_not_write_the_table_still_commits(missing: str, tmp_path: Path) -> None:
    url = url_of(tmp_path)
    if url is None:
        pytest.skip("a file has no roles")
    new_log(tmp_path).close()
    role = urlsplit(url).path[1:] + "_writer"
    if missing == "CREATE":
        alter(tmp_path, f"DROP TABLE {TABLE['postgres']}")
    alter(tmp_path, f"CREATE ROLE {role}; GRANT USAGE ON SCHEMA {SCHEMA} TO {role}")
    alter(tmp_path, f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SCHEMA} TO {role}")
    if missing == "INSERT":
        alter(tmp_path, f"REVOKE INSERT ON {TABLE['postgres']} FROM {role}")
    with closing(new_log(tmp_path)) as log, closing(log.reader()) as reader:
        session = log.store._session  # type: ignore[attr-defined]
        session.connection().execute(f"SET ROLE {role}")
        commit(log, used({"tok_1": 5}), fill())
        assert (place(log).position, reader.token_uses(["tok_1"])) == (1, {})
    alter(tmp_path, f"DROP OWNED BY {role}; DROP ROLE {role}")
