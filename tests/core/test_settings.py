"""Settings: their sources, and those that stop the start."""

import grp
import os
import pwd
import re
from pathlib import Path

import pytest

from athena_core.errors import ConfigError
from athena_core.settings import LEAVING, SETTINGS, Settings, load, secrets_of, warnings_of
from athena_core.system.dotenv import read_dotenv
from athena_core.values import Role
from tests.support.process import ROOT
from tests.support.wrong_settings import WRONG

SECRETS = {
    "ATHENA_AUTH_API_TOKEN",
    "ATHENA_TOKEN",
    "ATHENA_ANCHOR_TOKEN",
    "ATHENA_OPENAI_API_KEY",
    "ATHENA_ANTHROPIC_API_KEY",
    "ATHENA_GEMINI_API_KEY",
    "ATHENA_HTTP_PROVIDER_API_KEY",
    "ATHENA_AUTH_PROXY_SECRET",
    "ATHENA_DATABASE_URL",
}
KEYS = sorted(SECRETS - {"ATHENA_AUTH_PROXY_SECRET", "ATHENA_DATABASE_URL"})


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    settings = load({}, tmp_path)
    assert settings.default_provider == "mock"
    assert settings.state_dir == Path.cwd() / ".athena"
    assert settings.auth_default_role is Role.VIEWER
    assert settings.runtime_run_timeout_ms == settings.schedule_run_timeout_ms == 600_000
    assert settings.default_model == ""


def test_every_variable_is_a_field_and_has_a_meaning(tmp_path: Path) -> None:
    settings = load({}, tmp_path)
    assert {setting.name for setting in SETTINGS} | {"files"} == vars(settings).keys()
    assert Settings.state_dir.variable == "ATHENA_STATE_DIR"
    assert all(setting.meaning.endswith(".") for setting in SETTINGS)


def test_settings_are_replaced_in_a_copy_only(tmp_path: Path) -> None:
    settings = load({}, tmp_path)
    assert settings.replace(executor="off").executor == "off"
    assert settings.executor == "inline"
    with pytest.raises(AttributeError):
        settings.executor = "off"  # type: ignore[assignment]
    with pytest.raises(TypeError, match="executer"):
        settings.replace(executer="off")


@pytest.mark.parametrize(("variable", "text"), [(name, text) for name, texts in WRONG.items() for text in texts])
def test_a_wrong_value_is_refused_by_name(variable: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=variable) as caught:
        load({variable: text}, tmp_path)
    assert "\n" not in caught.value.message


def test_a_secret_is_not_in_the_message(tmp_path: Path) -> None:
    assert {setting.variable for setting in SETTINGS if setting.secret} == SECRETS
    assert load({"ATHENA_OPENAI_API_KEY": "sk-1"}, tmp_path).openai_api_key == "sk-1"
    for variable in SECRETS:
        with pytest.raises(ConfigError) as caught:
            load({variable: "open sesame"}, tmp_path)
        assert "sesame" not in caught.value.message


@pytest.mark.parametrize("variable", KEYS)
def test_a_secret_may_be_in_a_file(variable: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("  sk-2-and-enough-more\n")
    settings = load({f"{variable}_FILE": str(tmp_path / "key")}, tmp_path)
    assert getattr(settings, variable.removeprefix("ATHENA_").lower()) == "sk-2-and-enough-more"


@pytest.mark.parametrize(
    ("content", "also", "words"),
    [
        (None, "", "cannot be read: No such file"),
        (b"", "", "is empty"),
        (b"\xff", "", "does not hold a key"),
        (b"x" * 9_000, "", "is empty or holds more"),
        (b"sk-sesame", "sk-1", "set either this or"),
        (b"open sesame", "", "expected visible ASCII"),
    ],
)
def test_a_wrong_file_of_a_secret_is_refused_without_showing_it(
    content: bytes | None, also: str, words: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigError, match="ATHENA_OPENAI_API_KEY") as caught:
        load({"ATHENA_OPENAI_API_KEY_FILE": str(tmp_path / "key"), "ATHENA_OPENAI_API_KEY": also}, tmp_path)
    assert words in caught.value.message
    assert "sesame" not in caught.value.message
    assert "xxx" not in caught.value.message


def test_the_fallback_order_is_a_list(tmp_path: Path) -> None:
    assert load({}, tmp_path).provider_fallback_order == ()
    assert load({"ATHENA_PROVIDER_FALLBACK_ORDER": "openai, mock"}, tmp_path).provider_fallback_order == (
        "openai",
        "mock",
    )


def test_the_environment_wins_over_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text('# comment\nATHENA_DEFAULT_MODEL="from file"\nexport ATHENA_CLI_IDENTITY=ann\n')
    assert load({}, tmp_path).default_model == "from file"
    assert load({}, tmp_path).cli_identity == "ann"
    assert load({"ATHENA_DEFAULT_MODEL": "from environment"}, tmp_path).default_model == "from environment"


def test_a_dotenv_cannot_send_the_token_of_the_environment_elsewhere(tmp_path: Path) -> None:
    token = "sixteen-characters"
    (tmp_path / "token").write_text(token)
    (tmp_path / ".env").write_text("ATHENA_API_BASE_URL=http://127.0.0.1:1\n")
    for present in ({"ATHENA_TOKEN": token}, {"ATHENA_TOKEN_FILE": str(tmp_path / "token")}):
        with pytest.raises(ConfigError, match=r"ATHENA_API_BASE_URL: \.env sets it"):
            load(present, tmp_path)
        load({**present, "ATHENA_API_BASE_URL": "http://127.0.0.1:2"}, tmp_path)
    (tmp_path / ".env").write_text(f"ATHENA_API_BASE_URL=http://127.0.0.1:1\nATHENA_TOKEN={token}\n")
    assert load({}, tmp_path).token == token


def test_a_dotenv_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_dotenv(tmp_path / ".env")


@pytest.fixture
def dotenv(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    (tmp_path / ".env").write_text("ATHENA_CLI_IDENTITY=ann\n")
    (tmp_path / ".env").chmod(0o644)
    return tmp_path / ".env"


def refusal(path: Path, user: int | None = None) -> str:
    """Return the line that names a file and says why it is not read."""
    with pytest.raises(ConfigError) as caught:
        read_dotenv(path, user)
    assert caught.value.message.startswith(f"{path}: not read, because ")
    assert "\n" not in caught.value.message
    return caught.value.message


def stranger() -> int:
    return os.geteuid() + 1_000


def test_a_dotenv_of_the_user_is_read(dotenv: Path) -> None:
    assert read_dotenv(dotenv) == {"ATHENA_CLI_IDENTITY": "ann"}


def test_a_dotenv_of_root_is_read_by_other_users(dotenv: Path) -> None:
    if os.geteuid():
        with pytest.raises(ConfigError):
            read_dotenv(dotenv, stranger())
    else:
        assert read_dotenv(dotenv, stranger())


@pytest.mark.parametrize("place", [".env", "."])
def test_a_dotenv_of_another_user_is_refused(dotenv: Path, place: str) -> None:
    user = None
    if os.geteuid():
        user = stranger()  # only root may give files away; to this reader they belong to another user as well
    else:
        os.chown(dotenv.parent / place, stranger(), 0)
    assert "belongs to user" in refusal(dotenv, user)


@pytest.mark.parametrize(
    ("place", "mode"), [(".env", 0o646), (".env", 0o666), (".", 0o757), (".", 0o777), (".env", 0o602)]
)
def test_a_dotenv_that_others_may_write_is_refused(dotenv: Path, place: str, mode: int) -> None:
    (dotenv.parent / place).chmod(mode)
    message = refusal(dotenv)
    assert "other users may write" in message
    assert f"chmod go-w {dotenv.parent / place}'" in message


@pytest.mark.parametrize("place", [".env", "."])
def test_a_dotenv_that_a_group_may_write_is_read_only_if_it_is_the_owners_private_group(
    dotenv: Path, place: str
) -> None:
    (dotenv.parent / place).chmod(0o775)
    user = pwd.getpwuid(os.geteuid())
    groups = {group.gr_gid: group for group in grp.getgrall()}
    private = groups[user.pw_gid].gr_name == user.pw_name and set(groups[user.pw_gid].gr_mem) <= {user.pw_name}
    if private:
        assert read_dotenv(dotenv)
    else:
        refusal(dotenv)
    if os.geteuid() == 0:
        os.chown(dotenv.parent / place, 0, max(groups) + 1)
        assert "other users may write" in refusal(dotenv)


def test_a_sticky_directory_is_as_good_as_the_file_in_it(dotenv: Path) -> None:
    dotenv.parent.chmod(0o1777)
    assert read_dotenv(dotenv)
    dotenv.chmod(0o666)
    refusal(dotenv)


@pytest.mark.parametrize("place", ["far/.env", "far"])
def test_a_link_is_judged_by_what_it_leads_to(dotenv: Path, place: str) -> None:
    far = dotenv.parent / "far"
    far.mkdir(mode=0o755)
    dotenv.rename(far / ".env")
    (far / "link").symlink_to(".env")
    dotenv.symlink_to("far/link")
    assert read_dotenv(dotenv)
    (dotenv.parent / place).chmod(0o777)
    assert f"other users may write {dotenv if place.endswith('.env') else far}" in refusal(dotenv)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a link away")
def test_a_link_of_another_user_is_refused(dotenv: Path) -> None:
    dotenv.rename(dotenv.parent / "mine")
    dotenv.symlink_to("mine")
    assert read_dotenv(dotenv)
    os.chown(dotenv, stranger(), 0, follow_symlinks=False)
    assert "belongs to user" in refusal(dotenv)


def test_a_dotenv_that_is_a_pipe_or_a_circle_of_links_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".env")
    with pytest.raises(ConfigError, match="not a regular file"):
        read_dotenv(tmp_path / ".env")
    (tmp_path / "a").symlink_to("a")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_dotenv(tmp_path / "a")


def test_settings_without_meaning_here_are_named_with_what_replaces_them() -> None:
    variables = {"ATHENA_REDIS_URL": "x", "ATHENA_AZURE_TENANT": "y", "PATH": "/bin"}
    lines = warnings_of(load(variables, Path("/")), variables)
    assert [line.split(":")[0] for line in lines] == ["ATHENA_REDIS_URL", "ATHENA_AZURE_TENANT"]


def test_a_setting_that_becomes_a_constant_is_honoured_and_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ATHENA_A2A_MAX_HOPS=3\nATHENA_URL_BYTES_MAX=16384\n", "utf-8")
    settings = load({"ATHENA_CONTEXT_MAX_CHARS": "9000"}, tmp_path)
    assert settings.a2a_max_hops == 3
    assert warnings_of(settings, {}) == [
        "ATHENA_A2A_MAX_HOPS: a constant from release 0.5 on (8); until then your value is used"
    ]


def test_each_setting_that_becomes_a_constant_is_in_the_manual() -> None:
    """With its value; and no other page names one."""
    rows = {f"| `{each.variable}` | `{each.default}` | {each.meaning} |" for each in SETTINGS if each.name in LEAVING}
    assert len(rows) == len(LEAVING)
    assert len(SETTINGS) - len(LEAVING) <= 85
    upgrading = ROOT / "docs/how-to/upgrading.md"
    assert rows == {line for line in upgrading.read_text("utf-8").splitlines() if line in rows}
    for page in sorted((ROOT / "docs").rglob("*.md")):
        if page != upgrading:
            named = set(re.findall(r"ATHENA_(\w+)", page.read_text("utf-8")))
            assert not named & {name.upper() for name in LEAVING}, page


def test_passwords_in_urls_are_secrets_in_every_form_in_which_they_are_sent(tmp_path: Path) -> None:
    settings = load(
        {
            "ATHENA_DATABASE_URL": "postgresql://athena:p%40ss-word@db/athena?sslpassword=other-word",
            "ATHENA_OPENAI_BASE_URL": "https://ann:the-word@proxy.example.org/v1",
        },
        tmp_path,
    )
    found = set(secrets_of(settings))
    assert {"p%40ss-word", "p@ss-word", "other-word", "the-word", "YW5uOnRoZS13b3Jk"} <= found


def test_the_files_that_settings_were_read_from_are_known(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-2")
    settings = load({"ATHENA_OPENAI_API_KEY_FILE": str(tmp_path / "key")}, tmp_path)
    assert settings.files == (tmp_path / ".env", tmp_path / "key")
