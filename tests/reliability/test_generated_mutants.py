"""Tests of the tool that generates mutants: what it makes, which it leaves out, and that its verdicts are true."""

import ast
import random
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path

import pytest

from tests.reliability.generated_mutants import (
    LEFT_OUT,
    OPERATORS,
    REQUIREMENTS,
    ROOT,
    equivalent,
    modules,
    mutated,
    mutations,
    sampled,
)
from tests.reliability.mutant_runs import PACKAGES, judge, measure
from tests.reliability.seed import fresh_seed
from tests.scale import sized
from tests.support.lines_run import Lines

pytest.importorskip("cosmic_ray", reason=f"pip install --no-deps {' '.join(REQUIREMENTS)}")
pytestmark = pytest.mark.heavy  # CI installs the operators before its second round

RECENT = "athena_core/log/recent.py"


def test_every_operator_of_cosmic_ray_is_used_or_left_out_for_a_reason() -> None:
    known = set(import_module("cosmic_ray.operators.provider").OperatorProvider())
    left_out = {name for name in known - set(OPERATORS) if any(fnmatchcase(name, pattern) for pattern in LEFT_OUT)}
    assert known == left_out | set(OPERATORS)
    assert all((ROOT / module).is_file() for module in modules())


def test_each_equivalent_mutant_is_still_made_of_code_that_is_there() -> None:
    reasons = equivalent()
    made = {mutation.place for module in {place.module for place in reasons} for mutation in mutations(module)}
    assert reasons.keys() <= made
    assert all(reasons.values())


def test_a_mutant_is_python_and_one_edit_of_its_line() -> None:
    rng = random.Random(fresh_seed("generated mutants"))
    module = rng.choice(modules())
    source = (ROOT / module).read_text("utf-8")
    for mutation in rng.sample(found := list(mutations(module)), min(20, len(found))):
        text = mutated(mutation)
        ast.parse(text)
        first = next(
            n for n, (a, b) in enumerate(zip(source.splitlines(), text.splitlines(), strict=False), 1) if a != b
        )
        assert mutation.lines[0] <= first <= mutation.lines[1]


def test_a_seed_samples_the_same_mutants_after_an_unrelated_edit(tmp_path: Path) -> None:
    made = {RECENT: list(mutations(RECENT))}
    copy = tmp_path / RECENT
    copy.parent.mkdir(parents=True)
    copy.write_text('"""Moved down."""\n\nUNRELATED = "text"\n' + (ROOT / RECENT).read_text("utf-8"), "utf-8")
    moved = {RECENT: list(mutations(RECENT, tmp_path))}
    places = [[mutation.place for mutation in sampled(of, 10, 1)] for of in (made, moved)]
    assert places[0] == places[1] != [mutation.place for mutation in sampled(made, 10, 2)]


@pytest.mark.timeout(900)
def test_the_tests_of_a_module_catch_its_mutants_and_nothing_else_is_caught(tmp_path: Path) -> None:
    tests = ["tests/core/log/test_recent.py", "tests/core/test_clock.py"]
    measure(tmp_path, 1, tests)
    made = {module: list(mutations(module)) for module in (RECENT, "athena_core/services/waiters.py")}
    verdicts = list(judge(sampled(made, sized(3, 3, 12), 1), Lines(tmp_path, PACKAGES), 1, tests))
    caught = [verdict.caught for verdict in verdicts if verdict.place.module == RECENT]
    assert [name.startswith("tests/core/log/test_recent.py::") for name in caught].count(True) >= len(caught) - 2
    assert not any(verdict.caught for verdict in verdicts if verdict.place.module != RECENT)
