"""Contexts: references into the workspace, the history of a session, the turns of a run."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from athena_core.decider import Outcome
from athena_core.domain.directive import READABLE
from athena_core.domain.run import RunFailed, TranscriptAppended
from athena_core.errors import ConfigError, ContextOverflow
from athena_core.event import Event, Fact, Position
from athena_core.log.writer import Log
from athena_core.mask import Mask
from athena_core.providers.provider import ModelMessage
from athena_core.services.context.compiler import ContextCompiler, check_references, resolve
from athena_core.services.context.conversation import UNANSWERED, to_messages
from athena_core.settings import load
from athena_core.tools.workspace import Workspace
from tests.support.events.run import COMPLETED
from tests.support.records import CODEC, META, opened_log
from tests.support.transcript import answer, assistant, call, user

SALT = bytes(range(16))


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    (root / "memory").mkdir(parents=True)
    (root / "notes.md").write_text("one\ntwo\nthree\n")
    (root / "memory" / "tips.md").write_text("tip")
    (root / "MEMORY.md").write_text("known")
    (root / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "secret").write_text("secret")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "loop").symlink_to(root / "loop")
    return root


@pytest.mark.parametrize(
    ("reference", "content"),
    [
        ("file:notes.md", "one\ntwo\nthree\n"),
        ("file:notes.md#L2", "two"),
        ("file:notes.md#L2-L3", "two\nthree"),
        ("file:notes.md#L2-3", "two\nthree"),
        ("file:notes.md#L3-L9", "three"),
        ("file:notes.md#L9", ""),
        ("memory:tips.md", "tip"),
        ("memory:memory/tips.md", "tip"),
        ("memory:MEMORY.md", "known"),
    ],
)
def test_a_reference_is_read_and_hashed(workspace: Path, reference: str, content: str) -> None:
    resolved = resolve((reference,), Workspace(workspace), 1_000, SALT, Mask())
    assert resolved.contents == (content,)
    assert resolved.references[0].sha256 == hashlib.sha256(SALT + content.encode()).hexdigest()
    assert resolved.references[0].chars == len(content)


@pytest.mark.parametrize(
    "reference",
    [
        "notes.md",
        "http://example.org",
        "file:",
        "file:missing.md",
        "file:memory",
        "file:../secret",
        "file:/etc/passwd",
        "file:link",
        "file:loop",
        "file:binary",
        "file:notes.md#L",
        "file:notes.md#2",
        "file:" + "x" * 5_000,
        "memory:../secret",
    ],
)
def test_an_unreadable_reference_is_refused_by_its_index(workspace: Path, reference: str) -> None:
    with pytest.raises(ConfigError, match=r"contextRefs\[1\]"):
        resolve(("file:notes.md", reference), Workspace(workspace), 1_000, SALT, Mask())


def test_more_than_fits_is_refused(workspace: Path) -> None:
    with pytest.raises(ContextOverflow):
        resolve(("file:notes.md", "file:notes.md"), Workspace(workspace), 20, SALT, Mask())


# The history of a session


class Session:
    """A session in a log: its runs, and the contexts compiled from them."""

    def __init__(self, directory: Path, log: Log, **settings: str) -> None:
        names = {f"ATHENA_{name.upper()}": value for name, value in settings.items()}
        self.log = log
        self.reader = log.reader()
        self.compiler = ContextCompiler(load(names, directory), CODEC, self.reader)
        self._runs = 0

    def run(self, *events: Event, ending: Event | None = COMPLETED, session_id: str = "s") -> Position:
        """Append a run with these events. Return the last position."""
        self._runs += 1
        run_id = f"run_{self._runs}"
        said = (*events, ending) if ending else events
        facts = tuple(Fact(stream=run_id, event=event, session_id=session_id, run_id=run_id) for event in said)
        return self.log.submit_in_thread(lambda reader, context: Outcome(facts=facts), META).position

    def compile(self, said: str = "now", turns: Sequence[ModelMessage] = ()) -> list[tuple[str, str]]:
        """Return role and content of the messages of the next run."""
        messages, _ = self.compiler.compile("s", self.log.signal.position + 1, said, (), (), turns)
        return [(message.role, message.content) for message in messages]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Session]]:
    with opened_log(tmp_path) as log:
        sessions: list[Session] = []

        def session(**settings: str) -> Session:
            sessions.append(Session(tmp_path, log, **settings))
            return sessions[-1]

        yield session
        for one in sessions:
            one.reader.close()


def test_the_history_holds_completed_runs_with_their_tool_calls(opened: Callable[..., Session]) -> None:
    session = opened()
    session.run(user("one"), assistant("look"), call("a"), answer("a"), assistant("1"))
    session.run(user("failed"), assistant("?"), ending=RunFailed(code="X", error_text="x", retryable=False))
    session.run(user("elsewhere"), assistant("!"), session_id="other")
    session.run(user("open"), call("x"), ending=None)
    session.run(user("two"), assistant("2"))
    messages, meta = session.compiler.compile("s", session.log.signal.position + 1, "three", (), ())
    assert [(message.role, message.content, len(message.calls)) for message in messages] == [
        ("user", "one", 0),
        ("assistant", "look", 1),
        ("tool", "found", 0),
        ("assistant", "1", 0),
        ("user", "two", 0),
        ("assistant", "2", 0),
        ("user", "three", 0),
    ]
    assert messages[2].tool_call_id == messages[1].calls[0].id
    assert meta.initial_chars == meta.final_chars == 29
    before_the_second = session.compiler.compile("s", 6, "x", (), ())[0]
    assert [message.content for message in before_the_second] == ["x"]
    of_the_first, _ = session.compiler.compile("s", None, "x", (), ())
    assert [message.content for message in of_the_first] == ["x"]


def test_the_turns_of_the_run_itself_follow_what_the_user_said(opened: Callable[..., Session]) -> None:
    session = opened()
    session.run(user("one"), call("a"), answer("a", "old"), assistant("1"))
    turns = to_messages((call("a"), answer("a", "new")))
    messages, _ = session.compiler.compile("s", session.log.signal.position + 1, "two", (), (), turns)
    assert [message.content for message in messages] == ["one", "", "old", "1", "two", "", "new"]
    ids = [one.id for message in messages for one in message.calls]
    assert len(set(ids)) == 2, "an id that an earlier run used is told apart"
    assert [message.tool_call_id for message in messages if message.role == "tool"] == ids


def test_an_erased_result_leaves_its_call_with_an_answer(opened: Callable[..., Session]) -> None:
    session = opened()
    erased = TranscriptAppended(role="tool", kind="tool-result", chars=5, tool_call_id="a")
    session.run(user("one"), call("a"), erased, assistant("1"))
    assert session.compile() == [
        ("user", "one"),
        ("assistant", ""),
        ("tool", UNANSWERED),
        ("assistant", "1"),
        ("user", "now"),
    ]
    unrepaired = opened(history_repair_tool_pairing="false").compile()
    assert unrepaired == [("user", "one"), ("assistant", ""), ("assistant", "1"), ("user", "now")]


def test_a_history_begins_with_words_of_the_user(opened: Callable[..., Session]) -> None:
    session = opened()
    session.run(user(None), assistant("to what was erased"))
    session.run(user("two"), assistant("2"))
    assert session.compile() == [("user", "two"), ("assistant", "2"), ("user", "now")]


def test_a_history_ends_at_its_limit_of_entries_but_keeps_what_the_user_asked(opened: Callable[..., Session]) -> None:
    session = opened(history_max_entries="3")
    session.run(user("zero"), assistant("0"))
    session.run(user("one"), call("a"), answer("a"), call("b", 2), answer("b", "more"), assistant("1"))
    assert session.compile() == [
        ("user", "one"),
        ("assistant", ""),
        ("tool", "more"),
        ("assistant", "1"),
        ("user", "now"),
    ]
    session.run(user("two"), assistant("2"))
    assert session.compile() == [
        ("user", "one"),
        ("assistant", "1"),
        ("user", "two"),
        ("assistant", "2"),
        ("user", "now"),
    ]


def test_entries_of_the_history_are_cut_and_cleaned(opened: Callable[..., Session]) -> None:
    session = opened(history_max_entry_chars="10")
    session.run(user("bell\x07 and\ttab"), assistant("0123456789abc"))
    assert session.compile() == [("user", "bell and\t"), ("assistant", "0123456789"), ("user", "now")]
    raw = opened(history_strip_control_chars="false").compile()
    assert raw[0] == ("user", "bell\x07 and\ttab")


def test_a_long_history_is_summarised_and_the_same_every_time(opened: Callable[..., Session]) -> None:
    session = opened(context_max_chars="3000", context_reserve_chars="1000")
    for number in range(80):
        session.run(user(f"question {number} " + "x" * 100), assistant(f"answer {number}"))
    position = session.log.signal.position + 1
    messages, meta = session.compiler.compile("s", position, "now", (), ())
    assert messages[0].content.startswith("Summary of what was said before")
    assert messages[1].role == "user"
    assert messages[-1].content == "now"
    assert (meta.final_strategy, meta.overflow_recovered) == ("summary", True)
    assert 4_000 <= meta.initial_chars < 5_000, "no more is read than twice the size of a context"
    assert meta.final_chars <= 2_000
    session.run(user("later"), assistant("later"))
    again = opened(context_max_chars="3000", context_reserve_chars="1000")
    assert again.compiler.compile("s", position, "now", (), ()) == (messages, meta)


def test_a_message_that_cannot_fit_is_an_overflow(opened: Callable[..., Session]) -> None:
    session = opened(context_max_chars="3000", context_reserve_chars="1000")
    with pytest.raises(ContextOverflow):
        session.compile("x" * 2_001)


@given(
    st.from_regex(READABLE)
    | st.text(alphabet="file:memory/.#L1-x", max_size=20)
    | st.builds("{}:{}".format, st.sampled_from(["file", "memory", "http"]), st.text("./a#L1", max_size=8))
)
@example("memory:/a")
@example("file:/a")
@example("file:a/../b")
@example("file:a/..#L1")
@example("file:..a/b..")
@example("file:#L1")
def test_the_document_names_the_references_that_are_accepted(reference: str) -> None:
    try:
        check_references([reference])
    except ConfigError:
        accepted = False
    else:
        accepted = True
    if not reference.endswith("\n"):  # which `$` of Python passes over
        assert accepted == (re.search(READABLE, reference) is not None)
