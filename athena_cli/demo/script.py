"""The script of the demo: what the agents are asked, and what the models answer."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from athena_core.services.execution.progress import DECLINED, REFUSED, UNANSWERED

Call = tuple[str, Mapping[str, Any]]
"""A tool call: the tool and its arguments."""


class Turn(NamedTuple):
    """A turn of a model: its text and tool calls, or an error. ``slowness`` multiplies the time between words.

    ``text`` may name members of the last tool result. ``refused`` is the text after a call that a person refused.
    """

    text: str = ""
    calls: tuple[Call, ...] = ()
    error: str = ""
    slowness: float = 1.0
    refused: str = ""

    def after(self, result: str) -> "Turn":
        """Return the turn that follows the result of a call."""
        if not self.refused:
            return self
        if any(words in result for words in (REFUSED, DECLINED, UNANSWERED)):
            return self._replace(text=self.refused)
        given = re.search(r"\{.*\}", result, re.DOTALL)
        return self._replace(text=self.text.format_map(json.loads(given[0]) if given else {}))

    @property
    def tokens(self) -> int:
        """The tokens of the turn, estimated."""
        return len(self.text) // 4 + sum(20 + len(str(arguments)) // 4 for _, arguments in self.calls)


def call(tool: str, **arguments: Any) -> Turn:
    """Return a turn with one tool call."""
    return Turn(calls=((tool, arguments),))


# What people ask. The first words choose the answer.

REPORT = "Report how pears sold this week."
YEARBOOK = "Write the yearbook of the market, one entry for each week."
CLEAN_UP = "Clean up the build directory, then list the rest."
AUDIT = "Audit all receipts of the quarter, one by one."
TIDY = "Tidy up: the drafts of last month can go."
INVITE = "Write the invitation to the harvest festival."
DIGEST = "Summarize the new tickets of the last hour."
IMPORT = "Import the price list of supplier"
INVOICE = "Read the invoice"
ILLEGIBLE = "scan-0917.pdf"
COLLECT = "Collect the receipts of the week."
COUNT = "Count the receipts and find the unusual ones."
DRAFT = "Write the weekly report for the newsletter."
SEND = "Send the report to the newsletter."

TICKETS: Mapping[str, str] = {
    "Triage ticket 4711: the invoice shows the wrong VAT rate.": "Billing, priority 2. The customer moved to Austria in"
    " May, and the account still has the German rate. Correct the country, then issue the invoice again.",
    "Triage ticket 4712: the delivery came a day late.": "Logistics, priority 3. The carrier reported a closed road."
    " Send the standard apology. No refund is due under the terms.",
    "Triage ticket 4715: login fails after the password reset.": "Accounts, priority 1. Three customers report this"
    " since 09:40. The reset mail links to the old host. Escalate to the web team.",
    "Triage ticket 4718: please delete my account.": "Privacy, priority 2. A request for erasure under article 17."
    " Confirm the identity first; the deadline is 30 days.",
    "Triage ticket 4720: can I order 400 crates?": "Sales, priority 2. The stock holds 260 crates until Thursday. Offer"
    " two deliveries, and ask for the address of the second one.",
    "Translate the notice for the Lyon market into French.": "Le marché de Lyon ouvre samedi à 7 h. Les poires"
    " Conférence arrivent de la Drôme, cueillies la veille.",
    "Which supplier had the fewest complaints in May?": "Hofgut Sonnfeld: 2 complaints for 1,140 crates. The next one"
    " is Obsthof Mayr with 5 for 980 crates.",
}

CHECKED = "Total: 41 receipts, 1,284.60 EUR. Pears: 37 crates, 12 % more than last week."
WEEKLY = (
    "Pears of the week\n\nWe sold 37 crates of pears, 12 % more than last week: the Conference pears from Sonnfeld"
    " arrived two days early, and the heat ended the berry season. The price stays at 2.40 EUR per kilogram.\n\n"
    "One receipt (no. 2071) is a duplicate. It is not counted."
)
ANALYSIS = (
    "Sales of pears rose by 12 % because the Conference pears arrived two days early, while the heat ended the berry"
    " season. 37 crates were sold, 4 more than last week. The price did not change."
)
REPORT_FILE = "# Pears\n\nSales rose by 12 %: 37 crates, 33 in the week before.\n"
UNKNOWN = (
    "This is the demo: a script answers, not a model. Ask why sales of pears rose, or connect your own model with"
    " 'athena init'."
)

TOWNS = ("Graz", "Linz", "Lyon", "Bolzano", "Maribor")
FRUITS = ("Pears", "Apples", "Quinces", "Plums")
REASONS = (
    "the harvest began a week early",
    "rain closed the square on Saturday",
    "the school canteens ordered again",
    "a second stall opened at the station",
    "the price rose by ten cents",
    "the truck from Sonnfeld came twice",
)
WEEKS = 400  # longer than anybody watches


def yearbook() -> str:
    """Return a text that takes more than ten minutes to write."""
    lines = []
    for week in range(1, WEEKS + 1):
        fruit, town, reason = FRUITS[week % 4], TOWNS[week % 5], REASONS[week % 6]
        change = (week * 37) % 23 - 9
        more = f"{change} % more" if change >= 0 else f"{-change} % less"
        lines.append(f"Week {week}. {fruit} in {town}: {20 + (week * 53) % 41} crates, {more}, because {reason}.\n")
    return "\n".join(lines)


def _reporting() -> Sequence[Turn]:
    return (
        call("files", action="write", path="report.md", content=REPORT_FILE),
        call("shell", command=["wc", "-c", "report.md"]),
        call("evidence", label="report", type="text", content="Sales of pears rose by 12 %, according to 41 receipts."),
        Turn("The report is in report.md. " + ANALYSIS),
    )


def _cleaning() -> Sequence[Turn]:
    return (
        call("shell", command=["rm", "-rf", "build"]),
        call("shell", command=["ls", "-l"]),
        Turn("I may not run 'rm': my profile allows 'ls' and 'wc' only. The directory is unchanged. Ask an operator."),
    )


def _auditing() -> Sequence[Turn]:
    batches = [
        call("files", action="write", path=f"audit-{number}.md", content=f"Receipts {number}01 to {number}99: ok\n")
        for number in range(1, 7)
    ]
    return (*batches, Turn("All receipts of the quarter are checked. One is a duplicate: no. 2071."))


def _tidying() -> Sequence[Turn]:
    return (
        call("files", action="write", path="drafts/may.md", content="# May\n\nAn old draft.\n"),
        call("shell", command=["rm", "-r", "drafts"]),
        Turn("The drafts are deleted.", refused="I kept the drafts, as you decided."),
    )


FESTIVAL = "The harvest festival is not in my notes. When and where is it, and for how many guests?"
FORM: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "day": {"type": "string", "format": "date", "title": "Day", "description": "Such as 2026-10-03."},
        "place": {"type": "string", "title": "Place", "enum": ["Graz", "Linz", "Lyon"]},
        "guests": {"type": "integer", "title": "Guests", "minimum": 1, "maximum": 500, "default": 80},
    },
    "required": ["day", "place", "guests"],
}


def _inviting() -> Sequence[Turn]:
    return (
        call("ask_user", question=FESTIVAL, form=FORM),
        Turn(
            "Join our harvest festival in {place} on {day}! Cider and pears for {guests} guests.",
            refused="Without a day and a place the invitation has to wait.",
        ),
    )


ANSWERS: Mapping[str, Callable[[], Sequence[Turn]]] = {
    REPORT: _reporting,
    CLEAN_UP: _cleaning,
    AUDIT: _auditing,
    TIDY: _tidying,
    INVITE: _inviting,
    YEARBOOK: lambda: (Turn(yearbook()),),
    DIGEST: lambda: (Turn("Four new tickets: two about deliveries, one about VAT, one about a login. None urgent."),),
    COLLECT: lambda: (Turn("Collected 41 receipts from 5 markets."),),
    COUNT: lambda: (Turn(CHECKED),),
    DRAFT: lambda: (Turn(WEEKLY),),
    SEND: lambda: (Turn("Sent to 1,208 readers."),),
    IMPORT: lambda: (Turn("Imported 212 prices. 9 changed, and none by more than 5 %.", slowness=8),),
}


def turns_of(said: str) -> Sequence[Turn]:
    """Return the turns that answer a text of the user."""
    for start, turns in ANSWERS.items():
        if said.startswith(start):
            return turns()
    if said.startswith(INVOICE):
        if ILLEGIBLE in said:
            return (Turn(error=f"cannot read {ILLEGIBLE}: the scan is empty"),)
        return (Turn("Sonnfeld, 96 crates of pears, 1,140.00 EUR, due in 14 days. Net and VAT agree with the order."),)
    if said in TICKETS:
        return (Turn(TICKETS[said]),)
    if any(word in said.lower() for word in ("pear", "sales")):
        return (*_reporting()[:-1], Turn(ANALYSIS))
    return (Turn(UNKNOWN),)
