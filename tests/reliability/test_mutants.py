"""Tests of the tests: code that breaks a promise on purpose fails the test of that promise."""

import random
from pathlib import Path

import pytest

from tests.reliability.mutant import Mutant
from tests.reliability.mutants import MUTANTS, ROOT, WRITER_TESTS, judged, table, unbroken
from tests.reliability.seed import fresh_seed
from tests.scale import sized

QUICK = [mutant for mutant in MUTANTS if mutant.test.startswith(WRITER_TESTS)]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_code_is_still_what_the_mutant_knows(mutant: Mutant) -> None:
    for file, old, new in mutant.changes:
        assert (ROOT / file).read_text("utf-8").count(old) == 1, (file, old)
        assert old != new
    file, _, name = mutant.test.partition("::")
    test = f"def {name.partition('[')[0].rpartition('::')[2]}(" if name else "def test_"
    assert test in Path(ROOT, file).read_text("utf-8")


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_every_mutant_is_caught_by_its_test() -> None:
    rng = random.Random(fresh_seed("mutants"))
    chosen = sized(rng.sample(QUICK, 2), rng.sample(QUICK, 4), list(MUTANTS))
    assert unbroken(chosen) is None
    verdicts = [judged(mutant) for mutant in chosen]
    print("", *table(verdicts), sep="\n")
    assert all(verdict.caught for verdict in verdicts)
