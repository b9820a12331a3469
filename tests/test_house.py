"""The house rules that can be checked by reading the source; a failure names the place and the remedy."""

import ast
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pytest
from packaging.requirements import Requirement

from tests.support import tree, words

ROOT = Path(__file__).resolve().parent.parent
SERVER = ("athena_core", "athena_api", "athena_cli", "projections")
PACKAGES = (*SERVER, "clients/python/athena_client")


class Source:
    """A text file of the project; ``path`` is relative to the root, with slashes."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree of a Python file."""
        return ast.parse(self.text, self.path)

    @property
    def generated(self) -> bool:
        """True if the head of the file says that ``make docs`` writes it."""
        return bool(re.search(r"^(# )?Generated from .*; do not edit\.$", self.text[:500], re.MULTILINE))

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.rpartition("/")[2].removesuffix(".py")

    @property
    def module(self) -> str:
        """The dotted name of a Python file."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


class Breach(NamedTuple):
    """A place where a rule is broken, and how to mend it."""

    path: str
    line: int
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.problem}; {self.remedy}"


Sources: TypeAlias = Sequence[Source]
Rule: TypeAlias = Callable[[Sources], Iterator[Breach]]


def python(sources: Sources, *folders: str) -> Iterator[Source]:
    """The Python files, of these folders only if any are named."""
    wanted = tuple(folder + "/" for folder in folders)
    return (s for s in sources if s.path.endswith(".py") and (not wanted or s.path.startswith(wanted)))


def references(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every imported or reached dotted name as it is called at its origin (``time.time_ns``), with its line."""
    origins: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                origins[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for alias in node.names:
                origins[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield f"{node.module}.{alias.name}", node.lineno
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, _, rest = ast.unparse(node).partition(".")
            if first in origins:
                yield f"{origins[first]}.{rest}", node.lineno


def words_of(name: str) -> set[str]:
    """The words of an identifier in lower case, each also without a plural s."""
    found = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)]
    return {*found, *(word.removesuffix("s") for word in found)}


# The rules


def modules_say_what_they_are(sources: Sources) -> Iterator[Breach]:
    """A module's docstring begins with one sentence on one line."""
    for source in python(sources):
        if not source.text.strip():
            continue  # an empty __init__.py of a test folder
        summary = (ast.get_docstring(source.tree) or "").partition("\n\n")[0]
        if not summary.endswith(".") or re.search(r"\.\s+[A-Z]", summary):
            yield Breach(source.path, 1, "no docstring of one sentence", "say what the module is, starting with a noun")


def modules_are_nouns(sources: Sources) -> Iterator[Breach]:
    """No module is a place for anything."""
    vague = {"util", "helper", "common", "manager", "base", "misc"}
    for source in python(sources):
        if words_of(source.name) & vague:
            yield Breach(source.path, 1, f"a module called {source.name}", "name it after the noun that it holds")


def packages_have_door_plates(sources: Sources) -> Iterator[Breach]:
    """Each folder of code says what lives there, what may not, and what to read first."""
    plates = {s.path: s for s in python(sources) if s.name == "__init__"}
    for folder in sorted({s.path.rpartition("/")[0] for s in python(sources, *PACKAGES)}):
        path = folder + "/__init__.py"
        text = (ast.get_docstring(plates[path].tree) or "") if path in plates else ""
        for part in ("What lives here", "What may not", "Read first"):
            if part not in " ".join(text.split()):
                yield Breach(path, 1, f"the door plate lacks '{part}'", "write it into the docstring, a line or two")


READERS = {
    "athena_core/clock.py",
    "athena_core/settings.py",
    "athena_core/system/own_environment.py",
    "athena_core/system/box/launch.py",
    "athena_core/system/box/relay.py",
    "athena_core/system/supervisor.py",
}


def clocks_and_environment_have_one_reader(sources: Sources) -> Iterator[Breach]:
    """Time, randomness and settings come from outside, so that a test or a simulation can choose them."""
    outside = re.compile(  # time.monotonic and time.perf_counter are free: they measure waits and decide nothing
        r"time\.time(_ns)?|datetime\.datetime\.(now|utcnow|today)|datetime\.date\.today"
        r"|os\.(environb?|getenvb?|urandom)|uuid\.uuid[1-7]|(random|secrets)(\..+)?"
    )
    for source in python(sources, *PACKAGES):
        if source.path in READERS or source.path.endswith(("_async/clock.py", "_sync/clock.py")):
            continue
        for name, line in sorted(references(source.tree), key=lambda reference: reference[1]):
            if outside.fullmatch(name):
                yield Breach(source.path, line, f"{name} is used here", "take a Clock, Ids or Settings as an argument")


def statuses_have_one_home(sources: Sources) -> Iterator[Breach]:
    """Reason phrases come from one table, because the standard library words them differently in each version."""
    for source in python(sources, *PACKAGES, "docs"):
        for name, line in references(source.tree):
            if re.fullmatch(r"http\.(HTTPStatus|client\.responses)(\..+)?|http\.server.*", name):
                yield Breach(source.path, line, f"{name} is used here", "take the phrase from athena_core/statuses.py")


def sql_has_two_homes(sources: Sources) -> Iterator[Breach]:
    """SQL lives in the store and in the read models."""
    statement = re.compile(
        r"\s*(SELECT\s|INSERT (OR \w+ )?INTO\s|UPDATE \w+ SET\s|DELETE FROM\s|PRAGMA \w|BEGIN IMMEDIATE"
        r"|(CREATE|DROP|ALTER) (UNIQUE |VIRTUAL )?(TABLE|INDEX|VIEW|TRIGGER)\s)"
    )
    for source in python(sources, *PACKAGES):
        if source.path.startswith(("athena_core/log/", "projections/")):
            continue
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and statement.match(node.value):
                yield Breach(source.path, node.lineno, "SQL", "move it to athena_core/log or projections")


CONTRACT_TAGS = {  # names that the API's contract fixed before the rule
    "AUTHZ_MODE_ACTIVE",
    "run-template.run",
    "safety.violation",
    "sandbox.egress-policy",
    "sandbox.lifecycle",
}
IRREGULAR = {"forgotten", "kept", "lost", "reset", "sent", "taken"}


def stored_tags(sources: Sources) -> Iterator[tuple[str, str, int]]:
    """Each event's tag with its place."""
    for source in python(sources, "athena_core/domain"):
        for node in ast.walk(source.tree):
            if (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and node.target.id == "TYPE"
                and isinstance(node.value, ast.Constant)
            ):
                yield str(node.value.value), source.path, node.lineno


def events_are_past_tense(sources: Sources) -> Iterator[Breach]:
    """An event's tag is ``noun.verb-ed``."""
    word = r"[a-z0-9]+(-[a-z0-9]+)*"
    for tag, path, line in stored_tags(sources):
        verb = tag.rpartition(".")[2].split("-")
        past = any(part.endswith("ed") or part in IRREGULAR for part in verb)
        if tag not in CONTRACT_TAGS and not (past and re.fullmatch(rf"{word}(\.{word})+", tag)):
            yield Breach(path, line, f"the tag '{tag}'", "name the fact in the past tense, as in 'run.started'")


def events_have_names_of_their_own(sources: Sources) -> Iterator[Breach]:
    """A tag belongs to one event."""
    seen: dict[str, str] = {}
    for tag, path, line in stored_tags(sources):
        if tag in seen:
            yield Breach(path, line, f"the tag '{tag}' is also in {seen[tag]}", "choose another; stored ones stay")
        seen[tag] = f"{path}:{line}"


AVOIDED = {  # from the glossary: only words that have no other honest meaning here
    "aggregate": "stream or state",
    "backend": "transport",
    "bus": "feed",
    "dao": "recorder",
    "epoch": "generation",
    "journal": "log",
    "listener": "subscriber or reactor",
    "pipeline": "workflow",
    "saga": "reactor",
    "serializer": "codec",
    "wrapper": "envelope",
}


DECLARATION = re.compile(r"\b(?:class|const|enum|function|interface|let|type)\s+(?:\{([^}]*)\}|\[([^\]]*)\]|(\w+))")


def declared(source: Source) -> Iterator[tuple[str, int]]:
    """The name of a module, and of its classes; in TypeScript of all that it declares."""
    yield source.name, 1
    if source.path.endswith(".py"):
        yield from ((node.name, node.lineno) for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef))
    else:
        for number, line in enumerate(source.text.splitlines(), 1):
            for names in DECLARATION.findall(line):
                yield from ((name, number) for name in re.findall(r"\w+", "".join(names)))


def typescript(sources: Sources) -> Iterator[Source]:
    """The sources of the console and of the client that are written by hand."""
    return (s for s in sources if s.path.endswith((".ts", ".tsx")) and "/generated" not in s.path)


def the_glossary_is_spoken(sources: Sources) -> Iterator[Breach]:
    """Modules, classes and the declarations of the console use our words, not their rivals."""
    for source in (*python(sources, *PACKAGES), *typescript(sources)):
        for name, line in declared(source):
            for word in sorted(words_of(name) & AVOIDED.keys()):
                yield Breach(source.path, line, f"'{word}' in the name {name}", f"here we say {AVOIDED[word]}")


def event_classes(sources: Sources) -> set[str]:
    """Dotted names of the classes of the domain that are events."""
    found: set[str] = set()
    for source in python(sources, "athena_core/domain"):
        events = {"Event"}
        for node in source.tree.body:
            if isinstance(node, ast.ClassDef) and any(isinstance(b, ast.Name) and b.id in events for b in node.bases):
                events.add(node.name)
                room = ".".join(source.module.split(".")[:3])  # a room may be a folder, which is entered by its door
                found.add(f"{room}.{node.name}")
    return found


def rooms_are_entered_by_their_door(sources: Sources) -> Iterator[Breach]:
    """A room of the domain that is a folder is one room: only its own files know of each other."""
    inner = {source.module for source in python(sources, "athena_core/domain") if source.module.count(".") > 2}
    for source in python(sources, *PACKAGES, "tests"):
        for name, line in imported(source.tree):
            owner = name if name in inner else name.rpartition(".")[0]
            room = ".".join(owner.split(".")[:3])
            if owner in inner and not f"{source.module}.".startswith(f"{room}."):
                yield Breach(source.path, line, f"it imports {owner}", f"import from {room}")


def projections_know_only_events(sources: Sources) -> Iterator[Breach]:
    """A read model takes Event classes from the domain and nothing else."""
    events = event_classes(sources)
    for source in python(sources, "projections"):
        for name, line in imported(source.tree):
            if f"{name}.".startswith("athena_core.domain.") and name not in events:
                yield Breach(
                    source.path, line, f"{name} is not an event", "import events; put shared values in values.py"
                )


def read_models_do_not_know_each_other(sources: Sources) -> Iterator[Breach]:
    """Whatever in ``projections`` handles events can be understood, and rebuilt, alone."""
    projections = [source for source in python(sources, "projections") if source.name != "__init__"]
    models = {
        s.module for s in projections if any(name.startswith("athena_core.domain.") for name, _ in imported(s.tree))
    }
    for source in projections:
        for name, line in imported(source.tree):
            owner = name if name in models else name.rpartition(".")[0]
            if source.module in models and owner in models and owner != source.module:
                yield Breach(
                    source.path, line, f"it knows {owner}", "fold the events again, or move what both need out"
                )


def the_engine_knows_no_read_model(sources: Sources) -> Iterator[Breach]:
    """The engine folds and serves read models without importing any."""
    for source in python(sources, "projections/engine"):
        for name, line in imported(source.tree):
            if name.startswith("projections.") and not name.startswith("projections.engine."):
                yield Breach(source.path, line, f"it knows {name}", "let the caller pass it in")


def imported(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """The dotted names in import statements, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def nothing_names_a_machine(sources: Sources) -> Iterator[Breach]:
    """No file contains a path of a developer's machine or the host of a package registry."""
    paths = [r"(?<![\w.])/(home|Users|root)/\w"]
    if len(ROOT.parts) > 2:  # a root such as /app would match too much
        paths.append(re.escape(str(ROOT)) + r"\b")
    machine = re.compile("|".join(paths))
    registry = re.compile(r"\b(pypi|pythonhosted|npmjs|yarnpkg)\.(org|com)\b|--(extra-)?index-url|--find-links")
    for source in sources:
        for number, line in enumerate(source.text.splitlines(), 1):
            if machine.search(line):
                yield Breach(source.path, number, "a path of one machine", "make it relative, or a temporary folder")
            if registry.search(line) and source.path != "tests/test_house.py":
                yield Breach(source.path, number, "a package registry is named", "leave it to the installer's settings")


STANDARD_STREAMS = {"print", "sys.stdout", "sys.stderr"}
WRITERS = {"athena_cli/render.py", "athena_cli/app.py"}


def the_command_line_has_one_writer(sources: Sources) -> Iterator[Breach]:
    """Only ``render`` writes to a standard stream, so that nothing raw that a terminal may obey gets there."""
    for source in python(sources, "athena_cli"):
        for node in () if source.path in WRITERS else ast.walk(source.tree):
            if isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) in STANDARD_STREAMS:
                remedy = "call write, say or note of athena_cli.render"
                yield Breach(source.path, node.lineno, f"it uses {ast.unparse(node)}", remedy)


NOUNS = {  # of the glossary, with their plurals
    **{
        noun: f"{noun}s"
        for noun in ("agent", "anchor", "ask", "backup", "bundle", "dead_letter", "directive", "event", "id")
    },
    **{
        noun: f"{noun}s"
        for noun in (
            "halt",
            "incident",
            "bulk_request",
            "mcp_server",
            "message",
            "permission_rule",
            "profile",
            "queue",
            "redrive",
            "rejection",
            "review",
            "run",
            "schedule",
        )
    },
    **{noun: f"{noun}s" for noun in ("session", "template", "token", "view", "workflow", "workflow_run", "workspace")},
    **{noun: noun for noun in ("audit", "erasure", "evidence", "fleet", "identity", "log", "memory", "policy")},
}
NOUN_FOLDERS = {  # in which each file is a noun
    "athena_core/domain": "singular",
    "projections": "plural",
    "athena_api/operations": "plural",
    "athena_cli/commands": "plural",
    "athena_api/dashboard/src/pages": "plural",
}
NO_NOUN = {
    "athena_core/domain/plane.py": "the facts of the plane itself: its start, its clock, who was denied what",
    "projections/diff.py": "what happened to records of all kinds between two moments; it keeps no rows",
    "projections/feed.py": "events as they are published, to readers and streams; it keeps no rows",
    "projections/names.py": "names of records of several kinds, by which requests find their ids",
    "athena_api/operations/core.py": "health, capabilities, the caller: the server itself",
    "athena_cli/commands/demo.py": "a plane for visitors, not a record in it",
    "athena_cli/commands/doctor.py": "the set-up around the log, not a record in it",
    "athena_cli/commands/init.py": "the first set-up: a model, its settings and a first profile",
    "athena_cli/commands/mcp.py": "a program beside the server, for one client of it",
    "athena_cli/commands/server.py": "the programs: server, worker, the document of the API",
    "athena_api/dashboard/src/pages/run.tsx": "one run, beside the list of them",
    "athena_api/dashboard/src/pages/system.tsx": "the server: health, views, workers, limits",
}
"""Files in such a folder that are no noun, and why."""


FORMER = {  # words of routes, settings or stored events that name no file
    "a2a": "message",
    "flow": "workflow",
    "harness": "profile",
    "letter": "dead_letter",
    "letters": "dead_letters",
    "persona": "review",
    "personas": "reviews",
    "work": "queue",
}


def a_noun_has_one_name(sources: Sources) -> Iterator[Breach]:
    """Domain, view, operations, commands and page of a noun carry the same noun; a part of its room begins with it.

    No other file, a test's neither, is called by another word for it.
    """
    for source in sources:
        folder, _, file = source.path.rpartition("/")
        name, _, ending = file.partition(".")
        former = sorted(words_of(name.replace("dead_letter", "")) & FORMER.keys())
        if former and ending in {"py", "ts", "tsx"}:
            yield Breach(source.path, 1, f"'{former[0]}' in the name of a file", f"here we say {FORMER[former[0]]}")
            continue
        if folder not in NOUN_FOLDERS or ending not in {"py", "tsx"} or name == "__init__" or source.path in NO_NOUN:
            continue
        known = NOUNS if NOUN_FOLDERS[folder] == "singular" else NOUNS.values()
        if name not in known and not any(name.startswith(f"{noun}_") for noun in NOUNS):
            form = NOUN_FOLDERS[folder]
            yield Breach(source.path, 1, f"'{name}' is no {form} noun of the glossary", "use the noun of the domain")


FUNCTION_LINES_MAX = 60


def is_declaration(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return True if a function is one statement without a block, such as a literal, a table or a tree of calls."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return len(body) == 1 and isinstance(body[0], ast.Return | ast.Expr | ast.Assign | ast.AnnAssign)


def functions_are_short(sources: Sources) -> Iterator[Breach]:
    """A function of the product has at most 60 lines, unless it is a declaration or generated."""
    for source in python(sources, *PACKAGES):
        for node in () if source.generated else ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not is_declaration(node):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    yield Breach(source.path, node.lineno, f"{lines} lines in {node.name}", "divide it by its steps")


SHARED = {
    "LetterItem": "an item of a dead letter, stored by the domain and shown by the view; both contracts fix the name",
}
"""Names of classes that several modules may use, and why."""


def classes_have_names_of_their_own(sources: Sources) -> Iterator[Breach]:
    """The name of a class stands for one thing in the server. Clients have the names of the API."""
    seen: dict[str, str] = {}
    for source in python(sources, *SERVER):
        for node in source.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and node.name not in SHARED:
                if node.name in seen:
                    yield Breach(
                        source.path, node.lineno, f"{node.name} is also in {seen[node.name]}", "say which one it is"
                    )
                seen.setdefault(node.name, f"{source.path}:{node.lineno}")


RIDDLES = {  # metaphors that a reader has to decode, and the word of the trade
    "asker": "caller",
    "bell": "notifier",
    "books": "recorder",
    "desk": "transaction",
    "doubt": "unknown outcome",
    "drains": "drainer",
    "gate": "filter",
    "grave": "burial reason",
    "keeper": "updater",
    "kept": "cached or stored",
    "latch": "lock",
    "letter": "dead letter",
    "moment": "event",
    "news": "notice",
    "sheet": "csv",
    "shelf": "store",
    "story": "timeline",
    "talk": "progress",
    "told": "reported or result",
    "walker": "stepper",
    "world": "state",
}
FIXED = {
    "AnchorKept": "the class of the stored event anchor.kept",
    "AnchorKeptPayload": "its payload in the client",
    "anchor_kept": "the handler of that event",
    "KeptAnchor": "a component of the API",
    "KeptAnswer": "the answer of another Athena to an anchor",
    "KeptPage": "a page of such anchors",
    "LetterItem": "a part of a stored event",
    "merge_gate": "the gate of a review (mergeGate), as the trade calls it",
}
"""Names that a contract fixes, and why."""


def names_are_no_riddles(sources: Sources) -> Iterator[Breach]:
    """Modules, classes, functions and the declarations of the console are called what the trade calls them."""
    for source in (*python(sources, *PACKAGES), *typescript(sources)):
        nouns, verbs = [*declared(source)], list[tuple[str, int]]()
        for node in ast.walk(source.tree) if source.path.endswith(".py") else ():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                verbs.append((node.name, node.lineno))
        for name, line in (*nouns, *verbs):
            found = words_of(re.sub("dead_?letter", "", name, flags=re.IGNORECASE)) & RIDDLES.keys()
            if (name, line) in verbs:
                found -= {"letter"}  # of functions the module says which letters it means
            for word in sorted(found if name not in FIXED else ()):
                yield Breach(source.path, line, f"'{word}' in the name {name}", f"say {RIDDLES[word]}")


def no_test_is_a_library(sources: Sources) -> Iterator[Breach]:
    """Shared test code lives outside of tests, so that each test can be moved and read alone."""
    for source in python(sources):
        for name, line in imported(source.tree):
            if re.match(r"tests(\.\w+)*\.test_", name):
                yield Breach(source.path, line, f"{name} is a test", "move what both need to tests/support")


CUTTERS = {"preview", "cut"}
"""Functions that return a part of a text."""


def _is_cut(value: ast.AST, cut: set[str]) -> bool:
    """Return True if an expression has a part of a text. JSON is decoded from whole texts only."""
    match value:
        case ast.Call() if ast.unparse(value.func) == "msgspec.json.decode":
            return False
        case ast.Call() if ast.unparse(value.func).rpartition(".")[2] in CUTTERS:
            return True
        case ast.Subscript(slice=ast.Slice(lower=lower, upper=upper)) if upper or isinstance(lower, ast.UnaryOp):
            return True
        case ast.Name():
            return value.id in cut
    return any(_is_cut(inner, cut) for inner in ast.iter_child_nodes(value))


def texts_are_masked_before_they_are_cut(sources: Sources) -> Iterator[Breach]:
    """A part of a text may begin or end with a part of a secret, which no mask finds."""
    remedy = "use OutsideText: shown, line or tail; for a text that came without its end, is_cut"
    for source in python(sources, *SERVER):
        for function in ast.walk(source.tree):
            if source.name == "outside_text" or not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            cut = set[str]()
            for node in sorted(ast.walk(function), key=lambda node: getattr(node, "lineno", 0)):
                if isinstance(node, ast.Assign) and _is_cut(node.value, cut):
                    cut |= {target.id for target in node.targets if isinstance(target, ast.Name)}
                if not isinstance(node, ast.Call) or not node.args:
                    continue
                called = ast.unparse(node.func).rpartition(".")[2]
                whole = called in {"hide", "hide_in"} or (called == "OutsideText" and not node.keywords)
                if whole and _is_cut(node.args[0], cut):
                    yield Breach(source.path, node.lineno, f"a cut text is given to {called}", remedy)


def words_are_plain(sources: Sources) -> Iterator[Breach]:
    """Prose avoids words that a reader has to decode, and refers to no document outside of the repository."""
    for source in sources:
        for fault in words.faults_in(source.path, source.text):
            yield Breach(fault.path, fault.line, fault.problem, "say it in plain words (CONTRIBUTING.md)")


RULES: tuple[Rule, ...] = (
    modules_say_what_they_are,
    modules_are_nouns,
    packages_have_door_plates,
    clocks_and_environment_have_one_reader,
    statuses_have_one_home,
    sql_has_two_homes,
    events_are_past_tense,
    events_have_names_of_their_own,
    the_glossary_is_spoken,
    rooms_are_entered_by_their_door,
    projections_know_only_events,
    read_models_do_not_know_each_other,
    the_engine_knows_no_read_model,
    nothing_names_a_machine,
    the_command_line_has_one_writer,
    a_noun_has_one_name,
    functions_are_short,
    classes_have_names_of_their_own,
    names_are_no_riddles,
    no_test_is_a_library,
    texts_are_masked_before_they_are_cut,
    words_are_plain,
)

EVENT = 'class Begun(Event):\n    TYPE: ClassVar[str] = "run.begun"\n'
PLATE = '"""X.\n\nWhat lives here: y. What may not: z."""\n'
USES_EVENT = "from athena_core.domain.run import RunBegun\n"

BREACHES: tuple[tuple[Rule, dict[str, str], list[str]], ...] = (
    # a rule, a made-up tree with breaches and allowed code, and the places that the rule must name
    (modules_say_what_they_are, {"athena_api/a.py": "", "athena_api/b.py": "x = 1"}, ["athena_api/b.py:1"]),
    (
        modules_say_what_they_are,
        {"athena_api/a.py": '"""One. Two."""', "tests/b.py": '"""One."""'},
        ["athena_api/a.py:1"],
    ),
    (modules_are_nouns, {"tests/run_helpers.py": "", "athena_core/database.py": ""}, ["tests/run_helpers.py:1"]),
    (packages_have_door_plates, {"projections/runs.py": ""}, ["projections/__init__.py:1"] * 3),
    (packages_have_door_plates, {"athena_cli/__init__.py": PLATE}, ["athena_cli/__init__.py:1"]),
    (
        clocks_and_environment_have_one_reader,
        {
            "athena_core/clock.py": "import time\ntime.time_ns()",
            "athena_core/a.py": "import time as t\nt.sleep(1)\nt.time_ns()",
            "athena_core/b.py": "from os import environ\nfrom datetime import datetime\ndatetime.now()",
            "athena_core/c.py": "import os\nos.environ.get('A')\nimport random",
        },
        ["athena_core/a.py:3", "athena_core/b.py:1", "athena_core/b.py:3", "athena_core/c.py:2", "athena_core/c.py:3"],
    ),
    (
        statuses_have_one_home,
        {
            "athena_api/a.py": "from http import HTTPStatus\nA = 200",
            "athena_core/b.py": "import http.client\nB = http.client.responses[200]",
            "athena_cli/c.py": "import http.client\nC = http.client.HTTPException",
        },
        ["athena_api/a.py:1", "athena_core/b.py:2"],
    ),
    (
        sql_has_two_homes,
        {
            "athena_core/log/sqlite/store.py": "A = 'DELETE FROM log'",
            "athena_api/a.py": "A = 'SELECT one of these'\nB = f'INSERT INTO {A} VALUES (1)'\nC = 'Update policy'",
        },
        ["athena_api/a.py:1", "athena_api/a.py:2"],
    ),
    (events_are_past_tense, {"athena_core/domain/run.py": EVENT}, ["athena_core/domain/run.py:2"]),
    (
        events_are_past_tense,
        {"athena_core/domain/run.py": EVENT.replace("begun", "Started")},
        ["athena_core/domain/run.py:2"],
    ),
    (events_are_past_tense, {"athena_core/domain/run.py": EVENT.replace("begun", "timed-out")}, []),
    (
        events_have_names_of_their_own,
        {"athena_core/domain/run.py": EVENT, "athena_core/domain/queue.py": EVENT},
        ["athena_core/domain/queue.py:2"],
    ),
    (
        the_glossary_is_spoken,
        {
            "athena_core/event_bus.py": "class HTTPBackend: ...\nclass Business: ...",
            "tests/bus.py": "",
            "athena_api/dashboard/src/feed.ts": "let generation = 0;\nconst { epoch, listen } = feed; // of a listener",
            "clients/typescript/src/generated/types.ts": "export interface Backend {}",
        },
        ["athena_core/event_bus.py:1", "athena_core/event_bus.py:1", "athena_api/dashboard/src/feed.ts:2"],
    ),
    (
        rooms_are_entered_by_their_door,
        {
            "athena_core/domain/run/__init__.py": "from athena_core.domain.run.events import *",
            "athena_core/domain/run/events.py": "class RunFact(Event): ...",
            "athena_core/domain/run/state.py": "from athena_core.domain.run.events import RunFact",
            "athena_core/services/runs/runs.py": "from athena_core.domain.run import RunFact, events",
            "projections/runs.py": "from athena_core.domain.run.events import RunFact",
        },
        ["athena_core/services/runs/runs.py:1", "projections/runs.py:1"],
    ),
    (
        projections_know_only_events,
        {
            "athena_core/domain/run.py": "class RunFact(Event): ...\nclass RunBegun(RunFact): ...\nclass RunState: ...",
            "projections/runs.py": USES_EVENT
            + "from athena_core.domain.run import RunState\nimport athena_core.domain.run",
            "projections/queues.py": "from athena_core.domain import run",
        },
        ["projections/runs.py:2", "projections/runs.py:3", "projections/queues.py:1"],
    ),
    (
        the_command_line_has_one_writer,
        {
            "athena_cli/render.py": "import sys\nprint(sys.stdout)",
            "athena_cli/a.py": "import sys\nconsole.print(1)\nprint(1)\nwrite = sys.stderr.write",
        },
        ["athena_cli/a.py:3", "athena_cli/a.py:4"],
    ),
    (
        read_models_do_not_know_each_other,
        {
            "projections/engine/page.py": "",
            "projections/runs.py": USES_EVENT + "from projections.engine.page import Page",
            "projections/queues.py": USES_EVENT + "from projections.runs import COUNT\nfrom projections import runs",
        },
        ["projections/queues.py:2", "projections/queues.py:3"],
    ),
    (
        the_engine_knows_no_read_model,
        {
            "projections/engine/replay.py": "from projections.engine import generation\nfrom projections import ALL",
            "projections/engine/views.py": "from projections.runs import RUNS",
            "projections/runs.py": "from projections import sessions",
        },
        ["projections/engine/replay.py:2", "projections/engine/views.py:1"],
    ),
    (
        nothing_names_a_machine,
        {
            "README.md": "see ~/.athena\n" + "/home" + "/alice/athena\nhttps://pypi" + ".org/simple",
            "Makefile": f"cd {ROOT}",
        },
        ["README.md:2", "README.md:3", "Makefile:1"],
    ),
    (
        a_noun_has_one_name,
        {
            "athena_core/domain/run.py": "",
            "athena_core/domain/run_refusals.py": "",
            "athena_core/domain/runs.py": "",
            "projections/letters.py": "",
            "projections/dead_letters.py": "",
            "projections/engine/projector.py": "",
            "athena_api/dashboard/src/pages/letters.tsx": "",
            "athena_cli/commands/doctor.py": "",
            "athena_core/services/letters.py": "",
            "tests/api/test_personas.py": "",
            "tests/api/test_dead_letters.py": "",
        },
        [
            *(
                "athena_core/domain/runs.py:1",
                "projections/letters.py:1",
                "athena_api/dashboard/src/pages/letters.tsx:1",
            ),
            *("athena_core/services/letters.py:1", "tests/api/test_personas.py:1"),
        ],
    ),
    (
        functions_are_short,
        {
            "athena_api/a.py": "def f():\n" + "    x = 1\n" * 60 + "def g():\n" + "    x = 1\n" * 59,
            "athena_api/b.py": "def f():\n    'X.'\n    return [\n" + "    1,\n" * 60 + "    ]\n",
            "athena_api/c.py": "async def f():\n    if x:\n" + "        y = 1\n" * 60,
        },
        ["athena_api/a.py:1", "athena_api/c.py:1"],
    ),
    (
        classes_have_names_of_their_own,
        {
            "athena_core/a.py": "class Line: ...\nclass _Line: ...\nclass Host:\n    class Line: ...",
            "projections/b.py": "class _Line: ...\nclass Line: ...",
            "tests/c.py": "class Line: ...",
        },
        ["projections/b.py:2"],
    ),
    (
        names_are_no_riddles,
        {
            "athena_api/sheet.py": "def keep(): ...\nclass DeadLetters: ...\ndef letter_of(): ...",
            "athena_core/b.py": "class Newsy: ...\nclass Letters:\n    def drain(self): ...\n    def _asker(self): ...",
            "tests/keeper.py": "",
            "athena_api/dashboard/src/talk.ts": "const { deadLetter } = x;\nfunction story() {}",
        },
        [
            *("athena_api/sheet.py:1", "athena_core/b.py:2", "athena_core/b.py:4"),
            *("athena_api/dashboard/src/talk.ts:1", "athena_api/dashboard/src/talk.ts:2"),
        ],
    ),
    (
        no_test_is_a_library,
        {
            "tests/api/test_a.py": "from tests.core.test_b import B\nfrom tests.core import test_b as b\n",
            "tests/api/c.py": "import tests.api.test_a\nfrom tests.support import testing",
        },
        ["tests/api/test_a.py:1", "tests/api/test_a.py:2", "tests/api/c.py:1"],
    ),
    (
        texts_are_masked_before_they_are_cut,
        {
            "athena_core/a.py": "def f(x):\n    m.hide(preview(x, 9))\n    y = clean(x[:9])\n    m.hide(y)\n",
            "athena_core/b.py": "def f(x):\n    m.hide(clean(x[-9:]))[:5]\n    OutsideText(x[0]).line(m, 9)\n",
            "athena_core/c.py": "def f(x):\n    OutsideText(x[:9])\n    OutsideText(x[:9], is_cut=True)\n",
            "athena_core/d.py": "def f(x):\n    m.hide(x)[:9]\n    m.hide_in(msgspec.json.decode(x[1:9]))\n",
        },
        ["athena_core/a.py:2", "athena_core/a.py:4", "athena_core/b.py:2", "athena_core/c.py:2"],
    ),
    (
        words_are_plain,
        {
            "athena_core/a.py": 'A = f"{B} is no id"\ndef f():\n    """Whether it is so."""\n    # nobody asks\n',
            "athena_core/b.py": 'A = "nobody"  # a value\ndef told():\n    """Return as\n    far as it."""\n',
            "tests/test_a.py": 'def test_a_client_is_told() -> None:\n    a = "what is"\n',
            "docs/a.md": "It comes to `none of a` 2.\n```\nso many\n```\nSee contract 4.2.\n",
            "Makefile": "x: ## Run so many\n\tawk tells\n",
        },
        [
            *(
                "athena_core/a.py:3",
                "athena_core/a.py:4",
                "athena_core/a.py:1",
                "athena_core/b.py:3",
                "tests/test_a.py:1",
            ),
            *("docs/a.md:1", "docs/a.md:5", "Makefile:1"),
        ],
    ),
)


@cache
def everything() -> tuple[Source, ...]:
    """All text files of the project."""
    sources = []
    for name in tree.files():
        try:
            sources.append(Source(name, (ROOT / name).read_text("utf-8")))
        except UnicodeDecodeError:
            continue  # a picture
    return tuple(sources)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps(rule: Rule) -> None:
    breaches = [str(breach) for breach in rule(everything())]
    assert not breaches, "\n" + "\n".join(breaches)


@pytest.mark.parametrize(("rule", "tree", "places"), BREACHES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_breach_is_noticed_by(rule: Rule, tree: dict[str, str], places: list[str]) -> None:
    found = [f"{breach.path}:{breach.line}" for breach in rule([Source(path, text) for path, text in tree.items()])]
    assert found == places


def test_every_rule_has_an_example_of_its_breach() -> None:
    assert {rule for rule, _, places in BREACHES if places} == set(RULES)


def test_exemptions_from_plain_words_are_few_and_each_has_a_reason_and_a_place() -> None:
    assert len(words.EXEMPT) <= 20
    texts = {source.path: source.text for source in everything()}
    for (path, phrase), reason in words.EXEMPT.items():
        assert len(reason.split()) >= 3, phrase
        assert any(phrase in text for place, text in texts.items() if path in {place, "*"}), f"{phrase} is gone"


def test_the_tree_is_read() -> None:
    assert {"athena_core/event.py", "tests/test_house.py", "pyproject.toml"} <= {source.path for source in everything()}


# Dependencies


def test_both_spellings_of_the_developers_tools_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extra = project["project"]["optional-dependencies"]["dev"]
    assert project["dependency-groups"]["dev"] == extra, "pyproject.toml: copy the list of the extra to the group"


def test_the_lock_meets_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]
    locked = dict(re.findall(r"^([\w.-]+)==([\w.!+-]+)", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE))
    unmet = [
        wish
        for wish, requirement in ((wish, Requirement(wish)) for wish in asked)
        if not requirement.specifier.contains(locked.get(requirement.name.lower(), "0.dev0"), prereleases=True)
    ]
    assert not unmet, f"constraints.txt: {', '.join(unmet)} not met; run 'make lock'"
