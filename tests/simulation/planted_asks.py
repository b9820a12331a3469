"""Planted bugs of the asks corner: mistakes of a tired engineer in answers, rights, rules and expiry."""

from tests.simulation.planted import bug

ANSWERS = "athena_core/services/asks/answers.py"
RIGHTS = "athena_core/services/asks/rights.py"
RULES = "athena_core/services/asks/rules.py"
RAISING = "athena_core/services/asks/raising.py"
EXPIRY = "athena_core/services/asks/expiry.py"
COMMANDS = "athena_core/domain/run/commands.py"
RULE = "athena_core/domain/permission_rule.py"

BUGS = [
    # Who may answer
    bug("the requester may answer", (RIGHTS, "if ask.not_requester and subject in requested_by:", "if False:")),
    bug(
        "approvers only decide calls",
        (RIGHTS, "return ask.approvers is not None and", "return bool(ask.tool_sha256) and"),
    ),
    bug("every ask needs an Operator", (RIGHTS, "Role(ask.role or Role.OPERATOR)", "Role.OPERATOR")),
    bug("a locked-out requester answers", (RIGHTS, " and who.role is not Role.NONE", "")),
    bug(
        "a text is opened by anybody",
        (
            ANSWERS,
            "            self._check_right(reader, context, asked, who)\n            state",
            "            state",
        ),
    ),
    bug(
        "a scope remembers for a profile",
        (ANSWERS, "        return {}\n    sessions =", '        scope = "session"\n    sessions ='),
    ),
    bug("an opening counts for all", (COMMANDS, "(one.ask_id, one.by) == (ask_id, by)", "one.ask_id == ask_id")),
    # Once, and what was shown
    bug("an answer to something else", (COMMANDS, "if ask.subject_sha256 != command.subject_sha256:", "if False:")),
    bug(
        "an answer at the last moment",
        (COMMANDS, "if ask.expires_at_ms <= now:", "if ask.expires_at_ms + 2_000 <= now:"),
    ),
    bug(
        "an answer after a cancel",
        (COMMANDS, "    if state.cancel is not None:\n        raise AskEnded", "    if False:\n        raise AskEnded"),
    ),
    bug(
        "an edit is lost",
        (COMMANDS, "        arguments=command.arguments,\n        edited_salt", "        edited_salt"),
    ),
    bug("a hidden call is remembered", (COMMANDS, "if ask.hidden and command.remembers:", "if False:")),
    # Rules
    bug("a rule for the whole session", (ANSWERS, 'run_id=asked.run_id if scope == "run" else None', "run_id=None")),
    bug(
        "a rule lives too long", (ANSWERS, "body.remember_for_ms or REMEMBER_MS[rule.scope]", "REMEMBER_MS[rule.scope]")
    ),
    bug("a rule answers with other credentials", (RULES, "rule.credentials != ask.credentials or", "")),
    bug("a rule is bound to nothing", (RULES, "rule.bound != bound or", "")),
    bug("a rule of an excluded person", (RULES, "return not is_excluded(ask, by, started_by)", "return True")),
    bug("a hidden ask meets a rule", (RULES, "        if ask.hidden:\n            return None\n", "")),
    bug(
        "a revoked rule answers",
        (RAISING, "steps = without_revoked(reader, context, command.steps)", "steps = command.steps"),
    ),
    bug(
        "an expired rule answers",
        (RULE, "return guard is not None and int(guard[2]) > now", "return guard is not None"),
    ),
    bug("the rules of a named profile only", (RULES, "    if request.profile_named:\n", "    if True:\n")),
    # Time
    bug(
        "an ask of a run expires alone",
        (
            EXPIRY,
            "        return None if rule is None else int(rule[2])\n    return min(",
            "        return None if rule is None else int(rule[2])\n    return max(",
        ),
    ),
    bug("an expiry cancels nothing", (EXPIRY, 'if ask.on_expiry == "cancel"), None)', "if False), None)")),
    bug("a run stays parked after an expiry", (EXPIRY, "        draft.carry_on(run_id)\n", "        pass\n")),
    bug("a run stays parked after an answer", (ANSWERS, "            draft.carry_on(run_id)\n", "")),
]
