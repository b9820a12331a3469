"""Mutants of the past: versions, edges of blocks, overlays, erasures, moments and the comparison of two moments."""

from tests.reliability.mutant import Mutant, of

PAST = "projections/engine/past.py"
PAST_READER = "projections/engine/past_reader.py"
PROJECTION = "projections/engine/projection.py"
PROJECTOR = "projections/engine/projector.py"

VIEWS = "tests/projections/engine/test_past.py"
EDGES = f"{VIEWS}::test_the_edges_of_all_blocks_show_what_a_fold_up_to_them_shows"

OVERLAY = f"{VIEWS}::test_erased_text_leaves_an_overlay_that_was_read_before"

PAST_MUTANTS: tuple[Mutant, ...] = (
    of("a changed row counts as unchanged since its first block", EDGES)(
        PROJECTION,
        """upsert=f"{known} {', '.join(changes)}",""",
        """upsert=f"{known} {', '.join(changes[:-1] or changes)}",""",
    ),
    of("a version ends a block too early", EDGES)(
        PAST, "AND {UNTIL} >= {connection.block} AND {free}", "AND {UNTIL} > {connection.block} AND {free}"
    ),
    of("the last event of a block belongs to the next one", EDGES)(
        PROJECTOR, "(rows[0].position - 1) // self._block_events", "rows[-1].position // self._block_events"
    ),
    of("a page crosses the edge of a block", EDGES)(PROJECTOR, "end if until is None else min(end, until)", "until"),
    of("the last row before a block is not in it", EDGES)(
        PAST, "AND {table.begins_at} <= ", "AND {table.begins_at} < "
    ),
    of("a text that was erased later is not marked as erased", OVERLAY)(
        PAST, "        erased.update(row.position for row in rows if", "        set(row.position for row in rows if"
    ),
    of("an overlay outlives an erasure", OVERLAY)(
        PAST_READER, "if self._state == past.state_of(connection):", "if self._state:"
    ),
    of(
        "an erasure leaves the earlier versions of a row",
        f"{VIEWS}::test_no_version_of_a_row_has_a_text_that_was_erased",
    )(PAST, "            if kind == ERASING and not isinstance(buffer, Overlay):\n", "            if False:\n"),
    of(
        "an erasure does not follow the rows that an earlier row leads to",
        f"{VIEWS}::test_a_text_leaves_all_versions_that_only_an_earlier_row_leads_to",
    )(PAST, "looked_at |= versions.looked_at()", "versions.looked_at()"),
    of(
        "the tag of an answer outlives an erasure",
        "tests/api/endpoint/test_past.py::test_an_answer_has_a_tag_until_text_is_erased",
    )("athena_api/endpoint/past.py", '"{position}-{erased_at}-', '"{position}-'),
    of(
        "a moment beyond the head is the head",
        "tests/api/endpoint/test_past.py::test_a_moment_that_cannot_be_shown_is_refused_by_name",
    )(
        "projections/feed.py",
        '        raise CursorAhead("The moment is beyond the head of the log. Give an earlier one.", error.details)'
        " from error\n",
        "        return log.head() if error else 0\n",
    ),
    of(
        "a diff counts what the scope of its caller hides",
        "tests/projections/test_diff.py::test_it_equals_what_the_whole_histories_say",
    )("projections/diff.py", "    scope = wanted.scope or Scope()\n", "    scope = Scope()\n"),
)
