"""Traces: occurrences of some words in the files of a directory or a database, plain or in base64."""

import base64
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.support.postgres import Cluster


def spellings(words: str) -> Iterator[bytes]:
    """Return the words in UTF-8 and UTF-16, and in base64 at each alignment, without the uncertain ends."""
    yield words.encode()
    yield words.encode("utf-16-le")
    for ahead in range(3):
        yield base64.b64encode(bytes(ahead) + words.encode())[4 * (ahead > 0) : -4]


def traces(directory: Path, *words: str) -> list[str]:
    """Return the files below a directory that hold any of the words, in their bytes or their names."""
    wanted = [spelling for one in words for spelling in spellings(one)]
    found = []
    for path in sorted(directory.rglob("*")):
        try:
            content = path.read_bytes() if path.is_file() else b""
        except FileNotFoundError:  # a draft of a server
            continue
        if any(spelling in content or spelling in path.name.encode() for spelling in wanted):
            found.append(path.relative_to(directory).as_posix())
    return found


def traces_in_tables(cluster: Cluster, url: str, words: str) -> list[str]:
    """Return the tables of a database whose files hold the words; WAL files are not searched."""
    assert cluster.postmaster is not None
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("CHECKPOINT")
        found = session.execute("SELECT pg_relation_filepath(oid), relname FROM pg_class").fetchall()
        (place,) = session.execute("SELECT pg_relation_filepath('pg_class')").fetchone() or ("",)
    names: dict[str, str] = dict(found)
    folder = Path(place).parent
    return [names.get(str(folder / name), name) for name in traces(cluster.postmaster.data / folder, words)]
