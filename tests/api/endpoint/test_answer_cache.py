"""The answer cache: equal questions share an answer until the log moves."""

from athena_api import answer_cache
from athena_api.answer_cache import AnswerCache, Question
from athena_api.endpoint.operation import Reply
from athena_core.values import Scope

RUNS: Question = ("/api/v1/runs", b"limit=2", None, False)
OTHERS: tuple[Question, ...] = (
    ("/api/v1/runs", b"limit=2", None, True),
    ("/api/v1/sessions", b"limit=2", None, False),
    ("/api/v1/runs", b"limit=3", None, False),
    ("/api/v1/runs", b"limit=2", Scope(sessions=frozenset({"mine"})), False),
)


def answer(position: int, size: int = 1) -> Reply:
    return Reply(data=b"x" * size, position=position, content_type="application/json")


def test_the_same_question_has_the_same_answer_until_the_log_moves() -> None:
    answers, first = AnswerCache(), answer(7)
    assert answers.find(RUNS, 7) is None
    answers.keep(RUNS, 7, first)
    assert answers.find(RUNS, 7) is first
    assert answers.find(RUNS, 8) is None
    assert answers.find(RUNS, 7) is None


def test_a_question_is_its_path_its_query_and_its_scope() -> None:
    answers = AnswerCache()
    answers.find(RUNS, 7)
    answers.keep(RUNS, 7, answer(7))
    assert [answers.find(question, 7) for question in OTHERS] == [None] * len(OTHERS)
    equal = ("/api/v1/runs", b"limit=2", Scope(sessions=frozenset(["mine"])), False)
    answers.keep(OTHERS[-1], 7, answer(7))
    assert answers.find(equal, 7) is not None


def test_an_answer_that_comes_after_the_log_has_moved_is_not_kept() -> None:
    answers = AnswerCache()
    assert answers.find(RUNS, 7) is None
    assert answers.find(RUNS, 8) is None
    answers.keep(RUNS, 7, answer(7))
    assert answers.find(RUNS, 8) is None


def test_nothing_is_kept_that_was_begun_before_a_text_was_erased() -> None:
    answers = AnswerCache()
    for question in (RUNS, OTHERS[0]):
        assert answers.find(question, 7) is None
    answers.keep(RUNS, 7, answer(7))
    answers.forget(9)
    assert not answers._answers
    answers.keep(OTHERS[0], 7, answer(7))  # asked before
    assert answers.find(OTHERS[1], 7) is None
    answers.keep(OTHERS[1], 7, answer(7))  # asked after, of the head before
    assert not answers._answers
    assert answers.find(RUNS, 9) is None
    answers.keep(RUNS, 9, answer(9))
    answers.forget(9)
    assert answers.find(RUNS, 9) is not None, "it was read after the erasure"


def test_what_was_asked_for_least_lately_goes_first() -> None:
    answers, half = AnswerCache(), answer_cache.CACHE_BYTES_MAX // 2 - 1_000
    answers.find(RUNS, 7)
    for question in (RUNS, OTHERS[0]):
        answers.keep(question, 7, answer(7, half))
    assert answers.find(RUNS, 7) is not None
    answers.keep(OTHERS[1], 7, answer(7, half))
    assert [answers.find(question, 7) is not None for question in (RUNS, *OTHERS[:2])] == [True, False, True]
    for _ in range(3):
        answers.keep(OTHERS[1], 7, answer(7, half))
    assert answers.find(RUNS, 7) is not None, "what is kept twice counts once"


def test_questions_count_as_answers_do() -> None:
    answers = AnswerCache()
    answers.find(RUNS, 7)
    questions = [("/api/v1/runs", b"x=%04d" % number + bytes(4_000), None, False) for number in range(2_000)]
    for question in questions:
        answers.keep(question, 7, answer(7))
    known = sum(answers.find(question, 7) is not None for question in questions)
    assert 0 < known < answer_cache.CACHE_BYTES_MAX / 4_000


def test_what_would_be_too_much_is_not_kept() -> None:
    answers = AnswerCache()
    answers.find(RUNS, 7)
    answers.keep(RUNS, 7, answer(7))
    answers.keep(OTHERS[0], 7, answer(7, answer_cache.CACHE_BYTES_MAX + 1))
    assert [answers.find(question, 7) is not None for question in (RUNS, OTHERS[0])] == [True, False]
    answers.find(RUNS, 8)
    answers.keep(RUNS, 8, answer(8, answer_cache.CACHE_BYTES_MAX - 1_000))
    assert answers.find(RUNS, 8) is not None
