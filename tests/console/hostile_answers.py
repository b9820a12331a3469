"""Answers of a server in which hostile texts stand wherever models, tools and people write, and their traces."""

import re
from itertools import cycle
from typing import Any

from tests.support.hostile import HOSTILE

Json = dict[str, Any]

WRITTEN = frozenset(
    [
        *("input", "inputPreview", "output", "outputPreview", "displayName", "agentName", "personaName", "message"),
        *("text", "content", "label", "question", "subject", "note", "auditNote", "auditComment", "actor", "identity"),
        *("model", "provider", "sessionId", "toolName", "description", "directiveTemplate", "payload", "says", "by"),
        *("updatedBy", "createdBy", "startedBy", "repoPath", "headRef", "arguments", "target", "details", "snippet"),
        *("before", "after", "stepId", "error", "detail", "name"),
    ]
)
"""Members that a person, a model, a tool or an agent writes."""

OTHERS = re.compile("/stream|/capabilities|/caller|/health")
IN_ORDER = re.compile("/events|/transcript")
LONGEST_IN_LISTS = 300


def hostile_answers(page: Any) -> None:
    """Replace the texts in what a page reads; a list has a row for each text of the corpus."""
    texts = cycle(HOSTILE)

    def written(value: Any, longest: int | None) -> Any:
        if isinstance(value, list):
            return [written(one, longest) for one in value]
        if not isinstance(value, dict):
            return value
        return {
            name: next(texts)[:longest] if name in WRITTEN and isinstance(member, str) else written(member, longest)
            for name, member in value.items()
        }

    def answer(route: Any) -> Any:
        url = route.request.url
        if route.request.method != "GET" or OTHERS.search(url):
            return route.continue_()
        found = route.fetch(max_retries=2)
        if found.status != 200:
            return route.fulfill(response=found)
        body = found.json()
        data = body["data"]
        if isinstance(data, dict) and (items := data.get("items")):
            if not IN_ORDER.search(url):
                items = [numbered(items[row % len(items)], row) for row in range(len(HOSTILE))]
            data["items"] = written(items, LONGEST_IN_LISTS)
        elif "/directives/" in url:
            data["metadata"] = dict(enumerate(HOSTILE))
        else:
            body["data"] = written(data, None)
        return route.fulfill(response=found, json=body)

    page.route(re.compile("/api/v1/"), answer)


def numbered(record: Json, number: int) -> Json:
    """Return a copy of a record with another id."""
    ids = {name: f"{value[:-4]}{number:04}" for name, value in record.items() if is_id(name, value)}
    return {**record, **ids}


def is_id(name: str, value: Any) -> bool:
    return name.lower().endswith("id") and isinstance(value, str) and bool(re.match(r"[a-z]+_\w+$", value))


FOREIGN = """
() => {
  const bad = ":is(img, script, style, iframe, object, embed, video, link, meta, base, math, form[action], b[id])";
  const written = "[onload], [onerror], [ontoggle], [onfocus], [onclick], [onmouseover], [srcdoc]";
  const named = (one) => `${one.closest("[class]")?.className} > ${one.outerHTML.slice(0, 200)}`;
  const textOf = ({ childNodes }) => [...childNodes].map(({ data }) => data).join("");
  const turns = (one) => /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/.test(textOf(one));
  const width = document.documentElement.clientWidth;
  const wider = document.documentElement.scrollWidth - width;
  const end = (one) => Math.max(one.getBoundingClientRect().right, one.scrollWidth);
  const isWide = (one) => end(one) > width + 1 && !one.closest(".scroll, [popover]");
  const all = [...document.querySelectorAll("main *")];
  const few = (found) => found.slice(0, 3).map(named);
  return {
    elements: few([...document.querySelectorAll(`main ${bad}, ${written}`)]),
    mains: document.querySelectorAll("#page, main").length,
    title: document.title.replace(/.* · /, ""),
    links: few(all.filter(({ tagName, href }) => tagName === "A" && !/^https?:/.test(href))),
    turned: few(all.filter(turns)),
    wide: wider > 0 ? [wider, ...few(all.filter(isWide))] : [],
  };
}
"""
UNHURT = {"elements": [], "mains": 1, "title": "Athena", "links": [], "turned": [], "wide": []}


def unhurt(page: Any, what: str) -> None:
    """Fail if a text became an element, a link of another kind or a turned line, or is wider than the page."""
    found = page.evaluate(FOREIGN)
    assert found == UNHURT, (what, {name: value for name, value in found.items() if UNHURT[name] != value})


def walk(page: Any, addresses: list[str], seen: str) -> list[tuple[Json, Any]]:
    """Open places, once read in full. Return what the texts did at each, and the value of ``seen`` there."""
    code = f"""
    async (addresses) => {{
      const drawn = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      const found = [];
      for (const address of addresses) {{
        location.hash = address;
        await drawn();
        await drawn();
        found.push([({FOREIGN.strip()})(), {seen}]);
      }}
      return found;
    }}
    """
    return [(hurt, shown) for hurt, shown in page.evaluate(code, addresses)]
