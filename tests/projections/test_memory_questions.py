"""Tests of the answers of the memory: questions of people about thirty notes, and scores among few and many notes."""

import pytest

from athena_core.definitions.memory_words import query_words
from tests.projections.memory_corner import Corner

NOTES = {
    "deploy.md": "# Deploying\nWe deploy the billing service on Mondays with `make deploy`. Never deploy on a Friday.",
    "rollback.md": "# Rollback\nTo roll back a release, run `make deploy VERSION=previous` and tell the channel #ops.",
    "staging.md": "# Staging\nEach branch gets a staging environment. Deploys to staging need no review.",
    "logs.md": "# Logs\nLogs are kept for 30 days, audit logs for 7 years. Ask the platform team for older ones.",
    "oncall.md": "# On call\nFor database problems page Ines, for network problems page Omar. Pages go to the phone.",
    "certificates.md": "# Certificates\nCertificates renew themselves. If one expires, the proxy serves an error page.",
    "vacation.md": "# Vacation\nEverybody has 28 days. Enter time off in the calendar two weeks before.",
    "expenses.md": "# Expenses\nSend receipts within a month. Each expense above 200 euros needs a manager.",
    "refunds.md": "# Refunds\nSupport approves refunds up to 50 euros. Larger ones go to finance.",
    "passwords.md": "# Passwords\nSecrets are in the vault. Rotate a password when somebody leaves the company.",
    "hiring.md": "# Hiring\nThree interviews, one of them with a future colleague. Decisions within a week.",
    "onboarding.md": "# First week\nNew colleagues get a laptop, accounts and a buddy.",
    "backup.md": "# Backups\nThe database is saved each night and restored each month to prove it.",
    "incidents.md": "# Incidents\nWrite a timeline first, then causes. No blame. Publish within five days.",
    "pricing.md": "# Prices\nThe basic plan costs 12 euros a month. Universities pay half.",
    "forecast.md": "# Revenue\nThe revenue forecast for the third quarter is 1.4 million euros.",
    "meetings.md": "# Meetings\nNo meetings on Wednesdays. An agenda a day before.",
    "office.md": "# Office\nThe door code changes monthly. Visitors sign in at reception.",
    "travel.md": "# Travel\nTrains before planes. Book hotels with the travel agency.",
    "security.md": "# Security\nReport a lost laptop at once to security, by phone.",
    "testing.md": "# Tests\nUnit tests run on each push. The nightly suite needs four hours.",
    "naming.md": "# Names\nServices are named after rivers, databases after lakes.",
    "api.md": "# Interfaces\nBreaking changes need a new version and six months of notice.",
    "support.md": "# Support hours\nThe hotline answers from 8 to 18 o'clock, on weekdays.",
    "metrics.md": "# Metrics\nDashboards are in Grafana. Alerts fire after five minutes.",
    "contracts.md": "# Contracts\nLegal reads each contract before it is signed.",
    "style.md": "# Style\nShort sentences. British spelling in documents.",
    "hardware.md": "# Hardware\nLaptops are replaced after four years.",
    "parental.md": "# Parents\nParental leave is twelve months. Tell your manager early.",
    "lunch.md": "# Lunch\nSoup on Tuesdays. The kitchen closes at two.",
}
QUESTIONS = {
    "how do I deploy the billing service": "deploy.md",
    "how long do we keep logs": "logs.md",
    "who do I page for database problems": "oncall.md",
    "what happens when a certificate expires": "certificates.md",
    "deployment": "deploy.md",
    "time off": "vacation.md",
    "expenses": "expenses.md",
    "who approves refunds": "refunds.md",
    "what was the revenue forecast": "forecast.md",
    "how do I roll back a release": "rollback.md",
    "where are our secrets stored": "passwords.md",
    "can I have a meeting on Wednesday": "meetings.md",
    "what should I do if I lost my laptop": "security.md",
    "how much does the basic plan cost": "pricing.md",
    "when are backups restored": "backup.md",
    "do I need a review for staging": "staging.md",
    "how many interviews are there in hiring": "hiring.md",
    "which dashboards show alerts": "metrics.md",
    "who reads a contract before we sign": "contracts.md",
    "how long is parental leave": "parental.md",
    "door code of the office?": "office.md",
}
RIGHT_MIN = 19


def answers(corner: Corner, question: str) -> list[tuple[str, float]]:
    """Return the notes that a search finds, with their scores."""
    corner.index._walked = None
    passages = corner.index.search(query_words(question), least=1, limit=6, seconds=60.0)
    return [(passage.source_path.removeprefix("memory/"), passage.score) for passage in passages]


def test_questions_find_the_note_that_answers_them(corner: Corner) -> None:
    for name, text in NOTES.items():
        corner.note(f"memory/{name}", text)
    first = {question: next(iter(answers(corner, question)), ("nothing", 0.0))[0] for question in QUESTIONS}
    wrong = {question: found for question, found in first.items() if found != QUESTIONS[question]}
    assert len(wrong) <= len(QUESTIONS) - RIGHT_MIN, wrong


@pytest.mark.parametrize("others", [0, 2_000])
def test_a_score_means_the_same_among_few_and_many_notes(corner: Corner, others: int) -> None:
    corner.note("memory/lighthouse.md", "The lighthouse is painted red.")
    corner.note("memory/harbour.md", "The harbour opens at six.")
    corner.note("memory/boats.md", "Boats need a licence.")
    corner.note("memory/others.md", "\n".join(f"word{line}" for line in range(others * 30)))
    assert len(answers(corner, "word0")) == min(others, 1)
    assert dict(answers(corner, "red lighthouse")) == {"lighthouse.md": 1.0}
    assert dict(answers(corner, "lighthouse harbour")) == {"lighthouse.md": 0.5, "harbour.md": 0.5}
    assert dict(answers(corner, "lighthouse zebra")) == {"lighthouse.md": 0.5}
    assert dict(answers(corner, "red lighthouse at the harbour")) == pytest.approx(
        {"lighthouse.md": 2 / 3, "harbour.md": 1 / 3}, abs=0.001
    )


def test_passages_with_every_word_come_before_those_with_a_rare_one(corner: Corner) -> None:
    corner.note("memory/both.md", "deploy the service")
    corner.note("memory/often.md", "lighthouse " * 50 + "deploy")
    for number in range(20):
        corner.note(f"memory/{number}.md", "deploy, and deploy again")
    found = answers(corner, "deploy service")
    assert found[0] == ("both.md", 1.0)
    assert all(score < 1 for _, score in found[1:])
    found = answers(corner, "lighthouse deploy kiwi")
    assert found[0][0] == "often.md", "a rare word counts more than a common one"


def test_a_word_without_a_meaning_of_its_own_is_searched_only_alone() -> None:
    assert list(query_words("What is the plan?")) == ["plan?"]
    assert list(query_words("who are we")) == ["who", "are", "we"]
    assert list(query_words('the "AND" -- v1.2 V1.2')) == ["v1.2"]
    assert list(query_words("?? !")) == []
