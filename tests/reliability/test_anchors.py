"""Tests of anchors: the proof of a kept anchor, for this Athena and for another one."""

import json
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from athena_core.log import chain
from athena_core.log.anchor import Anchor, write_anchor
from athena_core.log.engine import open_archive
from athena_core.protocols import Row
from tests.cli.terminal import Terminal
from tests.reliability.tampering import statement
from tests.support.server import Server


def rewritten(rows: list[Row], at: int) -> list[Row]:
    """Return the rows with another actor at a position, and from there on with a chain that fits."""
    made, previous = rows[: at - 1], rows[at - 2].chain
    for row in rows[at - 1 :]:
        changed = row._replace(actor="mallory") if row.position == at else row
        previous = chain.link(previous, tuple(changed[: chain.LEAF_COLUMNS]))
        made.append(changed._replace(chain=previous))
    return made


def rewrite(state_dir: Path, url: str | None, at: int) -> None:
    """Rewrite a log from a position on, with its anchor, as the owner of the machine can."""
    archive = open_archive(state_dir, url)
    with closing(archive.reader()) as reader:
        rows = rewritten(reader.rows(0, 10_000), at)
    update = "UPDATE log SET actor = {0}, chain = {0} WHERE position = {0}"
    changed = [(row.actor, row.chain, row.position) for row in rows[at - 1 :]]
    if url is None:
        statement(state_dir, *[(update.format("?"), values) for values in changed])
    else:
        with psycopg.connect(url, options="-c search_path=athena") as connection:
            connection.cursor().executemany(update.format("%s").encode(), changed)
    log_id = archive.meta["log_id"]
    write_anchor(archive.anchor, Anchor(log_id=log_id, position=rows[-1].position, chain=rows[-1].chain.hex()))
    archive.close()


@pytest.mark.heavy
@pytest.mark.parametrize("store", ["files", "postgres"])
def test_a_history_rewritten_with_a_chain_that_fits_passes_verify_and_fails_against_a_kept_anchor(
    tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("database") if store == "postgres" else None
    settings = {} if url is None else {"database_url": url}
    kept = tmp_path / "kept.anchors"
    with Server(tmp_path, anchor_to=str(kept), **settings) as server:
        server.api.run("what was said")
        server.api.run("and again")
        ids = tmp_path / "ids"
        ids.write_text("\n".join(event["id"] for event in server.api.events()))
    (line,) = map(json.loads, kept.read_text().splitlines())
    with closing(Terminal(tmp_path)) as terminal:
        whole = terminal.run("verify", "--against", str(kept), "--ids", str(ids), **settings)
        assert whole.code == 0, whole.err
        assert {"source": str(kept), "position": line["position"]} in whole.data["anchors"]
        rewrite(tmp_path / "state", url, line["position"] // 2)
        alone = terminal.run("verify", **settings)
        assert (alone.code, alone.data["ok"]) == (0, True), alone.err
        against = terminal.run("verify", "--against", str(kept), **settings)
        assert against.code == 1
        reason = f"position {line['position']}: the row differs from the one that was anchored ({kept}, line 1)"
        assert against.err == f"error: the log does not verify: {reason} [anchor]\n"
        by_ids = terminal.run("verify", "--ids", str(ids), **settings)
        found = json.loads(by_ids.out)
        assert (by_ids.code, found["ok"]) == (1, True)
        assert found["ids"]["unknownCount"] == len(ids.read_text().splitlines()) - line["position"] // 2 + 1
        assert f"the log holds another event at position {line['position'] // 2}" in by_ids.err


@pytest.mark.heavy
def test_anchors_of_what_an_accepted_fork_gave_up_fail_until_the_fork_is_named(tmp_path: Path) -> None:
    kept = str(tmp_path / "kept.anchors")
    with Server(tmp_path, anchor_to=kept) as server:
        server.api.run("one")
        head = len(server.api.events())
        server.api.post("/directives", {"input": "lost"})
    statement(server.state_dir, ("DELETE FROM log WHERE position > ?", (head,)), ("DELETE FROM command", ()))
    statement(server.state_dir, ("DELETE FROM guard", ()))
    with Server(tmp_path, accept_fork="true", anchor_to=kept) as server:
        forked = server.api.await_event("log.forked")
        other = server.api.events()[0]["id"]
    with closing(Terminal(tmp_path)) as terminal:
        refused = terminal.run("verify", "--against", kept)
        assert refused.code == 1
        assert f"the log went back to position {head}" in refused.err, refused.err
        assert "[forked]" in refused.err
        assert terminal.run("verify", "--against", kept, "--forked", other).code == 1
        assert terminal.run("verify", "--against", kept, "--forked", "7").code == 2
        assert terminal.run("verify", "--forked", forked["id"]).code == 2
        named = terminal.run("verify", "--against", kept, "--forked", forked["id"])
        assert named.code == 0, named.err
        (place,) = [one for one in named.data["anchors"] if one["source"] == kept]
        assert place["givenUp"] == 1


@pytest.mark.heavy
def test_another_athena_keeps_anchors_and_refuses_the_rewritten_history(tmp_path: Path) -> None:
    (tmp_path / "peer").mkdir()
    with Server(tmp_path / "peer") as peer:
        place = f"athena:{peer.url}"
        with Server(tmp_path, anchor_to=place) as server:
            server.api.run("what was said")
        (kept,) = peer.api.get("/anchors")["items"]
        with closing(Terminal(tmp_path)) as terminal:
            assert terminal.run("verify", "--against", place).code == 0
            rewrite(tmp_path / "state", None, 2)
            assert terminal.run("verify").code == 0
            against = terminal.run("verify", "--against", place)
            assert against.code == 1
            assert f"was anchored ({place}, line 1, from " in against.err
            sent = terminal.run("anchor", "--to", place)
            assert sent.code == 1
            assert "one of the two histories was rewritten" in sent.err
        conflicted = peer.api.await_event("anchor.conflicted")
        assert conflicted["payload"]["kept"] == kept["chain"]
        (entry,) = peer.api.get("/governance/audit-trail", kind="anchor")["items"]
        assert entry["target"] == kept["logId"]
