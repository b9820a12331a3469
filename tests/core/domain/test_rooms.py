"""The small deciders: directives, profiles, sessions, policy."""

from typing import Any

import pytest
from msgspec.structs import replace

from athena_core.definitions.profile import (
    Egress,
    FilesMatch,
    FilesPolicy,
    FilesRule,
    HarnessSpec,
    HttpMatch,
    HttpPolicy,
    HttpRule,
    ShellMatch,
    ShellPolicy,
    ShellRule,
    ToolPolicies,
    ToolPolicy,
    VerificationPolicy,
)
from athena_core.domain import directive, policy, profile, session
from athena_core.errors import ConfigError
from tests.core.domain.given import Given
from tests.support.events.run import SPEC

PROVIDERS = frozenset({"mock"})


def normalise(spec: HarnessSpec) -> HarnessSpec:
    """Return the profile as it is stored. A schema with the member ``bad`` is rejected."""
    return profile.normalise_profile(spec, PROVIDERS, lambda schema: "it is bad" if "bad" in schema else None)


def test_a_directive_is_created_once() -> None:
    spec = directive.DirectiveSpec(input="do it", context_refs=("file:README.md",), metadata={"k": "v"})
    command = directive.CreateDirective(directive_id="dir_1", spec=spec)
    created = directive.DirectiveCreated(
        directive_id="dir_1",
        has_context_refs=True,
        has_metadata=True,
        input="do it",
        context_refs=("file:README.md",),
        metadata={"k": "v"},
    )
    Given(directive.DECIDER, directive.decide).when(command).then(created)
    Given(directive.DECIDER, directive.decide, created).when(command).then_nothing()


def test_empty_lists_of_a_directive_are_absent() -> None:
    spec = directive.DirectiveSpec(input="do it", context_refs=(), metadata={})
    command = directive.CreateDirective(directive_id="dir_1", spec=spec, shadow=True)
    created = directive.DirectiveCreated(
        directive_id="dir_1", has_context_refs=False, has_metadata=False, shadow=True, input="do it"
    )
    Given(directive.DECIDER, directive.decide).when(command).then(created)


def test_a_profile_is_created_once() -> None:
    command = profile.CreateProfile(harness_profile_id="hp_1", spec=SPEC)
    created = profile.HarnessProfileCreated(
        harness_profile_id="hp_1", version="v1", provider="mock", model="mock-model", profile=SPEC
    )
    Given(profile.DECIDER, profile.decide).when(command).then(created)
    Given(profile.DECIDER, profile.decide, created).when(command).then_nothing()


def test_tools_are_kept_once_and_hosts_in_lower_case() -> None:
    config = replace(SPEC.config, tools=("files", "shell", "files"))
    spec = replace(SPEC, config=config, allowed_egress=(Egress(host="API.Example.org", port=443),))
    normal = normalise(spec)
    assert normal.config.tools == ("files", "shell")
    assert normal.allowed_egress == (Egress(host="api.example.org", port=443),)


def with_credentials(*names: str, tools: tuple[str, ...] = ("http",)) -> HarnessSpec:
    return replace(SPEC, config=replace(SPEC.config, tools=tools, credentials=names))


def test_credentials_are_kept_once_and_must_exist_where_that_is_known() -> None:
    def of(spec: HarnessSpec, known: frozenset[str] | None) -> HarnessSpec:
        return profile.normalise_profile(spec, PROVIDERS, lambda schema: None, known)

    assert of(with_credentials("b", "a", "b"), frozenset("ab")).config.credentials == ("b", "a")
    assert of(with_credentials("c"), None).config.credentials == ("c",)
    assert of(with_credentials(tools=("files",)), frozenset()).config.credentials is None
    for known, place, remedy in (
        (frozenset("a"), 1, "use one of a"),
        (frozenset[str](), 0, "set ATHENA_CREDENTIALS_FILE on the server"),
    ):
        with pytest.raises(
            ConfigError, match=rf"config.credentials\[{place}\]: no credential '[ac]' exists"
        ) as refused:
            of(with_credentials("a", "c", "c"), known)
        assert remedy in str(refused.value.details)
    with pytest.raises(ConfigError, match=r"config.credentials: only requests of tool 'http' carry credentials"):
        of(with_credentials("a", tools=("files",)), None)


@pytest.mark.parametrize("host", ["a b", "-x.org", "x-.org", "a..b", "*.", "*", "x" * 64 + ".org", "http://x.org", ""])
def test_an_invalid_host_is_refused(host: str) -> None:
    spec = replace(SPEC, allowed_egress=(Egress(host=host),))
    with pytest.raises(ConfigError, match=r"allowedEgress\[0\].host"):
        normalise(spec)


@pytest.mark.parametrize("host", ["localhost", "10.0.0.1", "*.example.org", "xn--bcher-kva.example"])
def test_a_valid_host_is_accepted(host: str) -> None:
    spec = replace(SPEC, allowed_egress=(Egress(host=host),))
    assert normalise(spec).allowed_egress == (Egress(host=host),)


SHELL = ToolPolicies(shell=ShellPolicy(commands=(("make",), ("git", "status"))))


def verified(kind: str, **fields: Any) -> HarnessSpec:
    """Return a profile with one verification policy, and a shell that may run ``make`` and ``git status``."""
    policy = VerificationPolicy(id="p", kind=kind, label="tests", **fields)  # type: ignore[arg-type]
    config = replace(SPEC.config, tools=("shell",))
    return replace(SPEC, config=config, tool_policies=SHELL, verification_policies=(policy,))


def with_tools(*tools: str, **policies: Any) -> HarnessSpec:
    return replace(SPEC, config=replace(SPEC.config, tools=tools), tool_policies=ToolPolicies(**policies))


def shell_rule(*command: str) -> ShellPolicy:
    return ShellPolicy(commands=(("ls",),), rules=(ShellRule(match=ShellMatch(command=command), approval="allow"),))


WILD = HttpPolicy(rules=(HttpRule(match=HttpMatch(host="*"), approval="ask"),))
OUTSIDE = FilesPolicy(rules=(FilesRule(match=FilesMatch(path="../x"), approval="ask"),))


def wrong_profiles() -> list[tuple[HarnessSpec, str]]:
    twice = (Egress(host="x.org", port=1), Egress(host="X.org", port=1))
    same = VerificationPolicy(id="p", kind="require-evidence", label="tests")
    return [
        (replace(SPEC, config=replace(SPEC.config, provider="none")), "config.provider"),
        (replace(SPEC, allowed_egress=twice), "allowedEgress[1]"),
        (replace(SPEC, verification_policies=(same, same)), "verificationPolicies[1].id"),
        (verified("command"), "verificationPolicies[0].command"),
        (verified("json-schema"), "verificationPolicies[0].schema"),
        (verified("contains"), "verificationPolicies[0].contains"),
        (verified("require-evidence", contains="x"), "verificationPolicies[0].contains"),
        (verified("require-evidence", command=("make",)), "verificationPolicies[0].command"),
        (verified("contains", contains="x", schema={}), "verificationPolicies[0].schema"),
        (verified("contains", contains="x", evidence_type="text"), "verificationPolicies[0].evidenceType"),
        (verified("json-schema", schema={"bad": 1}), "verificationPolicies[0].schema"),
        (verified("command", command=("rm",)), "verificationPolicies[0].command"),
        (verified("command", command=("git",)), "verificationPolicies[0].command"),
        (replace(verified("command", command=("make",)), tool_policies=None), "verificationPolicies[0].command"),
        (with_tools("files", shell=SHELL.shell), "toolPolicies.shell"),
        (with_tools("shell", files=FilesPolicy()), "toolPolicies.files"),
        (with_tools("shell", http=HttpPolicy()), "toolPolicies.http"),
        (with_tools("files", memory=ToolPolicy(approval="ask")), "toolPolicies.memory"),
        *(
            (with_tools("shell", shell=shell_rule(program, "-x")), "toolPolicies.shell.rules[0].approval")
            for program in ("git", "/usr/bin/python3.13", "sh", "bash", "env", "node", "find")
        ),
        (with_tools("http", http=WILD), "toolPolicies.http.rules[0].match.host"),
        (with_tools("files", files=OUTSIDE), "toolPolicies.files.rules[0].match.path"),
        (with_tools("files", files=FilesPolicy(directory="/etc")), "toolPolicies.files.directory"),
        (with_tools("files", files=FilesPolicy(directory="a/../../b")), "toolPolicies.files.directory"),
        (
            with_tools("shell", shell=ShellPolicy(commands=(("ls",),), directory="..")),
            "toolPolicies.shell.directory",
        ),
    ]


@pytest.mark.parametrize(("spec", "field"), wrong_profiles())
def test_a_wrong_profile_is_refused_with_its_field(spec: HarnessSpec, field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        normalise(spec)
    assert isinstance(caught.value.details, list)
    (fault,) = caught.value.details
    assert fault.field == field
    assert field == "allowedEgress[1]" or fault.remedy


@pytest.mark.parametrize(
    "spec",
    [
        verified("require-evidence", evidence_type="json"),
        verified("command", command=("make", "test")),
        verified("command", command=("git", "status")),
        verified("json-schema", schema={"type": "object"}),
        verified("contains", contains="done"),
        replace(verified("command", command=("make",)), config=SPEC.config),
        with_tools("files", "http", files=FilesPolicy(directory="src/a"), http=HttpPolicy()),
        with_tools("shell", shell=shell_rule("ls", "-l")),
    ],
)
def test_a_profile_with_policies_is_kept_as_it_was_written(spec: HarnessSpec) -> None:
    assert normalise(spec) == spec


def test_a_session_is_opened_once() -> None:
    created = session.SessionCreated(session_id="s")
    Given(session.DECIDER, session.decide).when(session.OpenSession(session_id="s")).then(created)
    Given(session.DECIDER, session.decide, created).when(session.OpenSession(session_id="s")).then_nothing()


def test_a_policy_is_replaced_as_a_whole_and_remembers_what_was_before() -> None:
    first = policy.Policy(schema_version=1, max_concurrent_runs=2)
    second = policy.Policy(schema_version=1, default_run_timeout_ms=5)
    put = policy.PutPolicy(policy=first, at="2026-01-01T00:00:00.000Z", by="alice")
    events = Given(policy.DECIDER, policy.decide).when(put).then_types(policy.PolicyUpdated)
    given = Given(policy.DECIDER, policy.decide, *events)
    given.when(put).then_nothing()
    (updated,) = given.when(replace(put, policy=second)).then_types(policy.PolicyUpdated)
    assert isinstance(updated, policy.PolicyUpdated)
    assert (updated.before, updated.after) == (first, second)


def test_a_limit_of_an_agent_names_a_registered_one_where_that_is_known() -> None:
    limit = policy.KeyLimit(scope="agent", max=1, strategy="enqueue", key="codex")
    for known in (None, frozenset({"codex"})):
        policy.check_limits((limit, replace(limit, key=None)), "", PROVIDERS, known)
    for known, remedy in ((frozenset({"b", "a"}), "use one of a, b"), (frozenset[str](), "set ATHENA_AGENTS")):
        with pytest.raises(ConfigError, match=r"limits\[0\].key: no agent 'codex' is registered") as refused:
            policy.check_limits((limit,), "", PROVIDERS, known)
        assert remedy in str(refused.value.details)
    state = policy.evolve(
        policy.PolicyState(),
        policy.PolicyUpdated(schema_version=1, updated_at="", after=policy.Policy(schema_version=1, limits=(limit,))),
    )
    assert (state.limit("agent:codex"), state.limit("agent:mine"), state.limit("codex")) == (limit, None, None)
