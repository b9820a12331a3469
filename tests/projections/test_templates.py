"""Run templates: every version, and the version of each run."""

from pathlib import Path

from projections.templates import list_templates, template_by_id
from tests.projections.answers import run_by_id
from tests.projections.history import History
from tests.projections.support import shown


def test_versions_are_kept_and_the_newest_is_shown(tmp_path: Path) -> None:
    history = History()
    first, second = history.template(), history.template("other")
    history.template("{{topic}}!", template_id=first, version=2)
    connection = shown(tmp_path, history)
    newest, old = template_by_id(connection, first), template_by_id(connection, first, 1)
    assert newest is not None
    assert old is not None
    assert (newest.version, newest.directive_template, newest.params_schema) == (2, "{{topic}}!", None)
    assert (old.version, old.directive_template, old.params_schema) == (1, "about {{topic}}", {"type": "object"})
    page = list_templates(connection, cursor=None, limit=1)
    assert [template.id for template in page.items] == [second]
    rest = list_templates(connection, cursor=page.next_cursor, limit=5)
    assert ([(template.id, template.version) for template in rest.items], rest.next_cursor) == ([(first, 2)], None)
    assert template_by_id(connection, first, 3) is None
    assert template_by_id(connection, "tpl_nobody") is None


def test_redaction_erases_one_version(tmp_path: Path) -> None:
    history = History()
    template_id = history.template()
    position = history.head()
    history.template("later", template_id=template_id, version=2)
    history.redact(position)
    connection = shown(tmp_path, history)
    old, newest = template_by_id(connection, template_id, 1), template_by_id(connection, template_id)
    assert old is not None
    assert newest is not None
    assert (old.directive_template, old.default_params, old.redacted) == (None, None, True)
    assert (newest.directive_template, newest.redacted) == ("later", None)


def test_a_run_says_which_version_it_was_started_from(tmp_path: Path) -> None:
    history = History()
    run_id = history.request("s")
    history.template_run(run_id)
    run = run_by_id(shown(tmp_path, history), run_id)
    assert run is not None
    assert run.template is not None
    assert run.template.version == 2
