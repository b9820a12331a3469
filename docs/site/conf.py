"""The settings of the site that ``make site`` builds from the Markdown files of this folder, with Sphinx.

The menu has the pages in the order in which ``index.md`` links them. A page that it does not link fails the build.
"""

import re
from typing import Any

project = "Athena"
extensions = ["myst_parser"]
root_doc = "index"
include_patterns = ["*.md", "how-to/**", "reference/**", "why/**"]
exclude_patterns = ["**/*.py", "**/__pycache__"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = "Athena"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "native"
LINE = re.compile(r"^## (.+)$|\]\(((?:[\w-]+/)?[\w-]+)\.md\)", re.MULTILINE)


def add_menu(app: Any, name: str, text: list[str]) -> None:
    """Append one hidden table of contents to the index for each of its sections."""
    if name != root_doc:
        return
    menu: dict[str, list[str]] = {}
    for heading, page in LINE.findall(text[0]):
        if heading:
            menu[heading] = []
        elif menu and page not in menu[list(menu)[-1]]:
            menu[list(menu)[-1]].append(page)
    for heading, found in menu.items():
        text[0] += "\n".join(["", "```{toctree}", ":hidden:", f":caption: {heading}", *found, "```", ""])


def setup(app: Any) -> None:
    """Register the menu."""
    app.connect("source-read", add_menu)
