"""Asks on a terminal: a call is shown in full, and no text of an agent looks like a line of Athena."""

import json
from typing import Any

import pytest
from rich.cells import cell_len

from athena_cli.output.ask_text import BAR, INDENT, MORE, ask_lines, marks_in, visible
from athena_cli.output.event_text import summary_of
from athena_cli.output.timeline import entry_lines

HOSTILE = "rm\x1b[2J -rf \u202etxt.exe\u200b\x07 \u3164\u2800\ufe0f\r\n\x85Allow it? [y]es, [n]o: y"
ASK: dict[str, Any] = {
    "id": "ask_01M8F3KK2RT3FPMJR5DK4MWCWX",
    "kind": "tool-permission",
    "status": "open",
    "question": "May I run a command?",
    "subjectHash": "0" * 64,
    "runId": "run_01M8F3KK2RT3FPMJR5DK4MWCWX",
    "sessionId": "release",
    "agentName": "Release bot",
    "askedAt": "2026-01-01T11:57:00.000Z",
    "expiresAt": "2026-01-02T11:57:00.000Z",
    "onExpiry": "deny",
    "options": [{"id": "allow", "kind": "allow_once"}, {"id": "deny", "kind": "reject_once"}],
}


def shown(tool: str, arguments: Any, width: int = 80, **members: Any) -> list[str]:
    """Return the lines about a tool call, without the head."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    lines = list(ask_lines({**ASK, "toolName": tool, "arguments": text, **members}, width))
    return lines[lines.index("") + 1 : -1]


def test_a_command_is_shown_word_by_word_as_a_shell_quotes_it() -> None:
    assert shown("shell", {"command": ["git", "commit", "-m", "two words; rm"], "directory": "repo"}) == [
        "Run a command (4 words):",
        "  │ git commit -m 'two words; rm'",
        "  │ directory: repo",
    ]


def test_a_word_of_several_lines_is_shown_as_lines() -> None:
    assert shown("shell", {"command": ["python3", "-c", "import os\nos.remove('x')"]}) == [
        "Run a command (3 words):",
        "  │ 0  python3",
        "  │ 1  -c",
        "  │ 2  import os",
        "  │ 2  os.remove('x')",
    ]


def test_a_request_is_shown_with_its_host_and_everything_that_is_sent() -> None:
    arguments = {"url": "https://api.example.org/v1?q=a", "method": "POST", "headers": {"x-a": "1"}, "body": "b\nc"}
    assert shown("http", arguments) == [
        "Send a request to api.example.org:",
        "  │ POST https://api.example.org/v1?q=a",
        "  │ headers:",
        "  │   {",
        '  │     "x-a": "1"',
        "  │   }",
        "  │ body:",
        "  │   b",
        "  │   c",
    ]


def test_a_request_is_shown_with_the_names_of_the_credentials_that_it_would_carry() -> None:
    lines = shown("http", {"url": "https://api.example.org/"}, credentials=["github", "ji\u202era"])
    assert lines[-1] == "With the credentials: github, ji[U+202E]ra"


def test_files_are_shown_as_text_or_as_a_change() -> None:
    assert shown("files", {"action": "write", "path": "a.md", "content": "# A\n\tb\n"}) == [
        "Write a file:",
        "  │ a.md",
        "The new content (7 characters):",
        "  │ # A",
        "  │ ⇥   b",
    ]
    assert shown("files", {"action": "replace", "path": "a.md", "old": "one\ntwo", "new": "three"})[2:] == [
        "The change:",
        "  │ - one",
        "  │ - two",
        "  │ + three",
    ]
    assert shown("files", {"action": "delete", "path": "a.md"}) == ["Delete a file:", "  │ a.md"]


@pytest.mark.parametrize("arguments", ["no json", "[1]", '{"command": "x"}', '{"command": [1]}', "{}", "", "{" * 5000])
@pytest.mark.parametrize("tool", ["shell", "http", "files", "memory", "no tool\x1b[1m"])
def test_arguments_of_any_form_are_shown(tool: str, arguments: str) -> None:
    lines = shown(tool, arguments)
    assert lines
    assert "\x1b" not in "".join(lines)


def test_a_question_a_choice_and_an_approval_are_shown_in_full() -> None:
    options = [{"id": "1", "kind": "allow_once", "name": "Graz"}, {"id": "decline", "kind": "reject_once"}]
    choice = list(ask_lines({**ASK, "kind": "choice", "question": "Where?", "options": options}, 80))
    assert choice[4:7] == ["  │ Where?", "", "  │ 1  Graz"]
    approval = {**ASK, "kind": "workflow-approval", "subject": "a\nb", "input": {"week": 7}, "stepId": "publish"}
    lines = list(ask_lines(approval, 80))
    assert lines[5:9] == ["", "The text to approve:", "  │ a", "  │ b"]
    assert '  │   "week": 7' in lines


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("shell", {"command": [HOSTILE, HOSTILE * 30], HOSTILE: HOSTILE}),
        ("http", {"url": f"https://a.example/{HOSTILE}", "headers": {HOSTILE: HOSTILE}}),
        ("files", {"action": "write", "path": HOSTILE, "content": HOSTILE * 30}),
        (HOSTILE, {"a": {HOSTILE: [HOSTILE]}}),
    ],
)
def test_hostile_text_is_written_out_and_stays_behind_its_bar(tool: str, arguments: Any, width: int) -> None:
    lines = shown(tool, arguments, width, agentName=HOSTILE)
    assert all(line.isprintable() for line in lines)
    assert all(cell_len(line) <= width for line in lines if line.startswith(INDENT))
    for line in lines:
        assert not line.startswith("Allow it?")
        if "txt.exe" in line and tool != HOSTILE:
            assert line.startswith((INDENT + BAR, INDENT + MORE))
    text = "".join(line.removeprefix(INDENT + BAR).removeprefix(INDENT + MORE) for line in lines)
    for name in ("[U+001B]", "[U+202E]", "[U+200B]", "[U+0007]", "[U+3164]", "[U+2800]", "[U+FE0F]", "[U+000D]"):
        assert name in text.replace("\n", ""), name


def test_no_character_of_a_text_is_lost() -> None:
    text = "".join(map(chr, [*range(0x20, 0x2FF), 0x5024, 0x1F350]))
    assert visible(text).replace("[U+00A0]", "\xa0").count("[U+") == sum(not char.isprintable() for char in text) - 1
    for width in (30, 80):
        lines = shown("files", {"action": "write", "path": "a", "content": text}, width)[3:]
        assert "".join(line[len(INDENT + BAR) :] for line in lines).replace(" ", "") == visible(text).replace(" ", "")


def test_a_call_in_a_timeline_names_the_credentials_that_it_carried() -> None:
    arguments = '{"url": "https://api.example.org/"}'
    entry = {"role": "assistant", "kind": "tool-call", "toolName": "http", "content": arguments}
    assert list(entry_lines({**entry, "metadata": {"credentials": "github,jira"}})) == [
        "> http https://api.example.org/",
        "  credentials: github,jira",
    ]
    assert list(entry_lines(entry)) == ["> http https://api.example.org/"]
    event = {"type": "tool.called", "payload": {"toolName": "http", "credentials": ["github", "jira"]}}
    assert summary_of(event) == "http · credentials github, jira"


def test_a_call_of_an_outside_agent_has_its_kind_and_says_if_it_did_not_ask() -> None:
    payload = {"origin": "agent", "kind": "execute", "asked": False}
    assert summary_of({"type": "tool.called", "payload": payload}) == "execute · not asked"
    assert summary_of({"type": "tool.called", "payload": {**payload, "asked": True}}) == "execute"
    attached = {"agent": "codex", "agentVersion": "2.6.0", "how": "new", "mode": "ask", "agentSessionId": "1"}
    assert summary_of({"type": "agent.attached", "payload": attached}) == "codex · 2.6.0 · new · ask"


# Calls of outside agents


def test_a_call_of_an_outside_agent_is_shown_with_its_kind_and_the_exact_command() -> None:
    assert shown("codex:execute", {"command": ["bash", "-lc", "rm -r out"], "cwd": "/w"}) == [
        "Run a command, by the agent codex:",
        "  │ bash -lc 'rm -r out'",
        "  │ cwd: /w",
    ]
    assert shown("claude:execute", {"command": "ls\nrm -r out", "description": "List"}) == [
        "Run a command, by the agent claude:",
        "  │ ls",
        "  │ rm -r out",
        "  │ description: List",
    ]
    assert shown("claude:edit", {"file_path": "a", "old_string": "x"})[0] == "Change a file, by the agent claude:"
    assert shown("odd:execute", {"command": [1, "x"]}) == [
        "Run a command, by the agent odd:",
        "  │ command:",
        "  │   [",
        "  │     1,",
        '  │     "x"',
        "  │   ]",
    ]
    assert next(ask_lines({**ASK, "toolName": "codex:execute", "arguments": "{}"}, 80)).startswith("ask_")
    assert "asked by codex, run run_" in "\n".join(ask_lines({**ASK, "toolName": "codex:execute"}, 80))


def test_a_question_of_an_mcp_server_names_it() -> None:
    def head(**members: str) -> str:
        return list(ask_lines({**ASK, "toolName": "git\u202e__push", "origin": "mcp", **members}, 80))[1]

    assert head(kind="question").startswith("asked by the MCP server git[U+202E], run run_")
    assert head().startswith("asked by Release bot, run run_")
    assert head(kind="question", origin="loop").startswith("asked by Release bot, run run_")
    assert head(kind="question", toolName="ask_user").startswith("asked by Release bot, run run_")
    assert shown("git/x:y", {"a": 1})[0] == "Call the tool git/x:y:", "not the tool of an agent"


def test_changes_that_an_agent_shows_are_compared() -> None:
    change = {"type": "diff", "path": "a.txt", "oldText": "one\ntwo\n", "newText": "one\n2\x1b[2J\n"}
    made = {"type": "diff", "path": "b.txt", "oldText": None, "newText": "b\n"}
    assert shown("gemini:edit", {"title": "Two files", "content": [change, made]}) == [
        "Change a file, by the agent gemini:",
        *("  │ --- a.txt", "  │ +++ a.txt", "  │ @@ -1,2 +1,2 @@", "  │  one", "  │ -two", "  │ +2[U+001B][2J"),
        *("  │ --- /dev/null", "  │ +++ b.txt", "  │ @@ -0,0 +1 @@", "  │ +b"),
        "  │ title: Two files",
    ]
    for odd in ([], [{"type": "diff"}], [{"type": "diff", "newText": 1}], ["x"], [{**made, "newText": "a\n" * 3_000}]):
        lines = shown("gemini:edit", {"content": odd})
        assert "content:" in "\n".join(lines), "it is shown as it is"


def test_a_call_of_an_outside_agent_is_one_line_of_a_timeline() -> None:
    def told(title: str, arguments: Any, **about: str) -> list[str]:
        entry = {"role": "assistant", "kind": "tool-call", "toolName": title, "content": json.dumps(arguments)}
        return list(entry_lines({**entry, "metadata": {"kind": "execute"} | about}))

    assert told("ls -l", {"command": ["bash", "-lc", "ls  -l"]}) == ["> execute ls -l"]
    assert told("Shell", {"command": "ls\n-l"}) == ["> execute Shell: ls -l"]
    assert told("Edit", {"file_path": "a.txt", "old_string": "x"}, kind="edit") == ["> edit Edit: a.txt"]
    assert told("Write a.txt", {"file_path": "/w/files/a.txt"}, kind="edit") == ["> edit Write a.txt"]
    assert told("Think", {}, kind="think", asked="false") == ["> think Think (not asked)"]
    assert told(HOSTILE, {"command": HOSTILE})[0].isprintable()
    assert told("x" * 500, {})[0].endswith("…")
    (redacted,) = entry_lines(
        {"role": "assistant", "kind": "tool-call", "redacted": True, "metadata": {"kind": "edit"}},
    )
    assert redacted == "> edit (redacted)"


def test_the_changes_of_a_call_are_lines_up_to_a_limit() -> None:
    diff = "--- /dev/null\n+++ out.txt\n@@ -0,0 +1 @@\n+hi\x1b[2J\tyou"
    entry = {"role": "tool", "kind": "tool-result", "content": f"written\n{diff}"}
    assert list(entry_lines(entry)) == [
        "  written",
        *("    --- /dev/null", "    +++ out.txt", "    @@ -0,0 +1 @@", "    +hi[U+001B][2J you"),
    ]
    assert list(entry_lines({**entry, "content": diff}))[0] == "    --- /dev/null"
    long = list(entry_lines({**entry, "content": diff + "\n+more" * 1_000}))
    assert (len(long), long[-1]) == (31, "    … 974 more lines")
    assert list(entry_lines({**entry, "content": ""})) == ["  (no output)"]
    assert list(entry_lines({**entry, "content": "--- a\n+++ b"})) == ["  --- a +++ b"], "no diff"


def test_marks_of_hidden_parts_stand_out_and_imitations_do_not() -> None:
    hidden = [{"chars": 40, "sha256": "6966a52348f1" + "0" * 52}, {"chars": 5, "sha256": "1" * 64}]
    mark, imitation = "[hidden: 40 characters, sha256 6966a52348f1]", "[hidden: 40 characters, sha256 000000000000]"
    line = f"push {mark} {imitation} [secret KEY] [secret OTHER] [U+202E]"
    ask = {**ASK, "hidden": hidden, "secrets": ["KEY"]}
    assert [line[start:end] for start, end in marks_in(line, ask)] == [mark, "[secret KEY]", "[U+202E]"]
    assert "2 parts are hidden (45 characters)." in shown("shell", {"command": ["push", mark]}, hidden=hidden)
    assert not any("hidden (" in line for line in shown("shell", {}, hidden=hidden, exact="{}"))
